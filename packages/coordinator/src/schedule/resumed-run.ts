import { type Clock, deferred, isMutant, type Log } from '@nyala/client/base'
import { SqlError, type TaskEnd, type TaskSoFar } from '@nyala/client/protocol'
import type { HeldResult, ResultSoFar, TaskSpec } from '@nyala/executor/protocol'
import type { ExecutorLink, RunningTask, TaskEvents, TaskFinished } from './executor-link.ts'
import { mayGoOnElsewhere, notHere } from './elsewhere.ts'
import { cutOff, watchExecutors } from './executor-watch.ts'
import type { Executors } from './executors.ts'
import { tooManyRows } from './failure-error.ts'
import { type FrameSource, type ResultRelay, TASK_WINDOW_BYTES } from './result-relay.ts'
import {
  attemptUnder,
  type HeldAt,
  planResumption,
  type TaskResumption,
} from './resumption-plan.ts'

/** How long executors that are to dial this coordinator, or to answer, are waited for. */
const EXECUTORS_TIMEOUT_MS = 5_000
/** Tries of a task that has to be run again. */
const TRIES_MAX = 3

export interface ResumedRunOptions {
  readonly clock: Clock
  readonly log: Log
  readonly executors: Executors
  readonly queryId: string
  readonly epoch: number
  readonly tasks: readonly TaskSpec[]
  readonly place: readonly TaskSoFar[]
  readonly ended: readonly TaskEnd[]
  readonly relay: ResultRelay
  readonly rowsMax: number
  /** Executors that are registered: results may lie on them even if they have not dialled yet. */
  readonly registered: () => readonly string[]
  readonly signal: AbortSignal
}

/** A task that has ended here: of its attempt, what it did also before. */
export interface EndedHere {
  readonly executor: string
  readonly result: TaskFinished
}

/** A task that is not over. */
interface Live {
  readonly spec: TaskSpec
  running: RunningTask | undefined
  attempt: number
  /** What the client has of attempts that were lost. */
  after: ResultSoFar | undefined
  tries: number
  avoid: ReadonlySet<string>
}

/**
 * Goes on with the result of a query that another coordinator began, or another client read: reads what executors hold
 * from where the client is, and runs again what is lost and of which the client has no row. The earlier stages of the
 * query are over, or what is left of it could not have begun.
 *
 * ```
 *   taking (all executors learn the owner epoch) ──► streaming ──► all tasks over
 * ```
 *
 * Nothing is released here: its owner does that, when the client has everything.
 */
export class ResumedRun {
  readonly #options: ResumedRunOptions
  readonly #live = new Map<number, Live>()
  readonly #asked = new Set<ExecutorLink>()
  readonly #answered = new Set<ExecutorLink>()
  #onAnswer: (() => void) | undefined
  readonly #held = new Map<number, readonly HeldAt[]>()
  readonly #done = deferred<undefined>()
  readonly #used = new Set<string>()
  readonly #endedHere: EndedHere[] = []
  #rows: number
  #isLeft = false
  #stopWatching: (() => void) | undefined

  constructor(options: ResumedRunOptions) {
    this.#options = options
    this.#rows = options.ended.reduce((sum, end) => sum + end.rows, 0)
    this.#done.promise.catch(() => undefined)
  }

  /** Rows of the tasks that are over. */
  get rows(): number {
    return this.#rows
  }

  get tasksDone(): number {
    return this.#options.tasks.length - this.#live.size
  }

  get endedHere(): readonly EndedHere[] {
    return this.#endedHere
  }

  get executorsUsed(): number {
    return this.#used.size
  }

  /** Fails with `executor_lost` where rows were lost with an executor, so that they cannot be gone on with. */
  async take(): Promise<void> {
    const { executors, signal } = this.#options
    const onAbort = (): void => this.#done.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#done.promise.catch(() => signal.removeEventListener('abort', onAbort))
    signal.throwIfAborted()
    this.#stopWatching = executors.onChange(() => this.#dispatch())
    const plan = await this.#takeAll()
    this.#tellLost(plan)
    for (const task of plan) this.#begin(task)
    this.#dispatch()
  }

  /** Resolves when all frames of all tasks have left; to be called after {@link take}. */
  async run(): Promise<void> {
    const { relay, signal, clock, executors, queryId } = this.#options
    const watch = watchExecutors({ clock, executors, isKept: () => true }, (error) =>
      this.#done.reject(mayGoOnElsewhere(error) ? notHere(queryId, error) : error),
    )
    const stopWatching = executors.onChange(() => watch.check())
    watch.check()
    try {
      if (this.#live.size === 0) this.#done.resolve(undefined)
      await this.#done.promise
      await relay.empty()
      signal.throwIfAborted()
    } finally {
      watch.stop()
      stopWatching()
      this.stop()
    }
  }

  /** Reads no more. The tasks are left as they are. */
  stop(): void {
    this.#isLeft = true
    this.#stopWatching?.()
    for (const { running } of this.#live.values()) running?.leave()
  }

  /** Rows of these were delivered, and what comes after them is to be computed once more. */
  #tellLost(plan: readonly TaskResumption[]): void {
    const { log, place, queryId } = this.#options
    const tasks = plan
      .filter(({ kind }) => kind === 'runAgain')
      .map(({ spec }) => spec.task)
      .filter((task) => place.some((one) => one.task === task && one.frames > 1))
    if (tasks.length > 0) log.warn('resultsRunAgain', { query: queryId, tasks })
  }

  /** What is to be done for each task, as soon as that is sure. */
  async #takeAll(): Promise<readonly TaskResumption[]> {
    const { clock, executors } = this.#options
    const end = clock.now() + EXECUTORS_TIMEOUT_MS
    for (;;) {
      const changed = deferred<void>()
      this.#onAnswer = () => changed.resolve()
      const stopListening = executors.onChange(() => changed.resolve())
      const stopTimer = clock.after(Math.max(0, end - clock.now()), () => changed.resolve())
      try {
        for (const link of executors.links()) this.#take(link)
        if (executors.isCutOff && !isMutant('no-handing-on'))
          throw notHere(this.#options.queryId, cutOff())
        const plan = planResumption({ ...this.#options, held: this.#held })
        if (this.#isSure(plan) || clock.now() >= end) {
          const isLost = plan.some(({ kind }) => kind === 'lost')
          if (isLost) throw this.#rowsLost(this.#isSure(plan))
          return plan
        }
        await Promise.race([changed.promise, this.#done.promise])
      } finally {
        stopListening()
        stopTimer()
      }
    }
  }

  /** Nothing that is still to be heard could change the plan for the better. */
  #isSure(plan: readonly TaskResumption[]): boolean {
    if (plan.every(({ kind }) => kind === 'resume')) return true
    const { executors, registered } = this.#options
    return (
      executors.links().every((link) => this.#answered.has(link)) &&
      registered().every((id) => executors.get(id) !== undefined)
    )
  }

  /** Where some executor was not heard it may have them, and another coordinator may hear it. */
  #rowsLost(isSure: boolean): SqlError {
    const { queryId } = this.#options
    const error = rowsLost(queryId)
    return isSure || !mayGoOnElsewhere(error) ? error : notHere(queryId, error)
  }

  /** The executor refuses older owners from now on, and says what it holds. */
  #take(link: ExecutorLink): void {
    if (this.#asked.has(link)) return
    this.#asked.add(link)
    const { queryId, epoch } = this.#options
    link.takeQuery(queryId, epoch).then(
      (results) => this.#onHeld(link, results),
      // It has gone, and is asked again when it is back.
      () => undefined,
    )
  }

  #onHeld(link: ExecutorLink, results: readonly HeldResult[]): void {
    this.#answered.add(link)
    for (const { task, attempt, firstFrame } of results) {
      const at: HeldAt = { executor: link.id, attempt, firstFrame }
      const others = (this.#held.get(task) ?? []).filter(({ executor }) => executor !== link.id)
      this.#held.set(task, [...others, at])
    }
    this.#onAnswer?.()
  }

  #begin(task: TaskResumption): void {
    if (task.kind === 'lost') return
    const { spec } = task
    const attempt = task.kind === 'resume' ? task.attempt : attemptUnder(this.#options.epoch, 0)
    const { relay, executors, epoch } = this.#options
    const isNew = task.kind === 'runAgain' || task.fromFrame <= 1
    // Of what the client has the schema at most: that may be of an attempt that is gone.
    const after = isNew ? relay.restart(spec.task) : undefined
    const live: Live = { spec, attempt, after, running: undefined, tries: 0, avoid: new Set() }
    this.#live.set(spec.task, live)
    if (task.kind === 'runAgain') return
    const link = executors.get(task.executor)
    if (link === undefined) return this.#onFailed(live, goneSince(task.executor))
    const ref = { queryId: spec.queryId, task: spec.task, attempt }
    this.#start(live, link, (events) =>
      link.resumeTask(ref, epoch, { fromFrame: task.fromFrame, events }),
    )
    // The client has said so to a coordinator that may not have passed it on.
    live.running?.acknowledge(task.fromFrame)
  }

  /** Starts what has to be run again, where there is room. */
  #dispatch(): void {
    const { executors, epoch, signal } = this.#options
    if (signal.aborted || this.#isLeft) return
    for (const live of this.#live.values()) {
      if (live.running !== undefined) continue
      const id = executors.placement.place({ avoid: live.avoid })
      const link = id === undefined ? undefined : executors.get(id)
      if (link === undefined) return
      this.#take(link)
      const { attempt, after } = live
      const spec = { ...live.spec, attempt, ...(after === undefined ? {} : { after }) }
      this.#start(live, link, (events) => link.startTask(spec, epoch, events))
      link.keepQuery(live.spec.queryId, epoch)
    }
  }

  #start(live: Live, link: ExecutorLink, start: (events: TaskEvents) => RunningTask): void {
    const { relay, signal } = this.#options
    this.#used.add(link.id)
    const source: FrameSource = {
      sent: (bytes) => running.grant(bytes),
      acknowledged: (frames) => running.acknowledge(frames),
    }
    const running = start({
      columns: () => undefined,
      frame: (frame, message) => {
        if (!signal.aborted) relay.push(frame, message, source)
      },
      progress: () => undefined,
      finished: (result) => this.#onFinished(live, result),
      failed: (error) => {
        live.avoid = new Set([...live.avoid, link.id])
        this.#onFailed(live, error)
      },
    })
    live.running = running
    running.grant(TASK_WINDOW_BYTES)
  }

  #onFinished(live: Live, result: TaskFinished): void {
    const { task, attempt, frames, rows, crc } = result
    const { relay, rowsMax, signal } = this.#options
    if (signal.aborted || this.#isLeft) return
    this.#rows += rows
    this.#endedHere.push({ executor: live.running?.executor ?? '', result })
    this.#live.delete(live.spec.task)
    relay.end({ task, attempt, frames, rows, crc })
    if (rowsMax > 0 && this.#rows > rowsMax) return this.#done.reject(tooManyRows(rowsMax))
    if (this.#live.size === 0) this.#done.resolve(undefined)
    this.#dispatch()
  }

  #onFailed(live: Live, error: SqlError): void {
    const { relay, log, epoch, queryId, signal, executors } = this.#options
    if (signal.aborted || this.#isLeft) return
    const { task } = live.spec
    const isAlone = executors.size === 0 || isMutant('no-rerun-after-rows')
    if (relay.hasSentRows(task) && isAlone) {
      return this.#done.reject(mayGoOnElsewhere(error) ? notHere(queryId, error) : error)
    }
    if (!error.retryable || FINAL.has(error.error) || ++live.tries >= TRIES_MAX) {
      return this.#done.reject(error)
    }
    log.warn('taskRetried', { query: queryId, task, error: error.error, message: error.message })
    live.after = relay.restart(task)
    live.attempt = attemptUnder(epoch, live.tries)
    live.running = undefined
    this.#dispatch()
  }
}

/** Another attempt would end alike. */
const FINAL: ReadonlySet<string> = new Set(['task_superseded', 'result_lost'])

const goneSince = (executor: string): SqlError =>
  new SqlError('executor_lost', `executor ${executor} has gone`)

const rowsLost = (queryId: string): SqlError =>
  new SqlError(
    'executor_lost',
    `query "${queryId}" cannot go on from where its client is: what is left of a task was lost with its executor`,
    { queryId, hint: 'run the statement again' },
  )
