import type { StatementId } from '../protocol/ids.ts'
import type { Parameter, ProgressMessage, SessionContext } from '../protocol/messages.ts'
import type { Coordinators } from './coordinators.ts'
import type { EventHub } from './events.ts'
import type { Platform } from './platform.ts'
import type { StatementKind } from './statement-kind.ts'

/** What is to be run. */
export interface Statement {
  readonly id: StatementId
  /** Goes on with this query instead of sending a statement. */
  readonly attachTo?: string | undefined
  readonly sql: string
  readonly parameters: readonly Parameter[]
  readonly kind: StatementKind
  readonly progress: boolean
}

export interface RunContext {
  readonly coordinators: Coordinators
  readonly platform: Platform
  readonly events: EventHub
}

export interface RunEvents {
  onProgress(message: ProgressMessage): void
  /** Another coordinator serves from now on. */
  onMoved?(move: Move): void
  /** The session's context now; asked for when the statement is first sent. */
  session(): SessionContext
  /** The context that the statement was sent with, and what it made of it, from `finished` or `failed`. */
  onSession(before: SessionContext, after: SessionContext): void
}

/** A statement went to another coordinator, to run there anew or, where `resumed`, to go on with its result. */
export interface Move {
  readonly from: string | undefined
  readonly to: string
  readonly reason: string
  readonly resumed: boolean
  /** Rows handed out before. */
  readonly rows: number
}
