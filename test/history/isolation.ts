import { DataOrder } from './data-order.ts'
import { type EdgeKind, Graph, type Step } from './graph.ts'
import type { Anomaly, History, Transaction } from './history.ts'

/**
 * What is claimed. `strong session snapshot`: every transaction reads one snapshot, of two that change the same one is
 * done, and who passes on a revision passes on what it has seen. `strong snapshot`: a transaction sees all that had ended
 * before it began, too. `serializable`: no rw in sequence either, as of write skew.
 */
export type Level = 'strong session snapshot' | 'strong snapshot' | 'serializable'

/** Kinds of edges, from the gravest anomaly to the least; each stage is told with the names of its own. */
const STAGES: readonly (readonly EdgeKind[])[] = [
  ['ww'],
  ['ww', 'wr'],
  ['ww', 'wr', 'rw'],
  ['ww', 'wr', 'rw', 'session'],
  ['ww', 'wr', 'rw', 'session', 'token'],
]
/**
 * Without tokens: that one has a lower revision than another which ended before says nothing, as revisions also count what
 * changes no table. Whoever is told a revision is told it by somebody who ended before.
 */
const REALTIME: readonly EdgeKind[] = ['ww', 'wr', 'rw', 'session', 'realtime']

/**
 * Which transactions of a history cannot have been as the level says, in the manner of Elle: the order of writes and what
 * reads have missed follow from what lists and sets were shown to hold; a cycle in it is an anomaly. Histories of 100,000
 * transactions are a matter of seconds.
 */
export function checkIsolation(history: History, level: Level): readonly Anomaly[] {
  const order = new DataOrder(history)
  const graph = new Graph(history.length)
  order.addEdges(graph)
  addSessions(graph, history)
  const times = history.map((one, node) => ({ one, node }))
  graph.addOrder(
    'token',
    times.map(({ one, node }) => ({
      ...{ node, begin: one.token },
      ...(one.end === 'committed' ? { end: passedOn(one) } : {}),
    })),
    (end, begin) => end <= begin,
  )
  graph.addOrder(
    'realtime',
    times.map(({ one, node }) => ({
      ...{ node, begin: one.began },
      ...(one.end === 'committed' ? { end: one.ended } : {}),
    })),
    (end, begin) => end < begin,
  )
  const stages = level === 'strong session snapshot' ? STAGES : [...STAGES, REALTIME]
  const found = new Map<string, Anomaly>()
  for (const kinds of stages) {
    for (const steps of graph.cycles(new Set(kinds), level !== 'serializable')) {
      const members = [...new Set(steps.map(({ node }) => node))].toSorted((a, b) => a - b)
      const key = members.join(' ')
      if (!found.has(key)) found.set(key, { name: nameOf(steps), text: storyOf(steps, history) })
    }
    // What follows from a cycle that is there already says nothing new.
    if (found.size > 0) break
  }
  return [...order.anomalies, ...found.values()]
}

/** Reads of one revision are of one snapshot, none of which comes before the other. */
const passedOn = ({ token, revision, operations }: Transaction): number => {
  const isWrite = operations.some(({ kind }) => kind === 'append' || kind === 'add')
  return isWrite && revision > token ? revision : revision + 0.5
}

function addSessions(graph: Graph, history: History): void {
  const last = new Map<string, number>()
  const byBegin = history
    .map(({ session, began, end }, node) => ({ session, began, end, node }))
    .toSorted((a, b) => a.began - b.began)
  for (const { session, end, node } of byBegin) {
    const before = last.get(session)
    if (before !== undefined) graph.add(before, node, { kind: 'session', why: session })
    if (end === 'committed') last.set(session, node)
  }
}

function nameOf(steps: readonly Step[]): string {
  const kinds = new Set(steps.map(({ edge }) => edge.kind))
  const isAdjacent = steps.some(
    ({ edge }, i) => edge.kind === 'rw' && steps[(i + 1) % steps.length]?.edge.kind === 'rw',
  )
  const missed = steps.filter(({ edge }) => edge.kind === 'rw').length
  const order = (['realtime', 'token', 'session'] as const).find((kind) => kinds.has(kind))
  return `${base({ missed, isAdjacent, kinds })}${order === undefined ? '' : `-${order}`}`
}

function base(cycle: {
  readonly missed: number
  readonly isAdjacent: boolean
  readonly kinds: ReadonlySet<EdgeKind>
}): string {
  const { missed, isAdjacent, kinds } = cycle
  if (missed === 0) return kinds.has('wr') ? 'G1c' : 'G0'
  if (missed === 1) return 'G-single'
  return isAdjacent ? 'G2-item' : 'G-nonadjacent'
}

const WORDS: Readonly<Record<EdgeKind, string>> = {
  ww: 'wrote before',
  wr: 'was read by',
  rw: 'did not see',
  session: 'was in the session of',
  token: 'had passed on its revision to',
  realtime: 'had ended before',
}

function storyOf(steps: readonly Step[], history: History): string {
  const of = (node: number): string => {
    const { id = '', coordinator = '', token = 0, revision = 0 } = history[node] ?? {}
    return `${id} (${coordinator === '' ? '' : `at ${coordinator}, `}revisions ${token} to ${revision})`
  }
  return steps
    .map(({ node, edge }) => {
      const about = edge.why === '' ? '' : ` [${edge.why}]`
      return `${of(node)} ${WORDS[edge.kind]}${about} ${history[edge.to]?.id ?? ''}`
    })
    .join('; ')
}
