/** What tests of other packages need of this one: the planner without a cluster. */
export * from './planning-world.ts'
export {
  type ExchangeSize,
  type Fragment,
  type PhysicalPlan,
  taskSql,
  writtenAs,
  writtenExchanges,
} from '../plan/physical-plan.ts'
export { partsOf, type Produced, segmentsOf, type TaskPart } from '../plan/fragment/tasks.ts'
export { type ExecutorState, Placement } from '../schedule/placement.ts'
export {
  newStage,
  planDispatch,
  type StageState,
  toFinished,
  toRunning,
} from '../schedule/stage.ts'
export type { PlanOptions } from '../plan/planner.ts'
export { planText } from '../server/plan-text.ts'
export * from './listings.ts'
export { SqlFrontEnd } from '../sql/front-end.ts'
export {
  type Difference,
  differencesOf,
  readWithSecondReader,
  shapeOfQuery,
} from '../sql/testing/second-reader.ts'
export type { BoundQuery } from '../bind/bind-query.ts'
export type { LogicalPlan } from '../plan/logical/relation.ts'
export { toQuery } from '../plan/to-sql/to-query.ts'
export { renderQuery } from '../sql/renderer.ts'
export type { SimulatedTransaction } from '../txn/testing/simulated-tables.ts'
export {
  TRANSACTION_MUTANTS,
  type TransactionMutant,
  type TransactionReport,
  TransactionSimulation,
} from '../txn/testing/transaction-simulation.ts'
