import type { Clock, Log } from '@nyala/client/base'
import type { Fragment } from '../plan/physical-plan.ts'
import type { RunningTask } from './executor-link.ts'
import type { Executors } from './executors.ts'
import type { ResultRelay } from './result-relay.ts'
import type { LiveTask } from './run-progress.ts'
import { type Pace, planTwins } from './speculation.ts'
import * as stages from './stage.ts'
import { attemptKey } from './task-numbers.ts'

/** An attempt under way. */
export interface Live extends LiveTask {
  readonly task: RunningTask
  /** Of its task in the query. */
  readonly number: number
  readonly attempt: number
  readonly pace: Pace
}

interface Stage {
  readonly fragment: Fragment
  state: stages.StageState
}

export interface AttemptsOptions {
  readonly clock: Clock
  readonly log: Log
  readonly queryId: string
  readonly executors: Executors
  readonly relay: ResultRelay
}

/** The attempts of a query's tasks that are under way: one of each task, or two, of which the first to get there counts. */
export class Attempts {
  readonly #options: AttemptsOptions
  readonly #live = new Map<string, Live>()

  constructor(options: AttemptsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#live.size
  }

  all(): readonly Live[] {
    return [...this.#live.values()]
  }

  add(live: Live): void {
    this.#live.set(keyOf(live), live)
  }

  remove(live: Live): void {
    this.#live.delete(keyOf(live))
  }

  cancel(): void {
    for (const live of this.#live.values()) live.task.cancel()
  }

  /** Hears no more of what runs of a fragment. Returns the numbers of its tasks. */
  abandon(fragment: Fragment): readonly number[] {
    const gone = this.all().filter((live) => live.fragment === fragment)
    for (const live of gone) {
      this.remove(live)
      live.task.abandon()
    }
    return gone.map(({ number }) => number)
  }

  /**
   * Second attempts that should begin now. Of a result only before its first frame is here, as frames of one attempt are
   * all that a client is given.
   */
  twins({ fragment, state }: Stage): readonly stages.Assignment[] {
    const { clock, executors, relay } = this.#options
    const runner = (index: number): { pace: Pace; mayBeTwo: boolean } | undefined => {
      const task = state.tasks[index]
      if (task?.kind !== 'running') return undefined
      const live = this.#live.get(attemptKey(fragment, index, task.attempt))
      return live && { pace: live.pace, mayBeTwo: !relay.hasBegun(live.number) }
    }
    return planTwins(state, executors.placement, { ms: clock.now(), runner })
  }

  /** It is this attempt that counts. Another one of the same task is stopped, and who was slower is spared for a while. */
  settle(stage: Stage, live: Live): void {
    const task = stage.state.tasks[live.index]
    if (task?.kind !== 'running' || task.twin === undefined) return
    const { executors, log, queryId } = this.#options
    const other = task.attempt === live.attempt ? task.twin.attempt : task.attempt
    const rival = this.#live.get(attemptKey(stage.fragment, live.index, other))
    stage.state = stages.toSole(stage.state, live.index, live.attempt)
    if (rival === undefined) return
    this.remove(rival)
    if (live.attempt > other) {
      executors.noteSlow(rival.task.executor)
      log.info('twinWon', { query: queryId, task: live.number, executor: live.task.executor })
    }
    rival.task.abandon()
  }

  /** Another attempt of the same task goes on. */
  hasRival({ fragment, state }: Stage, index: number): boolean {
    const task = state.tasks[index]
    if (task?.kind !== 'running' || task.twin === undefined) return false
    return [task.attempt, task.twin.attempt].some((attempt) =>
      this.#live.has(attemptKey(fragment, index, attempt)),
    )
  }
}

const keyOf = ({ fragment, index, attempt }: Live): string => attemptKey(fragment, index, attempt)
