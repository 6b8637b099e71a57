import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, type TableRecord, WriteLog } from '@nyala/metastore'
import { createRelation, MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import { contextOf as statementContext } from '../txn/testing/simulated-tables.ts'
import { Transaction } from '../txn/transaction.ts'
import { AppendQueue } from './append-queue.ts'
import type { ChangeKind, StagedHead, TableChange } from './change.ts'
import { Committer } from './committer.ts'
import { turnsAlone } from './testing/simulated-turns.ts'
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
  const [there, atDecisions] = [new Set<string>(), [] as (readonly number[])[]]
  const stage = (writeId: string, attempt: number): void => void there.add(`${writeId} ${attempt}`)
  const decide: WriteLog['decide'] = async (request, options) => {
    atDecisions.push([...there].map((file) => Number(file.split(' ')[1])))
    return writeLog.decide(request, options)
  }
  const options = {
    catalog,
    keys,
    clock: systemClock,
    turns: turnsAlone(systemClock),
    decisions: { decide },
  }
  const committer = new Committer({ ...options, writeLog, liveFiles: () => Promise.resolve([]) })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const files = {
    removeAll: () => Promise.resolve(there.clear()),
    removeUncommitted: () => Promise.resolve(),
    removeAttempts: (_location: string, writeId: string, last: number) => {
      for (let attempt = 0; attempt < last; attempt++) there.delete(`${writeId} ${attempt}`)
      return Promise.resolve()
    },
  }
  const runs = new WriteRuns({
    ...{ ...options, writeLog, committer, log: silentLog, owner, warehouse: '/', files },
  })
  return { options, runs, owner, there, stage, atDecisions }
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
  const { options, runs, owner, there, stage, atDecisions } = await coordinatorOf(parts)
  let writes = 0
  const queue = new AppendQueue(tableIn(catalog.snapshot(), 't0'), {
    ...{ ...options, writeLog, writes: runs, owner, onIdle: () => undefined },
    newWriteId: () => `w${++writes}`,
    encode: () =>
      Promise.resolve({
        stage: async (current, { writeId, attempt }) => {
          stage(writeId, attempt)
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
  const { runs, stage, atDecisions } = await coordinatorOf(parts)
  const base = tableIn(catalog.snapshot(), 't0')
  await runs.staged(
    {
      ...{ identity: { id: 's', fingerprint: 's' }, context: contextOf(parts.writeLog) },
      ...{ command: 'INSERT', locations: [base.location] },
    },
    (write) => {
      const apply: TableChange['apply'] = async (current, attempt) => {
        stage(write.id, attempt)
        if (attempt < 2) await overtake(`other${attempt}`)
        return next(current)
      }
      return write.update({ base, change: { kind: 'append' }, apply }, { rows: 1 })
    },
  )
  t.strictSame(atDecisions, [[0], [1], [2]])
  await catalog.close()
})

t.test('who dies at COMMIT leaves no files of overtaken ones, were they read or not', async (t) => {
  const { overtake, ...parts } = await world()
  const { catalog } = parts
  const { runs, stage, atDecisions } = await coordinatorOf(parts)
  const id = `w${'0'.repeat(24)}`
  const transaction = new Transaction({
    ...{ runs, id, coordinator: 'c1', snapshot: catalog.snapshot() },
  })
  const execute = async (name: string, change: ChangeKind): Promise<void> => {
    const base = tableIn(transaction.catalog, 't0')
    const identity = { id: name, fingerprint: name }
    const context = statementContext(name, { transaction })
    const locations = [base.location]
    await runs.staged({ identity, context, command: name, locations }, (write) => {
      const apply: TableChange['apply'] = async (current, attempt) => {
        stage(write.id, attempt)
        if (change.kind === 'rewrite' && attempt < 2) await overtake(`other${attempt}`)
        return next(current)
      }
      return write.update({ base, change, apply }, { rows: 1 })
    })
  }
  await execute('INSERT', { kind: 'append' })
  await execute('OVERWRITE', { kind: 'rewrite', files: new Set(), covers: () => false })
  await transaction.commit({ id: 'commit', fingerprint: 'c' }, statementContext('commit', {}))
  t.strictSame(atDecisions, [
    [1, 1],
    [2, 2],
  ])
  t.equal(transaction.isOver, true)
  await catalog.close()
})
