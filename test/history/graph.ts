/**
 * Why one transaction comes before another: it wrote what the other one wrote after it (ww), it wrote what the other one
 * read (wr), it did not see what the other one wrote (rw); the other one began with its session (session), with a
 * revision that is not older (token), or after it had ended (realtime).
 */
export type EdgeKind = 'ww' | 'wr' | 'rw' | 'session' | 'token' | 'realtime'

export interface Edge {
  readonly to: number
  readonly kind: EdgeKind
  /** Which element of the data it is about. */
  readonly why: string
}

export interface Step {
  readonly node: number
  readonly edge: Edge
}

/**
 * Who comes before whom. Nodes are numbers; those from `size` on stand for moments, so that an order of many needs few
 * edges.
 */
export class Graph {
  readonly size: number
  readonly #edges: Edge[][]

  constructor(size: number) {
    this.size = size
    this.#edges = Array.from({ length: size }, () => [])
  }

  add(from: number, to: number, edge: Omit<Edge, 'to'>): void {
    if (from !== to) this.#edges[from]?.push({ to, ...edge })
  }

  /** Each one that has come to its end comes before each one that begins later. */
  addOrder(
    kind: 'token' | 'realtime',
    times: readonly { readonly node: number; readonly begin: number; readonly end?: number }[],
    isBefore: (end: number, begin: number) => boolean,
  ): void {
    const ended = times
      .flatMap(({ node, end }) => (end === undefined ? [] : [{ node, end }]))
      .toSorted((a, b) => a.end - b.end)
    const begun = times.toSorted((a, b) => a.begin - b.begin)
    let moment: number | undefined
    let next = 0
    for (const { node, begin } of begun) {
      for (
        let one = ended[next];
        one !== undefined && isBefore(one.end, begin);
        one = ended[next]
      ) {
        const made = this.#edges.push([]) - 1
        if (moment !== undefined) this.add(moment, made, { kind, why: '' })
        this.add(one.node, made, { kind, why: '' })
        moment = made
        next++
      }
      if (moment !== undefined) this.add(moment, node, { kind, why: '' })
    }
  }

  /**
   * A shortest cycle of each knot of edges of these kinds. With `apart`, of cycles in which no two rw follow each other:
   * what snapshot isolation excludes. Moments are left out.
   */
  cycles(kinds: ReadonlySet<EdgeKind>, apart: boolean): readonly (readonly Step[])[] {
    const walk = (state: number): readonly number[] => this.#next(state, kinds, apart)
    return components(2 * this.#edges.length, walk)
      .filter((states) => states.length > 1)
      .flatMap((states) => {
        const path = shortestCycle(states, walk)
        return path === undefined ? [] : [this.#steps(path, kinds)]
      })
  }

  /** A state is a node and whether it was reached by rw. */
  #next(state: number, kinds: ReadonlySet<EdgeKind>, apart: boolean): readonly number[] {
    const isAfterRw = state % 2 === 1
    const out: number[] = []
    for (const { to, kind } of this.#edges[Math.floor(state / 2)] ?? []) {
      if (!kinds.has(kind)) continue
      if (kind !== 'rw' || !apart) out.push(2 * to)
      else if (!isAfterRw) out.push(2 * to + 1)
    }
    return out
  }

  #steps(states: readonly number[], kinds: ReadonlySet<EdgeKind>): readonly Step[] {
    const steps = states.map((state, i): Step => {
      const following = states[(i + 1) % states.length] ?? state
      const [node, to] = [Math.floor(state / 2), Math.floor(following / 2)]
      const edges = (this.#edges[node] ?? []).filter((one) => one.to === to && kinds.has(one.kind))
      const isRw = following % 2 === 1
      const edge = edges.find(({ kind }) => (kind === 'rw') === isRw) ?? edges[0]
      if (edge === undefined) throw new Error('a cycle follows edges')
      return { node, edge }
    })
    return withoutMoments(steps, this.size)
  }
}

/** The same steps from transaction to transaction. */
function withoutMoments(steps: readonly Step[], size: number): readonly Step[] {
  const first = steps.findIndex(({ node }) => node < size)
  const turned = [...steps.slice(first), ...steps.slice(0, first)]
  const kept = turned.filter(({ node }) => node < size)
  return kept.map(({ node, edge }, i) => ({
    node,
    edge: { ...edge, to: kept[(i + 1) % kept.length]?.node ?? node },
  }))
}

/** Strongly connected components by Tarjan, with a stack of its own as histories are longer than the call stack. */
function components(
  size: number,
  next: (state: number) => readonly number[],
): readonly (readonly number[])[] {
  const index = new Int32Array(size).fill(-1)
  const low = new Int32Array(size)
  const isOpen = new Uint8Array(size)
  const open: number[] = []
  const found: number[][] = []
  let count = 0
  for (let root = 0; root < size; root++) {
    if (index[root] !== -1) continue
    const frames: { readonly state: number; readonly to: readonly number[]; at: number }[] = []
    const enter = (state: number): void => {
      index[state] = low[state] = count++
      open.push(state)
      isOpen[state] = 1
      frames.push({ state, to: next(state), at: 0 })
    }
    enter(root)
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const { state } = frame
      const to = frame.to[frame.at++]
      if (to !== undefined) {
        if (index[to] === -1) enter(to)
        else if (isOpen[to] === 1) low[state] = Math.min(low[state] ?? 0, index[to] ?? 0)
        continue
      }
      frames.pop()
      const parent = frames.at(-1)?.state
      if (parent !== undefined) low[parent] = Math.min(low[parent] ?? 0, low[state] ?? 0)
      if (low[state] !== index[state]) continue
      const component = open.splice(open.lastIndexOf(state))
      for (const one of component) isOpen[one] = 0
      found.push(component)
    }
  }
  return found
}

/** Where a search begins; of a great knot some cycle is as good as another. */
const STARTS_MAX = 100

function shortestCycle(
  component: readonly number[],
  next: (state: number) => readonly number[],
): readonly number[] | undefined {
  const inside = new Set(component)
  let best: readonly number[] | undefined
  for (const start of component.slice(0, STARTS_MAX)) {
    const path = pathBack(start, (state) => next(state).filter((one) => inside.has(one)))
    if (path !== undefined && (best === undefined || path.length < best.length)) best = path
  }
  return best
}

function pathBack(
  start: number,
  next: (state: number) => readonly number[],
): readonly number[] | undefined {
  const from = new Map<number, number>()
  const queue = [start]
  for (const state of queue) {
    for (const to of next(state)) {
      if (to === start) {
        const path = [state]
        for (let at = state; at !== start;) {
          at = from.get(at) ?? start
          path.push(at)
        }
        return path.toReversed()
      }
      if (from.has(to)) continue
      from.set(to, state)
      queue.push(to)
    }
  }
  return undefined
}
