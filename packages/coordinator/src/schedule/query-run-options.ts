import type { Clock, Log } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import type { PhysicalPlan } from '../plan/physical-plan.ts'
import type { Executors } from './executors.ts'
import type { ResultRelay } from './result-relay.ts'
import type { TableOutputOf } from './run-exchanges.ts'

export interface QueryRunOptions {
  readonly clock: Clock
  readonly log: Log
  readonly executors: Executors
  readonly queryId: string
  /** Who sent it, whose turns it takes. */
  readonly session: string
  readonly plan: PhysicalPlan
  readonly relay: ResultRelay
  /** Tasks that can run at once, and the bytes from which a task is worth being one of its own. */
  readonly slots: number
  readonly taskBytesMin: number
  readonly memoryLimitBytes: number
  /** Bytes of disk on each executor; absent or 0: what the executor has. */
  readonly spillLimitBytes?: number
  readonly profile: boolean
  readonly kernelSettings: Readonly<Record<string, string>>
  readonly rowsMax: number
  /** The rows become files of a table instead of a result: where the files of an attempt go. */
  readonly table?: TableOutputOf | undefined
  readonly signal: AbortSignal
  onColumns(columns: readonly Column[]): void
  /** Resolves when nothing is on its way that has to do with the delivery of the result. */
  readonly delivered?: (() => Promise<void>) | undefined
}
