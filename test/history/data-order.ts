import type { Graph } from './graph.ts'
import type { Anomaly, History, Operation, Transaction } from './history.ts'

/** What one transaction was shown of one list or set, without what it had put there itself. */
export interface Read {
  readonly reader: number
  readonly kind: 'list' | 'set'
  readonly key: string
  readonly values: readonly number[]
}

/**
 * Who wrote which value, and who was shown which: what is wrong with single reads is told at once, the rest becomes edges
 * between transactions. Values are written once, so a value tells its writer.
 */
export class DataOrder {
  readonly anomalies: Anomaly[] = []
  readonly reads: readonly Read[]
  readonly #history: History
  /** By key: writers of values, in the order that a writer wrote them. */
  readonly #writers = new Map<string, Map<number, number>>()
  readonly #seen = new Set<number>()

  constructor(history: History) {
    this.#history = history
    for (const [i, { operations }] of history.entries()) {
      for (const one of operations) this.#note(i, one)
    }
    this.reads = history.flatMap((transaction, i) => this.#externalReads(transaction, i))
    for (const { key, values } of this.reads) {
      for (const value of values) {
        const writer = this.#writers.get(key)?.get(value)
        if (writer !== undefined) this.#seen.add(writer)
      }
    }
    for (const read of this.reads) this.#checkRead(read)
  }

  /** It committed: its client was told so, or somebody has seen what it wrote. */
  isCommitted(node: number): boolean {
    const end = this.#history[node]?.end
    return end === 'committed' || (end === 'unknown' && this.#seen.has(node))
  }

  addEdges(graph: Graph): void {
    const byKey = new Map<string, Read[]>()
    for (const read of this.reads) {
      const reads = byKey.get(read.key)
      if (reads === undefined) byKey.set(read.key, [read])
      else reads.push(read)
    }
    for (const [key, reads] of byKey) {
      if (reads[0]?.kind === 'list') this.#addList(graph, key, reads)
      else for (const read of reads) this.#addSet(graph, read)
    }
  }

  #note(writer: number, operation: Operation): void {
    if (operation.kind !== 'append' && operation.kind !== 'add') return
    const { key } = operation
    const writers = this.#writers.get(key) ?? new Map<number, number>()
    this.#writers.set(key, writers)
    for (const value of operation.kind === 'add' ? operation.values : [operation.value]) {
      writers.set(value, writer)
    }
  }

  /** The first read of each key; later ones must show the same and what was written in between. */
  #externalReads({ id, end, operations }: Transaction, reader: number): readonly Read[] {
    const own = new Map<string, number[]>()
    const first = new Map<string, Read>()
    for (const one of operations) {
      if (one.kind === 'append' || one.kind === 'add') {
        const values = own.get(one.key) ?? []
        values.push(...(one.kind === 'add' ? one.values : [one.value]))
        own.set(one.key, values)
      }
      if (one.kind !== 'list' && one.kind !== 'set') continue
      const { kind, key } = one
      const mine = own.get(key) ?? []
      const isMine = new Set(mine)
      const values = one.values.filter((value) => !isMine.has(value))
      const known = first.get(key)?.values ?? values
      const expected = [...known, ...mine]
      const isSame =
        kind === 'list' ? isEqual(one.values, expected) : isEqualSet(one.values, expected)
      if (!isSame) {
        this.#tell(
          'internal',
          `${id} reads ${text(one.values)} in ${key} where it should be ${text(expected)}`,
        )
      }
      if (!first.has(key)) first.set(key, { reader, kind, key, values })
    }
    return end === 'committed' ? [...first.values()] : []
  }

  #checkRead({ reader, kind, key, values }: Read): void {
    const who = this.#history[reader]?.id ?? ''
    const writers = this.#writers.get(key)
    const shown = new Set(values)
    if (shown.size < values.length) {
      this.#tell('doubled', `${who} reads a value more than once in ${key}: ${text(values)}`)
    }
    const partly = new Set<number>()
    for (const value of shown) {
      const writer = writers?.get(value)
      if (writer === undefined) {
        this.#tell('garbage', `${who} reads ${value} in ${key}, which nobody wrote`)
        continue
      }
      const { id, end } = this.#history[writer] as Transaction
      if (end === 'aborted') {
        this.#tell('G1a', `${who} reads ${value} in ${key} of ${id}, which was aborted`)
      }
      partly.add(writer)
    }
    for (const writer of partly) {
      const { id, operations } = this.#history[writer] as Transaction
      const missing = writtenTo(operations, key).find((value) => !shown.has(value))
      if (missing === undefined) continue
      const what = `${who} reads some of what ${id} put into the ${kind} ${key}, and not ${missing}`
      this.#tell('G1b', what)
    }
  }

  #addList(graph: Graph, key: string, reads: readonly Read[]): void {
    const longest = reads.reduce((a, b) => (b.values.length > a.values.length ? b : a)).values
    const writers = this.#writers.get(key) ?? new Map<number, number>()
    const order = [...new Set(longest.flatMap((value) => writers.get(value) ?? []))]
    for (const [i, writer] of order.entries()) {
      const next = order[i + 1]
      if (next !== undefined) graph.add(writer, next, { kind: 'ww', why: key })
    }
    const listed = new Set(order)
    const unlisted = new Set(
      [...writers.values()].filter((one) => !listed.has(one) && this.isCommitted(one)),
    )
    const last = order.at(-1)
    for (const one of unlisted)
      if (last !== undefined) graph.add(last, one, { kind: 'ww', why: key })
    for (const { reader, values } of reads) {
      const at = values.findIndex((value, i) => value !== longest[i])
      if (at !== -1) {
        const who = this.#history[reader]?.id ?? ''
        const what = `${who} reads ${text(values)} in ${key}, and another one ${text(longest)}`
        this.#tell('incompatible-order', what)
        continue
      }
      const seen = writers.get(values.at(-1) ?? NaN)
      if (seen !== undefined) graph.add(seen, reader, { kind: 'wr', why: key })
      const next = longest.slice(values.length).map((value) => writers.get(value))
      // What it has put there itself is no other's.
      const unseen = next.find((one) => one !== reader)
      if (unseen !== undefined) graph.add(reader, unseen, { kind: 'rw', why: key })
      else for (const one of unlisted) graph.add(reader, one, { kind: 'rw', why: key })
    }
  }

  #addSet(graph: Graph, { reader, key, values }: Read): void {
    const shown = new Set(values)
    for (const [value, writer] of this.#writers.get(key) ?? []) {
      if (shown.has(value)) graph.add(writer, reader, { kind: 'wr', why: `${key} ${value}` })
      else if (this.isCommitted(writer)) {
        graph.add(reader, writer, { kind: 'rw', why: `${key} ${value}` })
      }
    }
  }

  #tell(name: string, what: string): void {
    this.anomalies.push({ name, text: what })
  }
}

/** What operations put into a list or set. */
export const writtenTo = (operations: readonly Operation[], key: string): readonly number[] =>
  operations.flatMap((one) => {
    if (one.kind === 'append' && one.key === key) return [one.value]
    return one.kind === 'add' && one.key === key ? one.values : []
  })

const text = (values: readonly number[]): string => `[${values.join(' ')}]`

const isEqual = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i])

const isEqualSet = (a: readonly number[], b: readonly number[]): boolean => {
  const sorted = (values: readonly number[]): number[] => values.toSorted((x, y) => x - y)
  return isEqual(sorted(a), sorted(b))
}
