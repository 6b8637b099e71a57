import type { Clock, Log } from '@nyala/client/base'
import type { QueryLog } from '@nyala/metastore'
import type { ResultPlans } from './result-plan.ts'
import { Rounds } from './rounds.ts'

/** How often the files are looked at. */
const SWEEP_MS = 10_000
/**
 * A file that has been seen for so long without a record is nobody's: a record is written within seconds of its file,
 * also by a write that is late.
 */
export const PLAN_GRACE_MS = 30_000

/** Since when the leader has seen a file that no query has a record for, by the file's name. */
export type Strays = ReadonlyMap<string, number>

/** What is to be remembered of the files, and which of them may be nobody's. Pure. */
export function planSweep(
  before: Strays,
  seen: { readonly files: readonly string[]; readonly recorded: ReadonlySet<string> },
  nowMs: number,
): readonly [Strays, readonly string[]] {
  const strays = seen.files.filter((file) => !seen.recorded.has(queryOf(file)))
  const after = new Map(strays.map((file) => [file, before.get(file) ?? nowMs]))
  return [after, strays.filter((file) => nowMs - (after.get(file) ?? nowMs) >= PLAN_GRACE_MS)]
}

/** `<query>.json`, or `<query>.json.tmp` of a coordinator that died while it wrote. */
const queryOf = (file: string): string => file.replace(/\.json(\.tmp)?$/, '')

export interface PlanJanitorOptions {
  readonly plans: Pick<ResultPlans, 'files' | 'removeFile'>
  readonly queryLog: Pick<QueryLog, 'queries' | 'read'>
  readonly clock: Clock
  readonly log: Log
  readonly isLeader: () => boolean
}

/**
 * Removes, while this coordinator leads, the plan files of queries that have no record: what a coordinator leaves that
 * dies between the two. The records themselves are ended by whoever owns the query, or by the leader as orphans.
 *
 * Whether there is a record is asked of the store right before, not of the view. Should a deposed leader do the same
 * once more, it removes what is nobody's.
 */
export class PlanJanitor {
  readonly #options: PlanJanitorOptions
  #strays: Strays = new Map()
  readonly #rounds: Rounds

  constructor(options: PlanJanitorOptions) {
    this.#options = options
    const { clock, log } = options
    this.#rounds = new Rounds({
      clock,
      everyMs: SWEEP_MS,
      round: () => this.sweep(),
      onError: (error) => {
        // The next sweep finds what is left.
        if (!this.#rounds.stopped) log.warn('plansNotSwept', { error })
      },
    })
  }

  start(): void {
    this.#rounds.start()
  }

  stop(): void {
    this.#rounds.stop()
  }

  /** Looks once. Fails with `io_error`, `metastore_unavailable` or `commit_outcome_unknown`. */
  async sweep(): Promise<void> {
    const { plans, queryLog, clock, log, isLeader } = this.#options
    if (!isLeader()) {
      this.#strays = new Map()
      return
    }
    const recorded = new Set(queryLog.queries().map(({ record }) => record.id))
    const [strays, due] = planSweep(
      this.#strays,
      { files: await plans.files(), recorded },
      clock.now(),
    )
    this.#strays = strays
    for (const file of due) {
      if (this.#rounds.stopped || !isLeader()) return
      if ((await queryLog.read(queryOf(file))) !== undefined) continue
      await plans.removeFile(file)
      log.info('planRemoved', { file })
    }
  }
}
