import type { TaskState } from './stage.ts'

/** What an executor has done of a stage. */
export interface Done {
  tasks: number
  /** Milliseconds that its tasks took, together. */
  ms: number
}

/** What placing tasks needs to know of a stage, without a look at each of its tasks. */
export interface Ledger {
  /** Numbers of the pending tasks, ascending. */
  readonly pending: number[]
  /** By executor. */
  readonly running: Map<string, number>
  /** Of all executors together. */
  tasksRunning: number
  readonly done: Map<string, Done>
}

/**
 * The ledger of the newest state of each stage. A state is never changed, so this is only what could be counted anew
 * from its tasks at any time: the ledger goes on from one state to the next that is made of it, and whoever looks at
 * an older state has it counted again.
 */
const ledgers = new WeakMap<readonly TaskState[], Ledger>()

export function ledgerOf(tasks: readonly TaskState[]): Ledger {
  const known = ledgers.get(tasks)
  if (known !== undefined) return known
  const ledger: Ledger = { pending: [], running: new Map(), tasksRunning: 0, done: new Map() }
  tasks.forEach((task, index) => count(ledger, index, task))
  ledgers.set(tasks, ledger)
  return ledger
}

/** `next` is `tasks` with another state of one of them. */
export function carryLedger(
  tasks: readonly TaskState[],
  next: readonly TaskState[],
  index: number,
): void {
  const ledger = ledgers.get(tasks)
  const [before, after] = [tasks[index], next[index]]
  if (ledger === undefined || before === undefined || after === undefined) return
  ledgers.delete(tasks)
  discount(ledger, index, before)
  count(ledger, index, after)
  ledgers.set(next, ledger)
}

function count(ledger: Ledger, index: number, task: TaskState): void {
  const { pending, running, done } = ledger
  if (task.kind === 'pending') pending.splice(placeOf(pending, index), 0, index)
  if (task.kind === 'running') {
    for (const { executor } of attemptsOf(task)) {
      ledger.tasksRunning++
      running.set(executor, (running.get(executor) ?? 0) + 1)
    }
  }
  if (task.kind !== 'finished') return
  const { elapsedMs } = task.statistics
  const sum = done.get(task.executor)
  if (sum === undefined) done.set(task.executor, { tasks: 1, ms: elapsedMs })
  else {
    sum.tasks++
    sum.ms += elapsedMs
  }
}

function discount(ledger: Ledger, index: number, task: TaskState): void {
  const { pending, running, done } = ledger
  if (task.kind === 'pending') pending.splice(placeOf(pending, index), 1)
  if (task.kind === 'running') {
    for (const { executor } of attemptsOf(task)) {
      ledger.tasksRunning--
      const left = (running.get(executor) ?? 0) - 1
      if (left > 0) running.set(executor, left)
      else running.delete(executor)
    }
  }
  if (task.kind !== 'finished') return
  const sum = done.get(task.executor)
  if (sum === undefined) return
  sum.tasks--
  sum.ms -= task.statistics.elapsedMs
  if (sum.tasks === 0) done.delete(task.executor)
}

const attemptsOf = (
  task: Extract<TaskState, { kind: 'running' }>,
): readonly { readonly executor: string }[] =>
  task.twin === undefined ? [task] : [task, task.twin]

/** Where a number is, or belongs, in an ascending list. */
function placeOf(list: readonly number[], value: number): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((list[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return low
}
