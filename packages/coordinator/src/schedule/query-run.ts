import { assert, type Deferred, deferred, failpoint, isMutant } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import type { ResultSoFar, TaskSpec } from '@nyala/executor/protocol'
import { type Fragment, type PhysicalPlan, taskAffinity } from '../plan/physical-plan.ts'
import { partsOf, type Produced } from '../plan/fragment/tasks.ts'
import { Attempts, type Live } from './attempts.ts'
import type { ExecutorLink, TaskFinished } from './executor-link.ts'
import { mayGoOnElsewhere, notHere } from './elsewhere.ts'
import { failureError, strangeFrame, tooManyRows } from './failure-error.ts'
import { watchExecutors } from './executor-watch.ts'
import type { QueryRunOptions } from './query-run-options.ts'
import { Complaints, isSameAgain, type Loss, loseOutputs, lostToCuts, NO_LOSS } from './repair.ts'
import { type FrameSource, TASK_WINDOW_BYTES } from './result-relay.ts'
import {
  adaptedPlan,
  lostProducers,
  producedBy,
  producersOf,
  type StageReport,
} from './run-exchanges.ts'
import { ResultInputs } from './result-inputs.ts'
import { type RunProgress, runProgress, tasksTotal } from './run-progress.ts'
import { every, LOOK_MS, Pace } from './speculation.ts'
import * as stages from './stage.ts'
import { attemptKey, numberOf, TASKS_PER_FRAGMENT_MAX } from './task-numbers.ts'
import { taskSpecOf } from './task-spec.ts'

/** A query is begun under the owner epoch of a record's first owner, whether it gets a record or not. */
export const EPOCH = 1
/** Times that stages run again because an executor was lost with their output. */
const REPAIRS_MAX = 5

/** Of the stage that runs: it is over, or may have room for more. */
interface Control {
  readonly ended: Deferred<undefined>
  readonly advance: () => void
}

type Report = { -readonly [K in keyof StageReport]: StageReport[K] }

/**
 * Drives one query: runs its stages in order, hands tasks to executors as they have room, runs transient failures
 * again elsewhere, and relays the rows of the last stage. The decisions are those of `stage.ts`; this file awaits.
 *
 * `run` ends in exactly one way: all rows relayed, or an error; in both cases every executor that took part is told
 * to release the query, but for one that is kept and has ended well: its client may still ask for its end elsewhere.
 * After an abort no frame is sent.
 */
export class QueryRun {
  readonly #options: QueryRunOptions
  readonly #live: Attempts
  readonly #used = new Set<string>()
  readonly #reports: Report[] = []
  /** The life of the executor to which each attempt of a task was given; segments do not outlive it. */
  readonly #incarnations = new Map<string, number>()
  /** By number: what the client has of tasks that were lost in the midst of their rows. */
  readonly #after = new Map<number, ResultSoFar>()
  /** The plan as it is now: what has run, and what is left as it is thought of since. */
  #plan: PhysicalPlan
  #repairs = 0
  /** Executors whose output is to be made again, though they live: it cannot be read where the running stage reads it. */
  #severed: Loss = NO_LOSS
  readonly #complaints = new Complaints()
  readonly #inputs = new ResultInputs()
  #columns: readonly Column[] | undefined
  #rows = 0
  /** There is a record of it: others may go on with it. */
  #isKept = false
  /** It is no longer for this coordinator to say what becomes of it. */
  #isLeft = false

  constructor(options: QueryRunOptions) {
    this.#options = options
    this.#plan = options.plan
    this.#live = new Attempts(options)
  }

  get reports(): readonly StageReport[] {
    return this.#reports
  }

  get rows(): number {
    return this.#rows
  }

  get tasksTotal(): number {
    return tasksTotal(this.#plan, this.#reports, this.#options.slots)
  }

  get executorsUsed(): number {
    return this.#used.size
  }

  get columns(): readonly Column[] | undefined {
    return this.#columns
  }

  /** The rows of the result's tasks follow one another. */
  get isInOrder(): boolean {
    return this.#reports.some(({ fragment }) => fragment.ranges !== undefined)
  }

  /** Every task of the result, as its first attempt, once what they read is there; the stage must have begun. */
  async resultTasks(): Promise<readonly TaskSpec[]> {
    await this.#inputs.there()
    const report = this.#reports.find(({ fragment }) => fragment.output.kind === 'result')
    assert(report !== undefined, 'the stage of the result has begun')
    return report.parts.map((_, task) =>
      this.#spec(report, { task, attempt: 0, executor: '' }, numberOf(report.fragment, task)),
    )
  }

  /** Executors are to keep what there is of it, should this coordinator vanish. */
  keep(): void {
    this.#isKept = true
    const { executors, queryId } = this.#options
    for (const id of this.#used) executors.get(id)?.keepQuery(queryId, EPOCH)
  }

  /** Leaves everything as it is for whoever goes on with it; to be aborted then. */
  leave(): void {
    this.#isLeft = true
    for (const live of this.#live.all()) live.task.leave()
  }

  progress(): RunProgress {
    return runProgress(this.#plan, this.#reports, this.#live.all())
  }

  async run(): Promise<void> {
    const { signal, relay } = this.#options
    const onAbort = (): void => {
      relay.stop()
      if (!this.#isLeft) this.#live.cancel()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (let next = 0; next < this.#plan.fragments.length;) next = await this.#advanceFrom(next)
      await this.#options.delivered?.()
      await relay.empty()
      signal.throwIfAborted()
      failpoint('query.ending')
      if (!this.#isKept) this.#release()
    } catch (error) {
      if (this.#isLeft) throw error
      if (this.#isKept && !signal.aborted && mayGoOnElsewhere(error)) {
        this.leave()
        throw notHere(this.#options.queryId, error)
      }
      this.#live.cancel()
      this.#release()
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#inputs.end()
    }
  }

  #release(): void {
    const { executors, queryId } = this.#options
    for (const id of this.#used) executors.get(id)?.releaseQuery(queryId, EPOCH)
  }

  /** Runs one stage. The number of the next to run: the following one, or an earlier one whose output was lost. */
  async #advanceFrom(index: number): Promise<number> {
    const report = this.#reportOf(index)
    try {
      await this.#runStage(report)
      // Not where later stages have begun: they are being repaired as they were planned.
      if (this.#reports.length === index + 1)
        this.#plan = adaptedPlan(this.#plan, this.#reports, index + 1)
      return index + 1
    } catch (error) {
      const { missed } = this.#severed
      const lost = new Set([...this.#lostExecutors(index), ...this.#severed.lost])
      this.#severed = NO_LOSS
      const isRepairable =
        error instanceof SqlError && error.retryable && lost.size > 0 && this.#mayMakeAgain(lost)
      if (this.#options.signal.aborted || !isRepairable || ++this.#repairs > REPAIRS_MAX)
        throw error
      this.#options.log.warn('stagesRepaired', { query: this.#options.queryId, lost: [...lost] })
      this.#stopStage(report)
      this.#inputs.lost()
      const { states, first } = loseOutputs(this.#reports, index, { lost, missed })
      states.forEach((state, i) => {
        const known = this.#reports[i]
        if (known !== undefined) known.state = state
      })
      return first
    }
  }

  #produced(exchange: number): readonly Produced[] {
    return producedBy(this.#reports, this.#plan, exchange)
  }

  #reportOf(index: number): Report {
    const known = this.#reports[index]
    if (known !== undefined) return known
    const { clock, queryId } = this.#options
    const plan = this.#plan
    const fragment = plan.fragments[index]
    assert(fragment !== undefined, 'stages are those of the plan')
    const { slots, taskBytesMin } = this.#options
    const limits = { slots, bytesMin: taskBytesMin }
    const parts = partsOf(fragment, (exchange) => this.#produced(exchange), limits)
    assert(parts.length < TASKS_PER_FRAGMENT_MAX, 'a fragment has a bounded number of tasks')
    const affinities = parts.map((part) => taskAffinity(plan, fragment, part) ?? queryId)
    const report: Report = {
      fragment,
      parts,
      state: stages.newStage(affinities, { inOrder: fragment.ranges !== undefined }),
      startedMs: clock.now(),
      endedMs: undefined,
    }
    this.#reports.push(report)
    if (fragment.ranges !== undefined && this.#options.table === undefined)
      this.#options.relay.inOrder(parts.map((_, task) => numberOf(fragment, task)))
    return report
  }

  /** Executors whose segments are needed by a stage but that are gone, or are back in another life. */
  #lostExecutors(index: number): ReadonlySet<string> {
    return lostProducers(
      this.#reports.slice(0, index),
      (fragment, task, attempt) => this.#incarnations.get(attemptKey(fragment, task, attempt)),
      (executor) => this.#options.executors.get(executor)?.hello.incarnation,
    )
  }

  #hasDelivered(): boolean {
    // A range that was found to be empty would not be, were its bounds others.
    const isBound = this.#reports.some(({ state }) => stages.isOrderBegun(state))
    return isBound || this.#rows > 0 || this.#live.all().some((live) => this.#hasSent(live))
  }

  /** What was lost may be made again, where rows were delivered that were made of it: it will be the same rows. */
  #mayMakeAgain(lost: ReadonlySet<string>): boolean {
    return !this.#hasDelivered() || isSameAgain(this.#reports, lost)
  }

  /** Rows of the task went to the client, and nobody is there who could go on with it. */
  #isStuck(live: Live): boolean {
    const isAlone = this.#options.executors.size === 0
    return this.#hasSent(live) && (isAlone || isMutant('no-rerun-after-rows'))
  }

  /** Rows of the task went to the client: another attempt has to go on after them. */
  #hasSent({ number }: Live): boolean {
    return this.#options.relay.hasSentRows(number)
  }

  /** Tasks of a stage whose inputs went: what they still say is about attempts that no longer count. */
  #stopStage(report: Report): void {
    this.#abandonTasks(report)
    report.state = stages.toRestarted(report.state)
  }

  #abandonTasks({ fragment }: Report): void {
    for (const number of this.#live.abandon(fragment)) this.#restart(number)
  }

  #restart(number: number): void {
    const after = this.#options.relay.restart(number)
    if (after === undefined) this.#after.delete(number)
    else this.#after.set(number, after)
  }

  async #runStage(report: Report): Promise<void> {
    const { clock, executors, signal } = this.#options
    const ended = deferred<undefined>()
    const isKept = (): boolean => this.#isKept
    const watch = watchExecutors({ clock, executors, isKept }, (error) => ended.reject(error))
    const advance = (): void => {
      watch.check()
      this.#checkInputs(report, ended)
      this.#dispatch(report, ended, advance)
    }
    const running = (): number => this.#live.size
    const stopLooking = every(clock, LOOK_MS, () => this.#startTwins(report, { ended, advance }))
    const stopWatching = executors.onChange(advance, { session: this.#options.session, running })
    const onAbort = (): void => ended.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      if (report.fragment.output.kind === 'result') this.#inputs.made()
      advance()
      await ended.promise
      report.endedMs = clock.now()
    } finally {
      watch.stop()
      stopLooking()
      stopWatching()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** A stage whose inputs lay on a lost executor need not wait until a task fails to read them. */
  #checkInputs(report: Report, ended: Deferred<undefined>, isNeeded = !this.#hasDelivered()): void {
    if (report.fragment.inputs.length === 0 || stages.isDone(report.state)) return
    const [lost] = this.#lostExecutors(this.#reports.indexOf(report))
    if (lost === undefined || !isNeeded) return
    ended.reject(new SqlError('executor_lost', `executor ${lost} was lost with its segments`))
  }

  #dispatch(report: Report, ended: Deferred<undefined>, advance: () => void): void {
    if (this.#options.signal.aborted) return
    if (stages.isDone(report.state)) return ended.resolve(undefined)
    const { executors, session } = this.#options
    const producers = (): ReadonlySet<string> =>
      producersOf(report.fragment, (n) => this.#produced(n))
    const cut = executors.cutFrom(producers)
    if (cut.size > 0 && this.#isSevered(report, producers())) {
      return ended.reject(new SqlError('executor_lost', 'no executor reaches all of the segments'))
    }
    const isFirst = executors.tasksOf(session) === 0
    const plan = stages.planDispatch(report.state, executors.placement, cut, isFirst)
    for (const assignment of plan) {
      const link = executors.get(assignment.executor)
      if (link === undefined) continue
      report.state = stages.toRunning(report.state, assignment)
      this.#start(report, assignment, link, { ended, advance })
    }
  }

  /** Files of a table are written once, as they would have to be removed where they are not needed. */
  #startTwins(report: Report, control: Control): void {
    const { signal, table, executors, log, queryId } = this.#options
    if (signal.aborted || (table !== undefined && report.fragment.output.kind === 'result')) return
    for (const twin of this.#live.twins(report)) {
      const link = executors.get(twin.executor)
      if (link === undefined) continue
      report.state = stages.toTwin(report.state, twin)
      log.info('twinStarted', { query: queryId, ...twin })
      this.#start(report, twin, link, control)
    }
  }

  /** Nobody can run what is left of a stage as its inputs lie now, and they may be made again where somebody can. */
  #isSevered(report: Report, producers: ReadonlySet<string>): boolean {
    const { executors } = this.#options
    if (stages.countTasks(report.state, 'pending') === 0) return false
    const able = executors.states().filter(({ draining }) => !draining)
    const loss = lostToCuts(this.#reports.slice(0, this.#reports.indexOf(report)), {
      consumers: able.map(({ id }) => id),
      producers,
      missedBy: (id) => executors.missedBy(id),
    })
    return this.#sever(loss)
  }

  /** What these have written is to be made again, though they live; false where there is nothing, or it may not be. */
  #sever(loss: Loss): boolean {
    if (loss.lost.size === 0 || !this.#mayMakeAgain(loss.lost)) return false
    this.#severed = loss
    return true
  }

  #start(
    report: Report,
    assignment: stages.Assignment,
    link: ExecutorLink,
    control: Control,
  ): void {
    const { clock, relay, signal } = this.#options
    const { task: index, attempt } = assignment
    const key = attemptKey(report.fragment, index, attempt)
    this.#incarnations.set(key, link.hello.incarnation)
    const number = numberOf(report.fragment, index)
    this.#used.add(link.id)
    const task = link.startTask(this.#spec(report, assignment, number), EPOCH, {
      columns: (columns) => this.#onColumns(report.fragment, columns),
      frame: (frame, message) => {
        if (!this.#sendsRows(report)) return control.ended.reject(strangeFrame(frame))
        if (signal.aborted) return
        this.#live.settle(report, live)
        relay.push(frame, message, source)
      },
      progress: (progress) => {
        live.progress = progress
        live.pace.tick(clock.now())
      },
      finished: (result) => {
        this.#live.remove(live)
        this.#live.settle(report, live)
        this.#onFinished(report, index, result, control)
      },
      failed: (error, unreadable) => {
        this.#live.remove(live)
        const failure = { error, unreadable, delivered: this.#isStuck(live), attempt }
        this.#onFailed(report, index, failure, control)
      },
    })
    const source: FrameSource = {
      sent: (bytes) => task.grant(bytes),
      acknowledged: (frames) => task.acknowledge(frames),
    }
    if (this.#isKept) link.keepQuery(this.#options.queryId, EPOCH)
    const live: Live = {
      task,
      index,
      part: report.parts[index] ?? { kind: 'all' },
      fragment: report.fragment,
      number,
      attempt,
      pace: new Pace(clock.now()),
      progress: undefined,
    }
    this.#live.add(live)
    failpoint('query.running')
    if (report.fragment.output.kind === 'result') task.grant(TASK_WINDOW_BYTES)
  }

  #sendsRows = ({ fragment }: Report): boolean =>
    fragment.output.kind === 'result' && this.#options.table === undefined

  #onColumns(fragment: Fragment, columns: readonly Column[]): void {
    if (fragment.output.kind !== 'result' || this.#columns !== undefined) return
    this.#columns = columns
    if (!this.#options.signal.aborted) this.#options.onColumns(columns)
  }

  #onFinished(report: Report, index: number, result: TaskFinished, control: Control): void {
    report.state = stages.toFinished(report.state, index, {
      rows: result.rows,
      segments: result.segments,
      statistics: result.statistics,
      profile: result.profile,
      tableFiles: result.tableFiles,
    })
    if (this.#sendsRows(report)) {
      this.#rows += result.rows
      const { rowsMax, relay } = this.#options
      const { task, attempt, frames, rows, crc } = result
      relay.end({ task, attempt, frames, rows, crc })
      if (rowsMax > 0 && this.#rows > rowsMax) return control.ended.reject(tooManyRows(rowsMax))
    }
    const { rowsEnough } = report.fragment
    if (rowsEnough !== undefined && stages.rowsOf(report.state) >= rowsEnough) {
      this.#abandonTasks(report)
      report.state = stages.toEnough(report.state)
    }
    control.advance()
  }

  #onFailed(
    report: Report,
    index: number,
    failure: {
      readonly error: SqlError
      readonly unreadable: string | undefined
      readonly delivered: boolean
      readonly attempt: number
    },
    control: Control,
  ): void {
    if (this.#options.signal.aborted) return
    // Whatever a task says of inputs that are gone, the cause is that they are gone.
    this.#checkInputs(report, control.ended, failure.error.retryable && !failure.delivered)
    if (this.#isUnreadable(failure)) return control.ended.reject(failure.error)
    const outcome = stages.onTaskFailed(report.state, index, failure)
    if (outcome.kind === 'fail')
      return control.ended.reject(failureError(outcome.why, failure.error))
    this.#options.log.warn('taskRetried', {
      query: this.#options.queryId,
      task: index,
      error: failure.error.error,
      message: failure.error.message,
    })
    if (!this.#live.hasRival(report, index)) this.#restart(numberOf(report.fragment, index))
    report.state = outcome.stage
    control.advance()
  }

  /** Tasks have not found what an executor wrote, though it lives, and it may be made again. */
  #isUnreadable(failure: {
    readonly unreadable: string | undefined
    readonly delivered: boolean
  }): boolean {
    const { unreadable, delivered } = failure
    if (unreadable === undefined || delivered || !this.#complaints.add(unreadable)) return false
    return this.#sever({ ...NO_LOSS, lost: new Set([unreadable]) })
  }

  #spec(report: Report, assignment: stages.Assignment, number: number): TaskSpec {
    const { fragment } = report
    const part = report.parts[assignment.task]
    assert(part !== undefined, 'a task has a part')
    return taskSpecOf(this.#options, {
      plan: this.#plan,
      fragment,
      part,
      number,
      attempt: assignment.attempt,
      after: this.#after.get(number),
      alone: (report.state.crashes[assignment.task] ?? 0) > 0,
      produced: (exchange) => this.#produced(exchange),
    })
  }
}
