import { assert } from '@nyala/client/base'
import { Homes } from './homes.ts'

/**
 * Which executor takes a task: pure, so that the tests and a simulation run the same code as production.
 *
 * The load of an executor is its running tasks per slot, plus the part of its memory that is reserved, plus what waits
 * to be sent, in units of one slot. The least loaded wins; but of the few executors that are the homes of what the task
 * reads, the first one within {@link AFFINITY_SLACK} of it does, so that the same file is read by the same executor and
 * is found in its caches. Tasks are handed out only as slots free up, so a slow executor is given fewer of them, and a
 * fast one is never kept waiting by it.
 */
export interface ExecutorState {
  readonly id: string
  readonly threads: number
  /** Tasks that may run at once. */
  readonly slots: number
  /** Tasks known to run there, those of other coordinators included. */
  readonly tasksRunning: number
  readonly memoryReservedBytes: number
  readonly memoryLimitBytes: number
  readonly queuedBytes: number
  readonly draining: boolean
}

/** How much more loaded, in slots, an executor may be and still be preferred for its caches. */
export const AFFINITY_SLACK = 1
/** Bytes waiting to be sent that count as one busy slot. */
const QUEUED_BYTES_PER_SLOT = 16 * 1024 * 1024
/** After this many executors that may not be taken, all are looked at in a row, which is faster then. */
const REFUSALS_MAX = 32

/** Load in busy slots; `slots` or more means full. */
export function loadOf(executor: ExecutorState): number {
  const memory =
    executor.memoryLimitBytes === 0 ? 0 : executor.memoryReservedBytes / executor.memoryLimitBytes
  return (
    executor.tasksRunning + memory * executor.slots + executor.queuedBytes / QUEUED_BYTES_PER_SLOT
  )
}

/** What a task asks of its place. */
export interface TaskWish {
  /** Names what the task reads. */
  readonly affinity?: string | undefined
  /** Executors that failed it before, taken only when no other is left. */
  readonly avoid?: ReadonlySet<string> | undefined
  /** Whether an executor may have the task at all. */
  readonly accepts?: ((id: string) => boolean) | undefined
}

interface Entry {
  readonly id: string
  state: ExecutorState
  /** Load for each slot: eight slots and four tasks are as busy as two and one. Infinite where nothing is taken. */
  load: number
  /** Place in the heap. */
  at: number
}

/**
 * The executors by their load, kept as a heap, so that a change and a choice take time that grows with the logarithm
 * of their number. The choice depends on the states alone, not on the order in which they came to be known.
 */
export class Placement {
  readonly #entries = new Map<string, Entry>()
  readonly #heap: Entry[] = []
  readonly #homes = new Homes()
  #threads = 0

  static of(states: Iterable<ExecutorState>): Placement {
    const placement = new Placement()
    for (const state of states) placement.set(state)
    return placement
  }

  get size(): number {
    return this.#heap.length
  }

  /** Of all executors together. */
  get threads(): number {
    return this.#threads
  }

  /** No executor takes a task. */
  get isFull(): boolean {
    return (this.#heap[0]?.load ?? Number.POSITIVE_INFINITY) === Number.POSITIVE_INFINITY
  }

  get(id: string): ExecutorState | undefined {
    return this.#entries.get(id)?.state
  }

  states(): readonly ExecutorState[] {
    return [...this.#entries.values()].map(({ state }) => state)
  }

  /** An executor is there, or in another state. */
  set(state: ExecutorState): void {
    const isClosed = state.draining || state.tasksRunning >= state.slots
    const load = isClosed ? Number.POSITIVE_INFINITY : loadOf(state) / state.slots
    const known = this.#entries.get(state.id)
    this.#threads += state.threads - (known?.state.threads ?? 0)
    if (known !== undefined) {
      known.state = state
      known.load = load
      return this.#settle(known)
    }
    const entry: Entry = { id: state.id, state, load, at: this.#heap.length }
    this.#entries.set(state.id, entry)
    this.#homes.add(state.id)
    this.#heap.push(entry)
    this.#settle(entry)
  }

  remove(id: string): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    this.#threads -= entry.state.threads
    this.#homes.remove(id)
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    this.#put(last, entry.at)
    this.#settle(last)
  }

  /** The executor for a task, or undefined when all are full, draining or not accepted. */
  place(wish: TaskWish): string | undefined {
    const { affinity, avoid, accepts } = wish
    const mayTake = (id: string): boolean => accepts?.(id) !== false
    const isPreferred = (id: string): boolean => avoid?.has(id) !== true && mayTake(id)
    const preferred = this.#least(isPreferred)
    const least = preferred ?? (avoid === undefined ? undefined : this.#least(mayTake))
    if (least === undefined || affinity === undefined) return least?.id
    const allowed = preferred === undefined ? mayTake : isPreferred
    for (const id of this.#homes.of(affinity)) {
      const home = this.#entries.get(id)
      assert(home !== undefined, 'homes are executors')
      if (home.load <= least.load + AFFINITY_SLACK / home.state.slots && allowed(id)) return id
    }
    return least.id
  }

  /** The least loaded of those that may be taken, found by going down the heap from its top. */
  #least(mayTake: (id: string) => boolean): Entry | undefined {
    const open: Entry[] = this.#heap.slice(0, 1)
    for (let refused = 0; refused < REFUSALS_MAX; refused++) {
      const entry = takeFirst(open)
      if (entry === undefined || entry.load === Number.POSITIVE_INFINITY) return undefined
      if (mayTake(entry.id)) return entry
      for (const child of [2 * entry.at + 1, 2 * entry.at + 2]) {
        const next = this.#heap[child]
        if (next !== undefined) open.push(next)
      }
    }
    let least: Entry | undefined
    for (const entry of this.#heap) {
      if (entry.load === Number.POSITIVE_INFINITY || !mayTake(entry.id)) continue
      if (least === undefined || isBefore(entry, least)) least = entry
    }
    return least
  }

  /** Moves an entry up or down to where its load belongs. */
  #settle(entry: Entry): void {
    while (entry.at > 0) {
      const parent = this.#heap[(entry.at - 1) >> 1]
      if (parent === undefined || !isBefore(entry, parent)) break
      const { at } = parent
      this.#put(parent, entry.at)
      this.#put(entry, at)
    }
    for (;;) {
      const [left, right] = [this.#heap[2 * entry.at + 1], this.#heap[2 * entry.at + 2]]
      if (left === undefined) return
      const child = right !== undefined && isBefore(right, left) ? right : left
      if (!isBefore(child, entry)) return
      const { at } = child
      this.#put(child, entry.at)
      this.#put(entry, at)
    }
  }

  #put(entry: Entry, at: number): void {
    this.#heap[at] = entry
    entry.at = at
  }
}

/** Of equal loads the smaller id is first. */
const isBefore = (a: Entry, b: Entry): boolean =>
  a.load < b.load || (a.load === b.load && a.id < b.id)

/** Takes the first by load out of a few. */
function takeFirst(entries: Entry[]): Entry | undefined {
  let first = 0
  entries.forEach((entry, i) => {
    const best = entries[first]
    if (best !== undefined && isBefore(entry, best)) first = i
  })
  const last = entries.pop()
  if (last === undefined || first === entries.length) return last
  const taken = entries[first]
  entries[first] = last
  return taken
}
