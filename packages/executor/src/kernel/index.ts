export { toSqlError } from './kernel-errors.ts'
