export { fileStatisticsOf } from './listed-statistics.ts'
export { type ParquetFooter, readFooter } from './parquet-footer.ts'
export { writtenFactsOf } from './written-facts.ts'
