/** What a simulation needs to run queries at coordinators that it has made itself. */
export { Delivery } from './delivery.ts'
export { Executors, type ExecutorsOptions } from './executors.ts'
export { QueryRun } from './query-run.ts'
export { settleReceipt } from './receipt.ts'
export { type Aside, ResultRelay } from './result-relay.ts'
export { ResumedRun } from './resumed-run.ts'
