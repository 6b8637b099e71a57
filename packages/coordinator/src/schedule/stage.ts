import { assert, isMutant } from '@nyala/client/base'
import type { SqlError } from '@nyala/client/protocol'
import type { Segment, TableFile, TaskStatistics } from '@nyala/executor/protocol'
import type { ExecutorState, Placement } from './placement.ts'
import { carryLedger, ledgerOf } from './stage-ledger.ts'
import { stragglers } from './straggler.ts'

/**
 * The runtime state of one fragment, pure: what its tasks are doing, which may start where, and what a failure means.
 *
 *   task:   pending ──start──► running ──finish──► finished
 *              ▲                  │
 *              └──── retry ───────┤  (a transient failure, attempts left, of what was delivered another can go on)
 *                                 └──fail──► the stage has failed
 *   pending, running ──enough──► skipped  (the others have made all the rows that are wanted)
 *   finished ──lose──► pending    (its segments went with their executor)
 *   running ──restart──► pending  (what it reads is being made again)
 *
 * A running task may have two attempts, where the first does not get on (`speculation.ts`): the one that is through first
 * counts, and where one fails the other is what runs.
 */
export type TaskState =
  | { readonly kind: 'pending'; readonly attempt: number; readonly avoid: ReadonlySet<string> }
  | {
      readonly kind: 'running'
      readonly attempt: number
      readonly avoid: ReadonlySet<string>
      readonly executor: string
      readonly twin?: { readonly attempt: number; readonly executor: string } | undefined
      /** The last attempt that was begun, where that is a later one. */
      readonly last?: number | undefined
    }
  | {
      readonly kind: 'finished'
      readonly attempt: number
      readonly last?: number | undefined
      readonly executor: string
      readonly rows: number
      readonly segments: readonly Segment[]
      readonly statistics: TaskStatistics
      readonly profile: string | undefined
      readonly tableFiles?: readonly TableFile[] | undefined
    }
  | { readonly kind: 'skipped'; readonly attempt: number }

export interface StageState {
  readonly tasks: readonly TaskState[]
  /** What each task's placement should stick to. */
  readonly affinities: readonly (string | undefined)[]
  /** Deaths of kernels under each task. */
  readonly crashes: readonly number[]
  /** The first attempt of each task that counts: they count anew when what it reads, or what it wrote, is made again. */
  readonly countedFrom: readonly number[]
  /** Tasks for which some executor had no room on its disk. */
  readonly fullDisks: ReadonlySet<number>
  /** What the tasks make is read in their order: those behind the first that is not over wait for it. */
  readonly inOrder?: boolean | undefined
}

/** Tries of one task, the first included, of what it reads as that lies now. */
export const ATTEMPTS_MAX = 4
/** Kernels that may die under one task before its query is held to be the cause. */
export const KERNEL_CRASHES_MAX = 2

export function newStage(
  affinities: readonly (string | undefined)[],
  { inOrder }: Pick<StageState, 'inOrder'> = {},
): StageState {
  const pending: TaskState = { kind: 'pending', attempt: 0, avoid: new Set() }
  return {
    tasks: affinities.map(() => pending),
    affinities,
    crashes: affinities.map(() => 0),
    countedFrom: affinities.map(() => 0),
    fullDisks: new Set(),
    inOrder,
  }
}

/** Numbers of attempts are not used again. */
export const lastAttempt = (task: TaskState): number =>
  (task.kind === 'running' || task.kind === 'finished' ? task.last : undefined) ?? task.attempt

/** Further attempts that a task may have, as long as what it reads is not made again. */
export const attemptsLeft = (stage: StageState, index: number): number =>
  (stage.countedFrom[index] ?? 0) + ATTEMPTS_MAX - 1 - lastAttempt(taskAt(stage, index))

const isOver = (task: TaskState): boolean => task.kind === 'finished' || task.kind === 'skipped'

export const isDone = (stage: StageState): boolean => stage.tasks.every(isOver)

export const countTasks = (stage: StageState, kind: TaskState['kind']): number =>
  stage.tasks.filter((task) => task.kind === kind).length

/** Something that has finished lies on one of these executors. */
export const hasRunOn = (stage: StageState, executors: ReadonlySet<string>): boolean =>
  stage.tasks.some((task) => task.kind === 'finished' && executors.has(task.executor))

/** Something of what is read in order is there. */
export const isOrderBegun = (stage: StageState): boolean =>
  stage.inOrder === true && countTasks(stage, 'finished') > 0

export interface Assignment {
  readonly task: number
  readonly attempt: number
  readonly executor: string
}

/**
 * The pending tasks that can start now, and where. An executor is given no more tasks of a stage than it has threads,
 * so that the tasks of a large stage go to whoever is free first: what waits in the queue of a slow executor would be
 * what everyone waits for at the end. A task for which all others wait is started wherever there is a slot: the others
 * would never make room for it. Executors in `cut` do not reach what the stage reads, and those where a task has failed may
 * let it fail again, the sooner the more is wrong with them: as long as there are others, these are waited for. The last slot
 * of an executor is for a session of which nothing runs (`isFirst`), so that it need not wait for another's queries to end.
 */
export function planDispatch(
  stage: StageState,
  placement: Placement,
  cut: ReadonlySet<string> = NONE,
  isFirst = true,
): readonly Assignment[] {
  const ledger = ledgerOf(stage.tasks)
  if (ledger.pending.length === 0) return []
  const slow = stragglers(ledger, placement)
  // Where all threads have a task there is no need to ask each executor.
  let room = placement.threads - ledger.tasksRunning
  const extra = new Map<string, number>()
  const own = (id: string): number => (ledger.running.get(id) ?? 0) + (extra.get(id) ?? 0)
  const hasThread = (id: string): boolean => own(id) < threadsOf(placement, id)
  const awaited = stage.inOrder === true ? stage.tasks.findIndex((task) => !isOver(task)) : -1
  const before = new Map<string, ExecutorState>()
  const assignments: Assignment[] = []
  for (const index of ledger.pending) {
    if (room-- <= 0 && index !== awaited) break
    const task = taskAt(stage, index)
    assert(task.kind === 'pending', 'the ledger is that of the tasks')
    const isChoosy = task.avoid.size > 0 || cut.size > 0
    const isGood = othersThan(task.avoid, cut, placement)
    // Whoever is slow is better than nobody.
    const mayTakeLast = isFirst && assignments.length === 0
    const accepts = (id: string): boolean =>
      hasThread(id) &&
      isGood(id) &&
      (isChoosy || !slow.has(id)) &&
      (mayTakeLast || !isLastSlot(placement.get(id)))
    const affinity = stage.affinities[index]
    const executor =
      placement.place({ affinity, accepts }) ??
      (index === awaited ? placement.place({ affinity, accepts: isGood }) : undefined)
    // Whom a task finds no place with that may go anywhere has none for the others either.
    if (executor === undefined && isChoosy) continue
    if (executor === undefined) break
    const state = placement.get(executor)
    assert(state !== undefined, 'a task is placed on an executor that is there')
    if (!before.has(executor)) before.set(executor, state)
    placement.set({ ...state, tasksRunning: state.tasksRunning + 1 })
    extra.set(executor, (extra.get(executor) ?? 0) + 1)
    assignments.push({ task: index, attempt: task.attempt, executor })
  }
  // They only count once they have been started.
  for (const state of before.values()) placement.set(state)
  return assignments
}

const NONE: ReadonlySet<string> = new Set()

/** All that are in neither, or where there are none, not in the first, or where there are none of these either, all. */
function othersThan(
  failed: ReadonlySet<string>,
  cut: ReadonlySet<string>,
  placement: Placement,
): (id: string) => boolean {
  if (failed.size === 0 && cut.size === 0) return () => true
  const isIn = placement.states().filter(({ draining }) => !draining)
  const isBest = (id: string): boolean => !failed.has(id) && !cut.has(id)
  if (isIn.some(({ id }) => isBest(id))) return isBest
  return isIn.some(({ id }) => !failed.has(id)) ? (id) => !failed.has(id) : () => true
}

/** What one query has at once leaves it free: an executor has more slots than threads. */
export const isLastSlot = (state: ExecutorState | undefined): boolean =>
  state !== undefined && state.slots > state.threads && state.tasksRunning >= state.slots - 1

const threadsOf = (placement: Placement, id: string): number => placement.get(id)?.threads ?? 0

export function toRunning(stage: StageState, assignment: Assignment): StageState {
  const task = taskAt(stage, assignment.task)
  assert(
    task.kind === 'pending' && task.attempt === assignment.attempt,
    'only a pending task starts',
  )
  return replace(stage, assignment.task, {
    kind: 'running',
    attempt: task.attempt,
    avoid: task.avoid,
    executor: assignment.executor,
  })
}

/** Another attempt of a running task begins. */
export function toTwin(
  stage: StageState,
  { task: index, attempt, executor }: Assignment,
): StageState {
  const task = taskAt(stage, index)
  assert(
    task.kind === 'running' && task.twin === undefined && attempt > lastAttempt(task),
    'a running task may have one more attempt',
  )
  return replace(stage, index, { ...task, twin: { attempt, executor }, last: attempt })
}

/** Of two attempts this is the one that goes on, or that is through. */
export function toSole(stage: StageState, index: number, attempt: number): StageState {
  const task = taskAt(stage, index)
  assert(task.kind === 'running', 'only a running task has two attempts')
  const { twin } = task
  if (twin === undefined) return stage
  const sole = twin.attempt === attempt ? twin : task
  return replace(stage, index, {
    ...task,
    attempt: sole.attempt,
    executor: sole.executor,
    twin: undefined,
  })
}

export interface TaskResult {
  readonly rows: number
  readonly segments: readonly Segment[]
  readonly statistics: TaskStatistics
  readonly profile: string | undefined
  /** Of a task that writes files of a table. */
  readonly tableFiles?: readonly TableFile[] | undefined
}

export function toFinished(stage: StageState, index: number, result: TaskResult): StageState {
  const task = taskAt(stage, index)
  assert(task.kind === 'running', 'only a running task finishes')
  return replace(stage, index, {
    kind: 'finished',
    attempt: task.attempt,
    last: lastAttempt(task),
    executor: task.executor,
    ...result,
  })
}

/**
 * What follows from the failure of a running task: another attempt, or the end of the query with this error.
 * `delivered`: rows of it were, and no other attempt can go on after them. `attempt`: which of two has failed.
 */
export function onTaskFailed(
  stage: StageState,
  index: number,
  failure: {
    readonly error: SqlError
    readonly delivered: boolean
    readonly attempt?: number | undefined
  },
):
  | { readonly kind: 'retry'; readonly stage: StageState }
  | { readonly kind: 'fail'; readonly why: FailReason } {
  const task = taskAt(stage, index)
  assert(task.kind === 'running', 'only a running task fails')
  const crashed = failure.error.error === 'kernel_crashed'
  const crashes = stage.crashes.map((n, i) => (i === index && crashed ? n + 1 : n))
  if ((crashes[index] ?? 0) >= KERNEL_CRASHES_MAX && !isMutant('no-quarantine'))
    return { kind: 'fail', why: 'quarantined' }
  // Another attempt has been compared with what was delivered, and a third would be like it.
  const isOther = failure.error.error === 'result_lost'
  const isFull = failure.error.error === 'disk_full'
  // `task_superseded` is tried, too: an executor that took this owner for gone has ended the write, and others have not.
  const isRetryable = failure.error.retryable || (isFull && mayHaveRoomElsewhere(stage, index))
  if (!isRetryable || isOther || isMutant('no-retry-elsewhere'))
    return { kind: 'fail', why: 'error' }
  const { twin, attempt } = task
  if (twin !== undefined) {
    const other = failure.attempt === twin.attempt ? attempt : twin.attempt
    return { kind: 'retry', stage: { ...toSole(stage, index, other), crashes } }
  }
  if (failure.delivered) return { kind: 'fail', why: 'delivered' }
  if (attemptsLeft(stage, index) <= 0) return { kind: 'fail', why: 'attempts' }
  const next: TaskState = {
    kind: 'pending',
    attempt: lastAttempt(task) + 1,
    avoid: new Set([...task.avoid, task.executor]),
  }
  const fullDisks = isFull ? new Set([...stage.fullDisks, index]) : stage.fullDisks
  return { kind: 'retry', stage: { ...replace(stage, index, next), crashes, fullDisks } }
}

/** Where a second disk has no room either, the query takes too much. */
const mayHaveRoomElsewhere = ({ fullDisks }: StageState, index: number): boolean =>
  !fullDisks.has(index) && !isMutant('no-room-elsewhere')

export type FailReason = 'error' | 'delivered' | 'attempts' | 'quarantined'

/** Rows that the finished tasks have made. */
export const rowsOf = (stage: StageState): number =>
  stage.tasks.reduce((sum, task) => sum + (task.kind === 'finished' ? task.rows : 0), 0)

/** What has not finished is not needed any more. */
export const toEnough = (stage: StageState): StageState => ({
  ...stage,
  tasks: stage.tasks.map((task): TaskState =>
    task.kind === 'finished' ? task : { kind: 'skipped', attempt: lastAttempt(task) },
  ),
})

/** Finished tasks whose segments lay on lost executors have to run again, elsewhere than where is to be avoided if they can. */
export const onExecutorsLost = (
  stage: StageState,
  executors: ReadonlySet<string>,
  avoid = executors,
): StageState =>
  runAgain(stage, avoid, (task) => task.kind === 'finished' && executors.has(task.executor))

/** Everything runs again, under new attempts: what it read has been chosen anew. */
export const toBeginning = (stage: StageState, avoid = NONE): StageState =>
  runAgain(stage, avoid, () => true)

/**
 * Tasks that were running when their inputs went begin again, under a new attempt, so that late words of the old count
 * for nothing. Where and how often a task failed before says nothing any more: what it failed at were its inputs.
 */
export const toRestarted = (stage: StageState): StageState =>
  runAgain(stage, NONE, ({ kind }) => kind === 'pending' || kind === 'running')

/** These are pending, under an attempt that has not begun, with all their attempts to come. */
function runAgain(
  stage: StageState,
  avoid: ReadonlySet<string>,
  isAgain: (task: TaskState) => boolean,
): StageState {
  const countedFrom = [...stage.countedFrom]
  const tasks = stage.tasks.map((task, index): TaskState => {
    if (!isAgain(task)) return task
    const attempt = task.kind === 'pending' ? task.attempt : lastAttempt(task) + 1
    countedFrom[index] = attempt
    return { kind: 'pending', attempt, avoid }
  })
  return { ...stage, tasks, countedFrom }
}

const taskAt = (stage: StageState, index: number): TaskState => {
  const task = stage.tasks[index]
  assert(task !== undefined, 'no such task')
  return task
}

function replace(stage: StageState, index: number, task: TaskState): StageState {
  const tasks = stage.tasks.with(index, task)
  carryLedger(stage.tasks, tasks, index)
  return { ...stage, tasks }
}
