import { createHash } from 'node:crypto'
import { type Clock, isMutant, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { type Board, QUARANTINE_SECONDS, QUARANTINED_MAX } from '@nyala/metastore'
import type { StatementContext } from './statement-context.ts'

/** For so long a statement is refused that has killed kernels. */
export const QUARANTINE_MS: number = QUARANTINE_SECONDS * 1_000
/** Who sent such a statement is told of it when the other coordinators can know, or after so long. */
const TELL_OTHERS_MS = 1_000

type Asked = Pick<StatementContext, 'sql' | 'parameters' | 'session'>

export interface QuarantineOptions {
  readonly clock: Clock
  readonly log: Log
  readonly self: string
  /** Where coordinators tell each other. */
  readonly board: Pick<Board, 'quarantine' | 'quarantined' | 'quarantinedCount'>
}

/**
 * Statements under which kernels died. The same text with the same parameters is refused for {@link QUARANTINE_MS} by
 * every coordinator, without a kernel being asked: clients that try again do not take the executors down one by one.
 *
 * What is posted for the others is advice: where etcd does not take it, only this coordinator refuses the statement.
 */
export class Quarantine {
  readonly #options: QuarantineOptions
  readonly #untilMs = new Map<string, number>()

  constructor(options: QuarantineOptions) {
    this.#options = options
  }

  /** A statement has ended; where that was with `query_quarantined` it is refused from now on. */
  async note(statement: Asked, error: unknown): Promise<void> {
    if (!(error instanceof SqlError) || error.error !== 'query_quarantined') return
    const hash = hashOf(statement)
    this.#untilMs.delete(hash)
    this.#untilMs.set(hash, this.#options.clock.now() + QUARANTINE_MS)
    const [oldest] = this.#untilMs.keys()
    if (this.#untilMs.size > QUARANTINED_MAX && oldest !== undefined) this.#untilMs.delete(oldest)
    if (!isMutant('lonely-quarantine')) await this.#tellOthers(hash)
  }

  async #tellOthers(hash: string): Promise<void> {
    const { board, clock, log, self } = this.#options
    const patience = new AbortController()
    const posted = board
      .quarantine(hash, { by: self, at: clock.wall() })
      .catch((error: unknown) => {
        log.warn('quarantineNotShared', { error })
      })
    const waited = clock.sleep(TELL_OTHERS_MS, { signal: patience.signal }).catch(() => undefined)
    await Promise.race([posted, waited])
    patience.abort(new Error('nobody waits any more'))
  }

  /** Fails with `query_quarantined`. */
  check(statement: Asked): void {
    const { board } = this.#options
    // A hash is not free, and this is asked for every query.
    if (this.#untilMs.size === 0 && board.quarantinedCount === 0) return
    if (isMutant('no-quarantine')) return
    const leftMs = this.#leftMs(hashOf(statement))
    if (leftMs <= 0) return
    const seconds = Math.ceil(leftMs / 1_000)
    throw new SqlError(
      'query_quarantined',
      `kernels died while they ran this statement; it is refused for ${seconds} s more`,
      { hint: 'change the statement, lower its memory with SET mem_limit, or send it again then' },
    )
  }

  #leftMs(hash: string): number {
    const { board, clock } = this.#options
    const leftMs = (this.#untilMs.get(hash) ?? 0) - clock.now()
    if (leftMs > 0) return leftMs
    this.#untilMs.delete(hash)
    const posted = board.quarantined(hash)
    if (posted === undefined) return 0
    // Its lease says how long it lasts; how long that is, by clocks of two machines, is for people.
    return Math.min(Math.max(posted.at + QUARANTINE_MS - clock.wall(), 1), QUARANTINE_MS)
  }
}

const hashOf = ({ sql, parameters, session }: Asked): string =>
  createHash('sha256')
    .update(JSON.stringify([session.database, sql, parameters]))
    .digest('hex')
