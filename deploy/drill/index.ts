/** What measurements of failures share with drills: clients that check every answer, and what a whole cluster is. */
export { type Facts, gatherFacts } from './facts.ts'
export { Ledger } from './ledger.ts'
export { leftInCluster } from './leftovers.ts'
export { type Call, isTableWrite, Load, type LoadClient, type LoadKind } from './load.ts'
export { seesExecutorGo } from './strikes.ts'
export { LogTail, missingFrom, ownTarget, statusAt, type Target } from './target.ts'
