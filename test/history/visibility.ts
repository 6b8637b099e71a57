import { DataOrder, type Read } from './data-order.ts'
import type { Anomaly, History, Transaction } from './history.ts'

type SetRead = Read & { readonly transaction: Transaction; readonly shown: ReadonlySet<number> }

/**
 * Of sets and lists, which only grow: what was acknowledged is there once the revision of its commit was passed on
 * (`stale` where it comes later, `lost` where it never does), and what was refused never is (`ghost`).
 */
export function checkElements(history: History): readonly Anomaly[] {
  const anomalies: Anomaly[] = []
  const reads = readsByKey(history)
  for (const { id, end, revision, operations } of history) {
    for (const operation of operations) {
      if (operation.kind !== 'append' && operation.kind !== 'add') continue
      const { key } = operation
      for (const value of operation.kind === 'add' ? operation.values : [operation.value]) {
        const of = (reads.get(key) ?? []).filter(({ transaction }) => transaction.id !== id)
        if (end === 'aborted' && of.some(({ shown }) => shown.has(value))) {
          anomalies.push({ name: 'ghost', text: `${value} of ${id} is in ${key}, and was refused` })
        }
        if (end !== 'committed') continue
        const later = of.filter(({ transaction }) => transaction.token >= revision)
        const missed = later.find(({ shown }) => !shown.has(value))
        if (missed === undefined) continue
        const isLost = later.at(-1)?.shown.has(value) !== true
        const text = `${missed.transaction.id} does not read ${value} in ${key}, which ${id} had written`
        anomalies.push({ name: isLost ? 'lost' : 'stale', text })
      }
    }
  }
  return anomalies
}

/** By key, from the oldest to the newest. */
function readsByKey(history: History): ReadonlyMap<string, readonly SetRead[]> {
  const byKey = new Map<string, SetRead[]>()
  for (const read of new DataOrder(history).reads) {
    const transaction = history[read.reader]
    if (transaction === undefined) continue
    const reads = byKey.get(read.key) ?? []
    reads.push({ ...read, transaction, shown: new Set(read.values) })
    byKey.set(read.key, reads)
  }
  for (const reads of byKey.values()) {
    reads.sort((a, b) => a.transaction.token - b.transaction.token)
  }
  return byKey
}

/**
 * Of sessions that go from coordinator to coordinator: their revision never decreases, what they have read stays, and
 * what they have written is there at once.
 */
export function checkSessions(history: History): readonly Anomaly[] {
  const anomalies: Anomaly[] = []
  const sessions = new Map<string, { revision: number; known: Map<string, Set<number>> }>()
  for (const one of history.toSorted((a, b) => a.began - b.began)) {
    const session = sessions.get(one.session) ?? { revision: 0, known: new Map() }
    sessions.set(one.session, session)
    const tell = (name: string, text: string): void =>
      void anomalies.push({ name, text: `${one.id} of session ${one.session} ${text}` })
    if (one.token < session.revision || one.revision < one.token) {
      tell('revision-decreased', `goes from ${session.revision} to ${one.token} to ${one.revision}`)
    }
    session.revision = Math.max(session.revision, one.revision)
    if (one.end !== 'committed') continue
    for (const operation of one.operations) {
      if (operation.kind !== 'list' && operation.kind !== 'set') continue
      const shown = new Set(operation.values)
      const missing = [...(session.known.get(operation.key) ?? [])].find((one) => !shown.has(one))
      if (missing !== undefined) {
        tell('not-monotonic', `does not read ${missing} in ${operation.key}, which it knew of`)
      }
    }
    for (const operation of one.operations) {
      if (!('key' in operation)) continue
      const known = session.known.get(operation.key) ?? new Set()
      session.known.set(operation.key, known)
      const values = operation.kind === 'append' ? [operation.value] : operation.values
      for (const value of values) known.add(value)
    }
  }
  return anomalies
}

/**
 * Snapshots follow one another, so of two reads of the same sets one shows all that the other one does. Where each shows
 * what the other one lacks, two readers have seen two writes in opposite orders.
 */
export function checkLongFork(history: History): readonly Anomaly[] {
  const groups = new Map<string, Read[][]>()
  const byReader = new Map<number, Read[]>()
  for (const read of new DataOrder(history).reads) {
    byReader.set(read.reader, [...(byReader.get(read.reader) ?? []), read])
  }
  for (const reads of byReader.values()) {
    const sorted = reads.toSorted((a, b) => (a.key < b.key ? -1 : 1))
    const group = sorted.map(({ key }) => key).join(' ')
    groups.set(group, [...(groups.get(group) ?? []), sorted])
  }
  const size = (reads: readonly Read[]): number =>
    reads.reduce((sum, { values }) => sum + values.length, 0)
  const anomalies: Anomaly[] = []
  for (const group of groups.values()) {
    const ordered = group.toSorted((a, b) => size(a) - size(b))
    for (const [i, later] of ordered.entries()) {
      const earlier = ordered[i - 1]
      if (earlier === undefined || includesAll(later, earlier)) continue
      const ids = [earlier, later].map(([read]) => history[read?.reader ?? 0]?.id)
      const keys = later.map(({ key }) => key).join(', ')
      anomalies.push({
        name: 'long-fork',
        text: `of ${keys}, ${ids[0]} and ${ids[1]} each read what the other one does not`,
      })
    }
  }
  return anomalies
}

const includesAll = (later: readonly Read[], earlier: readonly Read[]): boolean =>
  earlier.every(({ values }, i) => {
    const shown = new Set(later[i]?.values)
    return values.every((value) => shown.has(value))
  })
