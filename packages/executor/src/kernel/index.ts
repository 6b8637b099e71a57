export { toSqlError } from './kernel-errors.ts'
export { ConstantKernel, type ConstantRows } from './constant-kernel.ts'
