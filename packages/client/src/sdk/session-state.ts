import type { SessionContext } from '../protocol/messages.ts'
import type { StatementKind } from './statement-kind.ts'

/**
 * The context of a session, as the client keeps it. Statements send the context of their start and bring back what they
 * made of it; several may run at once, so only what a statement changed is taken from what it brings back.
 * A statement that changes the session (`USE`, `SET`, `BEGIN`, `COMMIT`) is seen by every one that is started after it.
 */
export class SessionState {
  #context: SessionContext
  /** Settles when the session statements started so far have ended, well or not. */
  #barrier: Promise<void> | undefined

  constructor(context: SessionContext) {
    this.#context = context
  }

  get context(): SessionContext {
    return this.#context
  }

  /** What a new statement must wait for before it takes its context. */
  get barrier(): Promise<void> | undefined {
    return this.#barrier
  }

  /** Tells of a started statement; a session statement holds back those after it until `ended`. */
  started(kind: StatementKind, ended: Promise<unknown>): void {
    if (kind !== 'session' && kind !== 'commit') return
    const barrier = Promise.allSettled([this.#barrier, ended]).then(() => {
      if (this.#barrier === barrier) this.#barrier = undefined
    })
    this.#barrier = barrier
  }

  merge(before: SessionContext, after: SessionContext): void {
    const transaction = isSame(before.transaction, after.transaction)
      ? this.#context.transaction
      : after.transaction
    this.#context = {
      ...(transaction === undefined ? {} : { transaction }),
      database: after.database === before.database ? this.#context.database : after.database,
      settings: mergeSettings(this.#context.settings, before.settings, after.settings),
      revision: Math.max(this.#context.revision, after.revision),
    }
  }
}

type Transaction = SessionContext['transaction']

const isSame = (a: Transaction, b: Transaction): boolean =>
  a?.id === b?.id && a?.failed === b?.failed

type Settings = SessionContext['settings']

function mergeSettings(current: Settings, before: Settings, after: Settings): Settings {
  const changed = Object.entries(after).filter(([name, value]) => before[name] !== value)
  const removed = new Set(Object.keys(before).filter((name) => !Object.hasOwn(after, name)))
  if (changed.length === 0 && removed.size === 0) return current
  const kept = Object.entries(current).filter(([name]) => !removed.has(name))
  return Object.fromEntries([...kept, ...changed])
}
