import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, WriteLog } from '@nyala/metastore'
import t from 'tap'
import { AppendQueue } from './append-queue.ts'
import { Committer } from './committer.ts'
import { turnsAlone } from './testing/simulated-turns.ts'
import { tableIn, tableOf } from './testing/simulated-world.ts'
import { hurriedClock, unheardStore } from './testing/unheard-store.ts'
import { WriteRuns } from './write-run.ts'
import { createRelation } from '@nyala/metastore/memory'

t.test('what a commit whose answer was lost has begun is aborted later', async (t) => {
  const clock = hurriedClock()
  const { kv, set } = unheardStore()
  const keys = new Keys('test')
  await openCluster({ kv, keys, clock })
  const catalog = await Catalog.open({ kv, keys, clock: systemClock, log: silentLog })
  await createRelation(catalog, tableOf('t0'))
  const writeLog = new WriteLog({ kv, keys, clock })
  const liveFiles = (): Promise<readonly []> => Promise.resolve([])
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const parts = {
    catalog,
    writeLog,
    decisions: writeLog,
    keys,
    clock,
    turns: turnsAlone(systemClock),
  }
  const committer = new Committer({ ...parts, liveFiles })
  const runs = new WriteRuns({ ...parts, committer, log: silentLog, owner, warehouse: '/' })
  let writes = 0
  const queue = new AppendQueue(tableIn(catalog.snapshot(), 't0'), {
    ...{ ...parts, owner, writes: runs, onIdle: () => undefined },
    newWriteId: () => `w${++writes}`,
    encode: () =>
      Promise.resolve({
        stage: (current) => {
          set('does, and is not heard')
          const record = { ...current, snapshotId: current.snapshotId + 1 }
          return Promise.resolve({ record, forgets: false })
        },
        dropAttempt: () => Promise.resolve(),
      }),
  })
  const appended = queue.append({
    identity: { id: 'a', fingerprint: 'a' },
    text: { rows: ['(1)'], timeZone: 'UTC' },
    ...{ schemaVersion: tableIn(catalog.snapshot(), 't0').schemaVersion, notices: [] },
    ...{ signal: new AbortController().signal, patience: writeLog.patience() },
    commit: { begun: false },
  })
  await t.rejects(appended, { error: 'commit_outcome_unknown' } as object as Error)
  set('answers')
  const pending = async () =>
    (await writeLog.transactions()).filter(({ record }) => record.kind === 'pending').length
  t.equal(await pending(), 1, 'the commit went through, and has begun another write')
  await runs.settle()
  t.equal(await pending(), 0)
  await queue.close()
  await catalog.close()
})
