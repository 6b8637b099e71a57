import type { Column, Parameter, SessionContext } from '@nyala/client/protocol'
import type { CatalogSnapshot, Patience } from '@nyala/metastore'
import type { TableVersion } from '../bind/resolve.ts'
import type { SessionSettings } from '../bind/settings.ts'
import type { ResultRelay } from '../schedule/result-relay.ts'
import type { CallServing } from './call-serving.ts'
import type { LostTransaction } from '../txn/lost-transaction.ts'
import type { Transaction } from '../txn/transaction.ts'
import type { LocalResult } from './rows-to-arrow.ts'
import type { QueryProgress } from './query-statement.ts'

/** One statement on its way: what it came with, and where its answer goes. */
export interface StatementContext {
  readonly queryId: string
  /** As the client chose it: what the statement changes is changed once under it. */
  readonly statementId: string
  /** Once its commit has begun a statement is not cut short any more. */
  readonly commit: { begun: boolean }
  /** Whose turn the statement takes where statements wait: the connection that it came on. */
  readonly sender: string
  readonly sql: string
  readonly parameters: readonly Parameter[]
  readonly session: SessionContext
  readonly settings: SessionSettings
  /** The transaction that the statement is part of. */
  readonly transaction: TransactionSlot
  /** Not older than what the session has seen; in a transaction as that sees it. */
  readonly catalog: CatalogSnapshot
  /** Etcd is asked how new the catalog is, while something else is done for the statement: {@link newest} will be wanted. */
  askNewest(): void
  /**
   * The newest that its setting `read_consistency` asks for, which the statement reads from then on: {@link catalog} itself
   * where that is new enough. What reads the catalog tells its client nothing before.
   */
  newest(): Promise<CatalogSnapshot>
  /** When work on the statement began, on the clock's own scale. */
  readonly startedAt: number
  readonly relay: ResultRelay
  /** Tables that a query of ours names in the database `$target`; a user's statement has none. */
  readonly targets?: ReadonlyMap<string, TableVersion> | undefined
  /** Whom the result is for, should it outlive this coordinator. */
  readonly serving: CallServing
  readonly signal: AbortSignal
  /** How long it waits for etcd, whatever it asks. */
  readonly patience: Patience
  readonly notices: string[]
  /** The query has to wait until it may run. */
  onQueued(why: string): void
  onColumns(columns: readonly Column[]): void
  /** The query has been planned and runs from now on; what can be asked of it, also after it has failed. */
  onRunning(query: { progress(): QueryProgress; profile(): unknown }): void
}

/** Changes with BEGIN, COMMIT and ROLLBACK. */
export interface TransactionSlot {
  current: Transaction | LostTransaction | undefined
}

/** How a statement ended well. */
export interface StatementOutcome {
  readonly command: string
  /** Rows that the coordinator made itself; a query's have gone through the relay already. */
  readonly local?: LocalResult | undefined
  readonly rows?: number | undefined
  /** What it changed of the session. */
  readonly database?: string | undefined
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** The revision at which a change of the catalog is visible. */
  readonly revision?: number | undefined
  readonly statistics?: Partial<OutcomeStatistics> | undefined
  /** What `profile;` shows. */
  readonly profile?: unknown
}

export interface OutcomeStatistics {
  readonly planMs: number
  readonly queuedMs: number
  readonly tasks: number
  readonly executors: number
  readonly cpuMs: number
  readonly peakMemoryBytes: number
  readonly spillBytes: number
}
