import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, type TableRecord, WriteLog } from '@nyala/metastore'
import { createRelation, MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import { AppendQueue } from './append-queue.ts'
import type { StagedHead } from './change.ts'
import { Committer } from './committer.ts'
import { tableIn, tableOf } from './testing/simulated-world.ts'
import { WriteRuns } from './write-run.ts'

const next = (current: TableRecord): StagedHead => ({
  record: { ...current, snapshotId: current.snapshotId + 1 },
  forgets: false,
})

/** A coordinator of whose writes it is noted which attempts' files are there whenever one is about to be decided. */
async function coordinatorOf(parts: {
  readonly catalog: Catalog
  readonly writeLog: WriteLog
  readonly keys: Keys
}) {
  const { catalog, writeLog, keys } = parts
  const [there, atDecisions] = [new Set<number>(), [] as (readonly number[])[]]
  const decide: WriteLog['decide'] = async (request, options) => {
    atDecisions.push([...there])
    return writeLog.decide(request, options)
  }
  const options = { catalog, keys, clock: systemClock, random: () => 0, decisions: { decide } }
  const committer = new Committer({ ...options, writeLog, liveFiles: () => Promise.resolve([]) })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const files = {
    removeAll: () => Promise.resolve(there.clear()),
    removeUncommitted: () => Promise.resolve(),
    removeAttempts: (_location: string, _writeId: string, last: number) => {
      for (const attempt of there) if (attempt !== last) there.delete(attempt)
      return Promise.resolve()
    },
  }
  const runs = new WriteRuns({
    ...{ ...options, writeLog, committer, log: silentLog, owner, warehouse: '/', files },
  })
  return { options, runs, owner, there, atDecisions }
}

async function world() {
  const kv = new MemoryEtcd(systemClock).connect()
  const keys = new Keys('test')
  await openCluster({ kv, keys, clock: systemClock })
  const catalog = await Catalog.open({ kv, keys, clock: systemClock, log: silentLog })
  await createRelation(catalog, tableOf('t0'))
  const writeLog = new WriteLog({ kv, keys, clock: systemClock })
  const parts = { catalog, writeLog, keys }
  const other = await coordinatorOf(parts)
  /** Somebody else's commit to the table. */
  const overtake = async (id: string): Promise<void> => {
    const base = tableIn(catalog.snapshot(), 't0')
    await other.runs.committer.update(
      {
        ...{ base, change: { kind: 'append' } },
        apply: (current) => Promise.resolve(next(current)),
      },
      {
        ...{ statement: { id, fingerprint: id }, writeId: id },
        outcome: { command: 'INSERT', rows: 1, notices: [] },
      },
    )
  }
  return { ...parts, overtake }
}

const contextOf = (writeLog: WriteLog) => ({
  ...{ signal: new AbortController().signal, patience: writeLog.patience() },
  ...{ notices: [], commit: { begun: false } },
  transaction: { current: undefined },
})

t.test('who dies at the commit of small appends leaves no files of overtaken ones', async (t) => {
  const { overtake, ...parts } = await world()
  const { catalog, writeLog } = parts
  const { options, runs, owner, there, atDecisions } = await coordinatorOf(parts)
  let writes = 0
  const queue = new AppendQueue(tableIn(catalog.snapshot(), 't0'), {
    ...{ ...options, writeLog, writes: runs, owner, onIdle: () => undefined },
    newWriteId: () => `w${++writes}`,
    encode: () =>
      Promise.resolve({
        stage: async (current, { attempt }) => {
          there.add(attempt)
          if (attempt < 3) await overtake(`other${attempt}`)
          return next(current)
        },
        dropAttempt: () => Promise.resolve(there.clear()),
      }),
  })
  await queue.append({
    identity: { id: 'a', fingerprint: 'a' },
    text: { rows: ['(1)'], timeZone: 'UTC' },
    ...{ schemaVersion: tableIn(catalog.snapshot(), 't0').schemaVersion, notices: [] },
    ...{ signal: new AbortController().signal, patience: writeLog.patience() },
    commit: { begun: false },
  })
  t.strictSame(atDecisions, [[1], [2], [3]])
  await queue.close()
  await catalog.close()
})

t.test('who dies at the commit of a statement leaves no files of overtaken ones', async (t) => {
  const { overtake, ...parts } = await world()
  const { catalog } = parts
  const { runs, there, atDecisions } = await coordinatorOf(parts)
  const base = tableIn(catalog.snapshot(), 't0')
  const apply = async (current: TableRecord, attempt: number): Promise<StagedHead> => {
    there.add(attempt)
    if (attempt < 2) await overtake(`other${attempt}`)
    return next(current)
  }
  await runs.staged(
    {
      ...{ identity: { id: 's', fingerprint: 's' }, context: contextOf(parts.writeLog) },
      ...{ command: 'INSERT', locations: [base.location] },
    },
    (write) => write.update({ base, change: { kind: 'append' }, apply }, { rows: 1 }),
  )
  t.strictSame(atDecisions, [[0], [1], [2]])
  await catalog.close()
})
