import { silentLog } from '@nyala/client/base'
import type { MemberId, SqlError } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, WriteLog } from '@nyala/metastore'
import { createRelation, type Fate, ManualClock, MemoryEtcd } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import { AppendQueue } from '../append-queue.ts'
import { Committer } from '../committer.ts'
import type { StagedFiles } from '../staging.ts'
import { WriteRuns } from '../write-run.ts'
import { turnsAlone } from './simulated-turns.ts'
import { tableIn, tableOf, wordsOf } from './simulated-world.ts'

const NO_FILES: StagedFiles = {
  removeAll: () => Promise.resolve(),
  removeAttempts: () => Promise.resolve(),
  removeUncommitted: () => Promise.resolve(),
}

export interface Told {
  readonly tookMs: number
  readonly how: string
}

/**
 * A queue over a store that can fall silent: then calls take their time, and nobody knows whether commits were done; and
 * over a kernel and a disk that can fail.
 */
async function openWorld(clock: ManualClock) {
  const etcd = new MemoryEtcd(clock)
  const keys = new Keys('test')
  const log = silentLog
  await openCluster({ kv: etcd.connect(), keys, clock })
  const catalog = await Catalog.open({ kv: etcd.connect(), keys, clock, log })
  await createRelation(catalog, tableOf('t0'))
  const kv = etcd.connect()
  const writeLog = new WriteLog({ kv, keys, clock })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const parts = { catalog, writeLog, decisions: writeLog, keys, clock, turns: turnsAlone(clock) }
  const liveFiles = (): Promise<readonly []> => Promise.resolve([])
  const committer = new Committer({ ...parts, liveFiles })
  const writes = new WriteRuns({ ...parts, committer, log, owner, warehouse: '/', files: NO_FILES })
  let made = 0
  let idle = 0
  const broken = { kernel: false, disk: false }
  const queue = new AppendQueue(tableIn(catalog.snapshot(), 't0'), {
    ...{ ...parts, owner, writes, onIdle: () => void idle++, newWriteId: () => `w${++made}` },
    encode: async (_, texts) => {
      await Promise.resolve()
      if (broken.kernel) throw new Error('the kernel is gone')
      return {
        stage: (current) => {
          if (broken.disk) return Promise.reject(new Error('the disk is gone'))
          const rows = texts.flatMap((text) => text.rows)
          const comment = [...wordsOf(current), ...rows].join(' ')
          const record = { ...current, comment, snapshotId: current.snapshotId + 1 }
          return Promise.resolve({ record, forgets: false })
        },
        dropAttempt: () => Promise.resolve(),
      }
    },
  })
  const send = async (id: string): Promise<Told> => {
    const began = clock.now()
    const how = await queue
      .append({
        identity: { id, fingerprint: id },
        text: { rows: [id], timeZone: 'UTC' },
        ...{ schemaVersion: 1, notices: [], commit: { begun: false } },
        ...{ signal: new AbortController().signal, patience: writeLog.patience() },
      })
      .then(
        (end) => end.kind,
        (error: unknown) => (error as SqlError).error,
      )
    return { tookMs: clock.now() - began, how }
  }
  const silent = (fate: Fate = 'loseRequest'): void => {
    kv.faults = { latencyMs: () => 60_000, fate: () => fate }
  }
  const slow = (): void => {
    kv.faults = { latencyMs: () => 900 }
  }
  const answers = (): void => {
    kv.faults = {}
  }
  const rows = (): readonly string[] => wordsOf(tableIn(catalog.snapshot(), 't0'))
  /** Ids of the writes that have a record and no end. */
  const pending = async (): Promise<readonly string[]> =>
    (await writeLog.transactions()).flatMap(({ record }) =>
      record.kind === 'pending' ? [record.id] : [],
    )
  return {
    ...{ queue, send, silent, slow, answers, rows, writeLog, catalog, committer, clock, writes },
    ...{ broken, pending, kv, idle: () => idle },
  }
}

export type World = Awaited<ReturnType<typeof openWorld>>

/** Three appends to a silent store: when the first is told so the second has left its group, and the third may yet be done. */
export async function sendToSilence({ send, silent, clock }: World) {
  silent()
  const blocking = send('blocking')
  await clock.sleep(1_000)
  const early = send('early')
  await clock.sleep(3_000)
  return { blocking, early, late: send('late') }
}

/** A test in a world of its own. */
export async function inWorld(
  claim: string,
  body: (t: Test, world: World) => Promise<void>,
): Promise<void> {
  await t.test(claim, (test) => {
    const clock = new ManualClock()
    return clock.run(
      (async () => {
        const world = await openWorld(clock)
        await body(test, world)
        await world.queue.close()
        await world.catalog.close()
      })(),
    )
  })
}
