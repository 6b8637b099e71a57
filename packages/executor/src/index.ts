export { Executor, type ExecutorOptions } from './executor.ts'
