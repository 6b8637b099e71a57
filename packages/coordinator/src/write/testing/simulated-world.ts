import type { Clock, Prng } from '@nyala/client/base'
import type {
  CatalogSnapshot,
  CommitRequest,
  Keys,
  Kv,
  NewRelation,
  TableRecord,
  WriteLog,
} from '@nyala/metastore'
import type { Fate, MemoryKv } from '@nyala/metastore/memory'

/** What the commit of a write compares: that its statement has no outcome, its record is pending, the head at its base. */
export type Guard = 'outcome' | 'record' | 'head'

/** A table without files. */
export const tableOf = (name: string): NewRelation => ({
  ...{ kind: 'managed', database: 'default', name, comment: '', location: `/w/${name}` },
  columns: [{ name: 'a', type: 'BIGINT' }],
  ...{ partitionColumns: [], schemaVersion: 1, snapshotId: 0 },
  ...{ manifest: null, statistics: null, refreshedAt: 0 },
})

export function tableIn(snapshot: CatalogSnapshot, name: string): TableRecord {
  const found = snapshot.relation('default', name)?.record
  if (found === undefined || found.kind === 'view') throw new Error(`no table ${name}`)
  return found
}

/** What is in a table, by words: they stand in its comment. */
export const wordsOf = ({ comment = '' }: TableRecord): readonly string[] =>
  comment === '' ? [] : comment.split(' ')

/** While `isFaulty` says so, commits are late, and some requests or replies are lost, refused or very late. */
export const faultsOf = (prng: Prng, isFaulty: () => boolean): NonNullable<MemoryKv['faults']> => ({
  fate: (method) => (isFaulty() && method === 'commitIf' ? fateOf(prng) : 'pass'),
  latencyMs: () => (isFaulty() ? prng.below(20) : 1),
})

function fateOf(prng: Prng): Fate {
  const draw = prng.next()
  if (draw < 0.05) return 'loseReply'
  if (draw < 0.1) return 'loseRequest'
  if (draw < 0.13) return { kind: 'late', afterMs: prng.below(12_000) }
  if (draw < 0.16) return 'unavailable'
  return 'pass'
}

/** The store, with every guarded commit changed on its way. */
export function withCommits(kv: Kv, change: (request: CommitRequest) => CommitRequest): Kv {
  const commitIf: Kv['commitIf'] = (request, options) => kv.commitIf(change(request), options)
  return new Proxy<Kv>(kv, {
    get(target, name) {
      if (name === 'commitIf') return commitIf
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The store for commits that leave out one of their compares. */
export function withoutGuard(kv: Kv, keys: Keys, guard: Guard | undefined): Kv {
  if (guard === undefined) return kv
  const prefix = { outcome: keys.statements, record: keys.txns, head: keys.catalog }[guard]
  return withCommits(kv, (request) => ({
    ...request,
    compares: request.compares.filter(({ key }) => !key.startsWith(prefix)),
  }))
}

/** Until it is stopped aborts writes at random, as a leader does that takes their coordinator for dead. */
export async function abortAtRandom(
  {
    writeLog,
    clock,
    prng,
  }: { readonly writeLog: WriteLog; readonly clock: Clock; readonly prng: Prng },
  until: { readonly stopped: boolean },
  onAborted: (writeId: string) => void,
): Promise<void> {
  while (!until.stopped) {
    await clock.sleep(50 + prng.below(200))
    for (const write of await writeLog.transactions()) {
      const { record } = write
      if (record.kind !== 'pending' || !prng.chance(0.1)) continue
      if (await writeLog.abort({ ...write, record }, 'taken for dead')) onAborted(record.id)
    }
  }
}
