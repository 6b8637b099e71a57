import { createHash } from 'node:crypto'
import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { StatementContext } from './statement-context.ts'

/** For so long a statement is refused that has killed kernels. */
export const QUARANTINE_MS = 60_000
/** Of more statements at once the oldest are forgotten: what is held here is bounded, and trying costs two kernels. */
const STATEMENTS_MAX = 1_000

type Asked = Pick<StatementContext, 'sql' | 'parameters' | 'session'>

/**
 * Statements under which kernels died, at this coordinator. The same text with the same parameters is refused for
 * {@link QUARANTINE_MS} without a kernel being asked: clients that try again do not take the executors down one by one.
 */
export class Quarantine {
  readonly #clock: Clock
  readonly #untilMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A statement has ended; where that was with `query_quarantined` it is refused from now on. */
  note(statement: Asked, error: unknown): void {
    if (!(error instanceof SqlError) || error.error !== 'query_quarantined') return
    const key = keyOf(statement)
    this.#untilMs.delete(key)
    this.#untilMs.set(key, this.#clock.now() + QUARANTINE_MS)
    const [oldest] = this.#untilMs.keys()
    if (this.#untilMs.size > STATEMENTS_MAX && oldest !== undefined) this.#untilMs.delete(oldest)
  }

  /** Fails with `query_quarantined`. */
  check(statement: Asked): void {
    if (this.#untilMs.size === 0 || isMutant('no-quarantine')) return
    const key = keyOf(statement)
    const leftMs = (this.#untilMs.get(key) ?? 0) - this.#clock.now()
    if (leftMs <= 0) {
      this.#untilMs.delete(key)
      return
    }
    const seconds = Math.ceil(leftMs / 1_000)
    throw new SqlError(
      'query_quarantined',
      `kernels died while they ran this statement; it is refused for ${seconds} s more`,
      { hint: 'change the statement, lower its memory with SET mem_limit, or send it again then' },
    )
  }
}

const keyOf = ({ sql, parameters, session }: Asked): string =>
  createHash('sha256')
    .update(JSON.stringify([session.database, sql, parameters]))
    .digest('base64')
