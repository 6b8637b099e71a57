import { assert, type Clock, type Deferred, deferred, type Log } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import type { Frame } from '@nyala/client/wire'
import type { Segment, TaskSpec } from '@nyala/executor/protocol'
import {
  type Fragment,
  type PhysicalPlan,
  taskAffinity,
  taskBytes,
  taskCount,
  taskSql,
} from '../plan/physical-plan.ts'
import type { ExecutorLink, RunningTask, TaskFinished, TaskProgress } from './executor-link.ts'
import type { Executors } from './executors.ts'
import { type ResultRelay, TASK_WINDOW_BYTES } from './result-relay.ts'
import * as stages from './stage.ts'

/** How long a task waits for any executor to be connected. */
const NO_EXECUTORS_TIMEOUT_MS = 10_000
const EPOCH = 1

export interface QueryRunOptions {
  readonly clock: Clock
  readonly log: Log
  readonly executors: Executors
  readonly queryId: string
  readonly plan: PhysicalPlan
  readonly relay: ResultRelay
  readonly memoryLimitBytes: number
  readonly profile: boolean
  readonly kernelSettings: Readonly<Record<string, string>>
  readonly rowsMax: number
  readonly signal: AbortSignal
  onColumns(columns: readonly Column[]): void
}

/** A stage as it ended or stands, for profiles. */
export interface StageReport {
  readonly fragment: Fragment
  readonly state: stages.StageState
  readonly startedMs: number
  readonly endedMs: number | undefined
}

interface Live {
  readonly task: RunningTask
  readonly index: number
  readonly fragment: Fragment
  /** True once a row of it went to the client: from then on it cannot be run again. */
  delivered: boolean
  progress: TaskProgress | undefined
}

/**
 * Drives one query: runs its stages in order, hands tasks to executors as they have room, runs transient failures
 * again elsewhere, and relays the rows of the last stage. The decisions are those of `stage.ts`; this file awaits.
 *
 * `run` ends in exactly one way: all rows relayed, or an error; in both cases every executor that took part is told
 * to release the query. After an abort no frame is sent.
 */
export class QueryRun {
  readonly #options: QueryRunOptions
  readonly #live = new Map<number, Live>()
  readonly #used = new Set<string>()
  readonly #segments = new Map<number, readonly Segment[]>()
  readonly #reports: { -readonly [K in keyof StageReport]: StageReport[K] }[] = []
  #columnsSent = false
  #rows = 0

  constructor(options: QueryRunOptions) {
    this.#options = options
  }

  get reports(): readonly StageReport[] {
    return this.#reports
  }

  get rows(): number {
    return this.#rows
  }

  get tasksTotal(): number {
    return this.#options.plan.fragments.reduce((sum, fragment) => sum + taskCount(fragment), 0)
  }

  get executorsUsed(): number {
    return this.#used.size
  }

  /** Where the query stands: tasks, and bytes of the splits of what is done or under way. */
  progress(): {
    readonly tasksDone: number
    readonly tasksRunning: number
    readonly rowsRead: number
    readonly bytesRead: number
    readonly bytesTotal: number
  } {
    const { plan } = this.#options
    let [tasksDone, bytesRead, rowsRead] = [0, 0, 0]
    for (const { fragment, state } of this.#reports) {
      state.tasks.forEach((task, index) => {
        if (task.kind !== 'finished') return
        tasksDone++
        bytesRead += taskBytes(plan, fragment, index)
      })
    }
    for (const live of this.#live.values()) {
      const fraction = live.progress?.fraction ?? 0
      bytesRead += Math.round(taskBytes(plan, live.fragment, live.index) * fraction)
      rowsRead += live.progress?.rowsRead ?? 0
    }
    const bytesTotal = plan.fragments.reduce(
      (sum, f) =>
        sum +
        Array.from({ length: taskCount(f) }, (_, i) => taskBytes(plan, f, i)).reduce(
          (a, b) => a + b,
          0,
        ),
      0,
    )
    return { tasksDone, tasksRunning: this.#live.size, rowsRead, bytesRead, bytesTotal }
  }

  async run(): Promise<void> {
    const { plan, signal, relay } = this.#options
    const onAbort = (): void => {
      relay.stop()
      for (const live of this.#live.values()) live.task.cancel()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (const fragment of plan.fragments) await this.#runStage(fragment)
      await relay.empty()
      signal.throwIfAborted()
    } finally {
      signal.removeEventListener('abort', onAbort)
      for (const live of this.#live.values()) live.task.cancel()
      this.#release()
    }
  }

  #release(): void {
    const { executors, queryId } = this.#options
    for (const id of this.#used) executors.get(id)?.releaseQuery(queryId, EPOCH)
  }

  async #runStage(fragment: Fragment): Promise<void> {
    const { plan, clock, executors, signal } = this.#options
    const affinities = Array.from(
      { length: taskCount(fragment) },
      (_, task) => taskAffinity(plan, fragment, task) ?? this.#options.queryId,
    )
    const report = {
      fragment,
      state: stages.newStage(affinities),
      startedMs: clock.now(),
      endedMs: undefined as number | undefined,
    }
    this.#reports.push(report)
    const ended = deferred<undefined>()
    const watch = this.#watchExecutors(ended)
    const advance = (): void => {
      watch.check()
      this.#dispatch(report, ended, advance)
    }
    const stopWatching = executors.onChange(advance)
    const onAbort = (): void => ended.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      advance()
      await ended.promise
      report.endedMs = clock.now()
      if (fragment.output.kind === 'exchange') {
        this.#segments.set(
          fragment.output.exchange,
          report.state.tasks.flatMap((task) => (task.kind === 'finished' ? task.segments : [])),
        )
      }
    } finally {
      watch.stop()
      stopWatching()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** A cluster that has lost its executors answers with an error in time, not with silence. Called on every change. */
  #watchExecutors(ended: Deferred<undefined>): { check(): void; stop(): void } {
    const { clock, executors } = this.#options
    let stopTimer: (() => void) | undefined
    const expire = (): void =>
      ended.reject(
        new SqlError(
          'no_executors',
          `no executor has been connected for ${NO_EXECUTORS_TIMEOUT_MS / 1000} s`,
          { hint: 'see `nyala status` for the members of the cluster' },
        ),
      )
    const stop = (): void => {
      stopTimer?.()
      stopTimer = undefined
    }
    const check = (): void => {
      if (executors.size > 0) stop()
      else stopTimer ??= clock.after(NO_EXECUTORS_TIMEOUT_MS, expire)
    }
    return { check, stop }
  }

  #dispatch(
    report: StageReport & { state: stages.StageState },
    ended: Deferred<undefined>,
    advance: () => void,
  ): void {
    if (this.#options.signal.aborted) return
    if (stages.isDone(report.state)) return ended.resolve(undefined)
    const { executors } = this.#options
    const plan = stages.planDispatch(
      report.state,
      executors.states(),
      (id) => executors.get(id)?.hello.threads ?? 1,
    )
    for (const assignment of plan) {
      const link = executors.get(assignment.executor)
      if (link === undefined) continue
      report.state = stages.toRunning(report.state, assignment)
      this.#start(report, assignment, link, { ended, advance })
    }
  }

  #start(
    report: StageReport & { state: stages.StageState },
    assignment: stages.Assignment,
    link: ExecutorLink,
    control: { readonly ended: Deferred<undefined>; readonly advance: () => void },
  ): void {
    const { task: index } = assignment
    const number = this.#taskNumber(report.fragment, index)
    this.#used.add(link.id)
    const end = (): void => {
      this.#live.delete(number)
    }
    const task = link.startTask(this.#spec(report.fragment, assignment, number), EPOCH, {
      columns: (columns) => this.#onColumns(report.fragment, columns),
      frame: (frame, message) => this.#onFrame(live, frame, message),
      progress: (progress) => {
        live.progress = progress
      },
      finished: (result) => {
        end()
        this.#onFinished(report, index, result, control)
      },
      failed: (error) => {
        end()
        this.#onFailed(report, index, { error, delivered: live.delivered }, control)
      },
    })
    const live: Live = {
      task,
      index,
      fragment: report.fragment,
      delivered: false,
      progress: undefined,
    }
    this.#live.set(number, live)
    if (report.fragment.output.kind === 'result') task.grant(TASK_WINDOW_BYTES)
  }

  #onColumns(fragment: Fragment, columns: readonly Column[]): void {
    if (fragment.output.kind !== 'result' || this.#columnsSent) return
    this.#columnsSent = true
    if (!this.#options.signal.aborted) this.#options.onColumns(columns)
  }

  #onFrame(live: Live, frame: Frame, message: Uint8Array): void {
    if (this.#options.signal.aborted) return
    const bytes = message.byteLength
    const hasRows = this.#options.relay.push(frame, message, () => live.task.grant(bytes))
    if (hasRows) live.delivered = true
  }

  #onFinished(
    report: StageReport & { state: stages.StageState },
    index: number,
    result: TaskFinished,
    control: { readonly ended: Deferred<undefined>; readonly advance: () => void },
  ): void {
    report.state = stages.toFinished(report.state, index, {
      rows: result.rows,
      segments: result.segments,
      statistics: result.statistics,
      profile: result.profile,
    })
    if (report.fragment.output.kind === 'result') {
      this.#rows += result.rows
      const { rowsMax } = this.#options
      if (rowsMax > 0 && this.#rows > rowsMax) {
        return control.ended.reject(
          new SqlError('configuration_limit_exceeded', `the result has more than ${rowsMax} rows`, {
            hint: 'add LIMIT, or raise the setting max_rows',
          }),
        )
      }
    }
    control.advance()
  }

  #onFailed(
    report: StageReport & { state: stages.StageState },
    index: number,
    failure: { readonly error: SqlError; readonly delivered: boolean },
    control: { readonly ended: Deferred<undefined>; readonly advance: () => void },
  ): void {
    if (this.#options.signal.aborted) return
    const outcome = stages.onTaskFailed(report.state, index, failure)
    if (outcome.kind === 'fail')
      return control.ended.reject(failureError(outcome.why, failure.error))
    this.#options.log.warn('taskRetried', {
      query: this.#options.queryId,
      task: index,
      error: failure.error.error,
      message: failure.error.message,
    })
    report.state = outcome.stage
    control.advance()
  }

  #taskNumber(fragment: Fragment, index: number): number {
    let number = index
    for (const earlier of this.#options.plan.fragments) {
      if (earlier === fragment) return number
      number += taskCount(earlier)
    }
    return number
  }

  #spec(fragment: Fragment, assignment: stages.Assignment, number: number): TaskSpec {
    const { plan, queryId, memoryLimitBytes, profile, kernelSettings } = this.#options
    const inputs = fragment.exchanges.map((exchange) => {
      const segments = this.#segments.get(exchange)
      assert(segments !== undefined, 'a stage starts only after the stages that feed it')
      return { exchange, segments }
    })
    return {
      queryId,
      task: number,
      attempt: assignment.attempt,
      sql: taskSql(plan, fragment, assignment.task),
      output:
        fragment.output.kind === 'result'
          ? { kind: 'result' }
          : { kind: 'exchange', exchange: fragment.output.exchange, partitions: 1, keys: [] },
      inputs,
      memoryLimitBytes,
      threads: 0,
      profile,
      kernelSettings,
    }
  }
}

function failureError(why: stages.FailReason, error: SqlError): SqlError {
  switch (why) {
    case 'error':
      return error
    case 'quarantined':
      return new SqlError(
        'query_quarantined',
        `the kernels of ${stages.KERNEL_CRASHES_MAX} executors died while they ran this query: ${error.message}`,
        {
          hint: 'the query is not tried again; lower its memory or change it',
          cause: error,
        },
      )
    case 'attempts':
      return new SqlError(
        error.error,
        `a task failed ${stages.ATTEMPTS_MAX} times, at last with: ${error.message}`,
        {
          hint: error.hint,
          cause: error,
        },
      )
    case 'delivered':
      return new SqlError(
        error.error,
        `${error.message}; part of the result had been delivered, so the query cannot go on by itself`,
        {
          hint: 'run the statement again',
          cause: error,
        },
      )
  }
}
