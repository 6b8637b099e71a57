import type { Clock, Log } from '@nyala/client/base'
import {
  answerLaunch,
  type Board,
  type Keys,
  type Kv,
  type LaunchRecord,
  type Posted,
} from '@nyala/metastore'

/**
 * What starts executors for a deployment: `nyala up`'s supervisor, or whatever runs them elsewhere.
 *
 * The leader asks by a record in etcd (`board/launches/<executor>`), written under its epoch: it needs to know neither
 * where launchers are nor how many there are, a request outlives the leader that made it, and one that was deposed asks
 * for nothing any more. The executor that is started registers by itself, as a new incarnation, and with that the
 * request is done; the leader removes it. A request that comes to nothing is made again after 15 s.
 *
 * A launcher that does not run on `request.host` and cannot reach it leaves the request to one that can (`ignored`).
 */
export interface Launcher {
  /**
   * Ends the process of the lost life where it still runs (it may be paused, and would wake), and starts another of the
   * same id, unless one that was started meanwhile runs. May be called again for the same request, after a restart of the launcher
   * for example. A rejection is logged, and the request stays open.
   */
  replace(request: LaunchRecord, options: { readonly signal: AbortSignal }): Promise<LaunchAnswer>
}

export type LaunchAnswer =
  | { readonly state: 'taken' }
  /** This deployment does not run such an executor any more: the leader strikes it from the roster. */
  | { readonly state: 'refused'; readonly detail: string }
  | { readonly state: 'ignored' }

export interface LaunchAgentOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly board: Board
  readonly launcher: Launcher
}

/** Gives the requests of leaders to a launcher and its answers to the leader, each request once for each time it is made. */
export class LaunchAgent {
  readonly #options: LaunchAgentOptions
  readonly #stopped = new AbortController()
  /** Revisions of the requests that were given to the launcher, by executor. */
  readonly #given = new Map<string, number>()
  #stopListening: (() => void) | undefined

  constructor(options: LaunchAgentOptions) {
    this.#options = options
  }

  /** The board must have been started; it stays its owner's to stop. */
  start(): void {
    this.#stopListening = this.#options.board.onChange(() => this.#look())
    this.#look()
  }

  stop(): void {
    this.#stopListening?.()
    this.#stopped.abort(new Error('the launch agent was stopped'))
  }

  #look(): void {
    for (const asked of this.#options.board.launches()) {
      const { record, modRevision } = asked
      if (record.state !== 'asked' || (this.#given.get(record.id) ?? 0) >= modRevision) continue
      this.#given.set(record.id, modRevision)
      void this.#replace(asked)
    }
  }

  async #replace(asked: Posted<LaunchRecord>): Promise<void> {
    const { launcher, log } = this.#options
    const { id, incarnation, reason } = asked.record
    log.warn('replacementAsked', { executor: id, incarnation, reason })
    try {
      const answer = await launcher.replace(asked.record, this.#stopped)
      if (answer.state !== 'ignored') await answerLaunch(this.#options, asked, answer)
    } catch (error) {
      if (!this.#stopped.signal.aborted) log.error('replacementFailed', { executor: id, error })
    }
  }
}
