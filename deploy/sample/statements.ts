import { join } from 'node:path'
import { SAMPLE_TABLES, type SampleColumn, type SampleTable } from './schema.ts'
import { quoted } from './tpch-sql.ts'

/** The statements that make external tables of the sample in `dir`, each ended by a semicolon. */
export const createTableStatements = (dir: string): readonly string[] =>
  SAMPLE_TABLES.map((table) => createTable(table, join(dir, table.name)))

function createTable(table: SampleTable, location: string): string {
  const partitions =
    table.partitionColumns.length === 0
      ? ''
      : `\nPARTITIONED BY (${columns(table.partitionColumns).join(', ')})`
  return (
    `CREATE EXTERNAL TABLE IF NOT EXISTS ${table.name} (\n  ${columns(table.columns).join(',\n  ')}\n)` +
    `${partitions}\nSTORED AS PARQUET\nLOCATION ${quoted(location)};`
  )
}

const columns = (list: readonly SampleColumn[]): readonly string[] =>
  list.map(({ name, type }) => `${name} ${type}`)
