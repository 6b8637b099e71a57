import { connect, type Database, SqlError } from '@nyala/client'
import { callEtcd, compactEtcd, disarmEtcd } from '../local/etcd-calls.ts'
import { pendingWrites } from './leftovers.ts'
import { BLACKHOLE } from './links.ts'
import type { Call, LoadClient } from './load.ts'
import { struckAt } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { follower, MOVED_MS, restarted } from './strikes.ts'
import { missingFrom, statusAt } from './target.ts'
import { WRITERS } from './write-drills.ts'

/** Drills of etcd beyond the loss of one member: what it forgets, has no room for, and loses. */
export const ETCD_DRILLS: readonly Drill[] = [
  {
    name: 'etcd-compacted',
    summary:
      'etcd forgets what a coordinator cut off from it has missed: healed, it reads everything anew',
    load: ['small', 'divided', 'write', 'append'],
    bounds: { stallMs: 4_000 },
    links: true,
    begin: (round) => round.leader(),
    run: compactBehind,
    mutant: { name: 'no-relisting', fails: ['whole'] },
  },
  {
    name: 'coordinator-behind',
    summary:
      'a coordinator hears from etcd 100 ms late: what others have been told is there, it shows',
    load: ['small', 'divided'],
    bounds: { stallMs: 5_000 },
    links: true,
    run: readBehind,
    mutant: { name: 'old-snapshots', fails: ['exact'] },
  },
  {
    name: 'etcd-no-space',
    summary: 'etcd has no room left: reads go on, writes are refused by the name of its alarm',
    load: ['small', 'divided', 'stream', 'write', 'append', 'transfer'],
    bounds: { stallMs: 5_000 },
    etcd: { quotaBytes: 16 * 1024 * 1024 },
    run: fillEtcd,
    allows: isToldOfAlarm,
    mutant: { name: 'no-alarm-told', fails: ['errors'] },
  },
  {
    name: 'power-cut',
    summary: 'SIGKILL of everything at once, etcd too, with a transaction about to be committed',
    load: [...WRITERS, 'pair', 'divided'],
    bounds: { stallMs: 30_000 },
    etcd: { fsync: true },
    failpoints: true,
    run: cutPower,
    allows: isLostOnTheWay,
    mutant: { name: 'no-sweeps', fails: ['tidy'] },
  },
]

/** A view that falls behind reads anew within so long. */
const RELISTED_MS = 5_000
const VIEWS = 3

/**
 * Views are dropped and made, and an executor is another process, while a coordinator is cut off from etcd: it hears of
 * neither, and etcd forgets that they happened. The catalog is listed anew by whoever waits for a revision of it, too; what
 * is known of members comes by their view alone.
 */
async function compactBehind(round: Round): Promise<void> {
  const { target } = round.options
  const victim = await follower(round)
  await using db = await connectTo(round, await round.leader())
  const name = (age: string, i: number): string => `compacted_${age}_${i}`
  const each = async (make: (i: number) => string): Promise<void> => {
    for (let i = 1; i <= VIEWS; i++) await db.execute(make(i))
  }
  await each((i) => `CREATE VIEW ${name('old', i)} AS SELECT ${i} AS n`)
  round.began(victim)
  await round.links.set([{ from: victim, to: await round.ids('etcd'), fault: BLACKHOLE }])
  try {
    await gaveWatchesUp(round, victim)
    await each((i) => `DROP VIEW ${name('old', i)}`)
    await each((i) => `CREATE VIEW ${name('new', i)} AS SELECT ${i} AS n`)
    await replacedExecutor(round, victim)
    await compactEtcd(target.etcdEndpoints)
  } finally {
    await round.links.set([])
  }
  await metCompaction(round, victim)
  await round.until('whole', round.bound(RELISTED_MS), () =>
    missingFrom(target, round.options.members),
  )
  const expected = Array.from({ length: VIEWS }, (_, i) => name('new', i + 1)).join(', ')
  await round.until('exact', round.bound(RELISTED_MS), async () => {
    for (const id of await round.ids('coordinator')) {
      const seen = await viewsAt(round, id)
      if (seen !== expected) return `${id} has the views ${seen}, and not ${expected}`
    }
    return undefined
  })
  await each((i) => `DROP VIEW ${name('new', i)}`)
}

/** An executor is killed, started again by its supervisor, and known to all coordinators but the one that is cut off. */
async function replacedExecutor(round: Round, cutOff: string): Promise<void> {
  const executor = round.options.prng.pick(await round.ids('executor'))
  const before = (await round.process(executor))?.pid
  await round.signal(executor, 'SIGKILL')
  const pid = await restarted(round, executor, { before, timeoutMs: RESTARTED_MS })
  await round.until('whole', round.bound(RESTARTED_MS), async () => {
    for (const { id, address } of await round.processes('coordinator')) {
      if (id === cutOff) continue
      const known = (await statusAt(address))?.members.find((one) => one.id === executor)
      if (known?.pid !== pid || known.state !== 'alive') return `${id} does not know ${executor}`
    }
    return undefined
  })
}
const RESTARTED_MS = 15_000

/** What every coordinator keeps a view of, and other members change. */
const VIEWED = ['/catalog/', '/members/'] as const

/** What is on its way to it comes late, to watches that are not there any more: it has to ask anew from where it was. */
function gaveWatchesUp(round: Round, victim: string): Promise<void> {
  return round.until('struck', round.bound(MOVED_MS), () =>
    missedView(round, victim, 'view broken'),
  )
}

/** It has asked for what etcd does not know any more. Otherwise it was not behind, and nothing is shown. */
function metCompaction(round: Round, victim: string): Promise<void> {
  return round.until('struck', round.bound(MOVED_MS), () =>
    missedView(round, victim, 'viewCompacted'),
  )
}

function missedView(round: Round, victim: string, event: string): string | undefined {
  const prefixes = round
    .logged()
    .filter((line) => line.member === victim && line.event === event)
    .map(({ fields }) => String(fields['prefix']))
  const missing = VIEWED.find((end) => !prefixes.some((prefix) => prefix.endsWith(end)))
  return missing === undefined ? undefined : `${victim} has not logged "${event}" for ${missing}`
}

const LATE_MS = 100
const CHANGES = 10

/** A view is made anew over and over at one coordinator, and asked at once at the one that is late. */
async function readBehind(round: Round): Promise<void> {
  const victim = await follower(round)
  const others = (await round.ids('coordinator')).filter((id) => id !== victim)
  await using writer = await connectTo(round, others[0] ?? '')
  await using reader = await connectTo(round, victim)
  round.began(victim)
  const late = { kind: 'delay', ms: LATE_MS } as const
  await round.links.set([{ from: victim, to: await round.ids('etcd'), fault: late }])
  for (let i = 1; i <= CHANGES; i++) {
    await writer.execute(`CREATE OR REPLACE VIEW newest AS SELECT ${i} AS n`)
    const { rows } = await reader.query<{ n: number }>('SELECT n FROM newest').catch(noRows)
    await round.until('exact', 0, () =>
      rows[0]?.n === i ? undefined : `${victim} shows ${JSON.stringify(rows)} after ${i} was told`,
    )
  }
  await round.links.set([])
  await writer.execute('DROP VIEW newest')
}

/** It has not seen so much as the first of them. */
function noRows(error: unknown): { readonly rows: readonly never[] } {
  if (error instanceof SqlError && error.error === 'undefined_table') return { rows: [] }
  throw error
}

/** What the drill's own views are called at one coordinator, in order; why it does not say so, where it does not. */
async function viewsAt(round: Round, id: string): Promise<string> {
  try {
    await using db = await connectTo(round, id)
    const { rows } = await db.query<{ name: string }>('SHOW VIEWS')
    const names = rows.map(({ name }) => name).filter((one) => one.startsWith('compacted_'))
    return names.toSorted().join(', ')
  } catch (error) {
    if (error instanceof SqlError) return `(${error.message})`
    throw error
  }
}

async function connectTo(round: Round, id: string): Promise<Database> {
  const { address = '' } = (await round.process(id)) ?? {}
  const { database } = round.options
  const signal = AbortSignal.timeout(round.bound(MOVED_MS))
  return connect({ url: `nyala://${address}`, database, discover: false, signal })
}

const FILLER_BYTES = 1024 * 1024
const FILLERS_MAX = 64
const FILLER_PREFIX = '/filler/'

/** Fills etcd beside the cluster's keys until it raises its alarm; takes all away again and disarms it. */
async function fillEtcd(round: Round): Promise<void> {
  const { etcdEndpoints } = round.options.target
  const [endpoint = ''] = etcdEndpoints
  round.began(etcdEndpoints.join(' and '))
  try {
    await round.until('struck', round.bound(MOVED_MS), () => raiseAlarm(endpoint))
    const isWriter = ({ kind }: LoadClient): boolean =>
      ['write', 'append', 'transfer'].includes(kind)
    const writers = round.load.clients.filter(isWriter)
    const readers = round.load.clients.filter((client) => !isWriter(client))
    await round.until('errors', round.bound(MOVED_MS), () => {
      const waiting = writers.find(({ calls }) => !calls.some(isToldOfAlarm))
      return waiting === undefined ? undefined : `${waiting.name} was not told of the alarm`
    })
    await round.until('errors', round.bound(MOVED_MS), () => unnamedAlarm(round))
    // From here on, not before: what they began may have been under way when the alarm was raised.
    const before = readers.map(({ calls }) => calls.length)
    await round.until('stall', round.bound(MOVED_MS), () => {
      const waiting = readers.find(({ calls }, i) => calls.length < (before[i] ?? 0) + 2)
      return waiting === undefined ? undefined : `${waiting.name} reads nothing during the alarm`
    })
  } finally {
    const range = { key: base64(FILLER_PREFIX), range_end: base64(afterAll(FILLER_PREFIX)) }
    await callEtcd(endpoint, 'kv/deleterange', range)
    await compactEtcd(etcdEndpoints)
    await disarmEtcd(endpoint)
  }
}

/** Puts values until there is no room for another one. */
async function raiseAlarm(endpoint: string): Promise<string | undefined> {
  const value = base64('x'.repeat(FILLER_BYTES))
  for (let i = 0; i < FILLERS_MAX; i++) {
    try {
      await callEtcd(endpoint, 'kv/put', { key: base64(`${FILLER_PREFIX}${i}`), value })
    } catch (error) {
      if (String(error).includes('database space exceeded')) return undefined
      throw error
    }
  }
  return `${FILLERS_MAX} values of ${FILLER_BYTES} bytes found room`
}

/** A coordinator whose status does not name the alarm. */
async function unnamedAlarm(round: Round): Promise<string | undefined> {
  for (const id of await round.ids('coordinator')) {
    await using db = await connectTo(round, id)
    const { etcd } = await db.status()
    const isNamed = etcd.some(({ alarms = [] }) => alarms.includes('NOSPACE'))
    if (!isNamed) return `the status of ${id} does not name the alarm: ${JSON.stringify(etcd)}`
  }
  return undefined
}

function isToldOfAlarm({ error }: Call): boolean {
  return error?.error === 'disk_full' && error.message.includes('NOSPACE')
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** The first key after all that begin with the prefix, whose last character is no letter of the highest codes. */
const afterAll = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)

/** What was pending when everything went is not any more. From the cut on: elections, and the grace of owners. */
const RESOLVED_MS = 30_000

/** A transaction is held right before its commit, so that there is something to be found afterwards. */
async function cutPower(round: Round): Promise<void> {
  const { target } = round.options
  await struckAt(round, 'transaction.committing', { isFirst: true, what: 'stop' })
  const pending = await pendingWrites(target)
  await round.until('struck', 0, () => (pending.length > 0 ? undefined : 'no write was under way'))
  const before = await target.processes()
  round.began('everything')
  for (const { id } of before) await round.signal(id, 'SIGKILL')
  await round.whole()
  const pids = new Set(before.map(({ pid }) => pid))
  const left = (await target.processes()).find(({ pid }) => pids.has(pid))
  await round.until('struck', 0, () =>
    left === undefined ? undefined : `${left.id} was not killed`,
  )
  await round.until('tidy', round.bound(RESOLVED_MS), async () => {
    const still = (await pendingWrites(target)).find((id) => pending.includes(id))
    return still === undefined ? undefined : `the write ${still} is still pending`
  })
}

/** Of a cluster that is gone altogether: typed, and nothing else than that it is. */
function isLostOnTheWay({ error }: Call): boolean {
  return error !== undefined && (LOST.has(error.error) || error.code.startsWith('08'))
}
const LOST: ReadonlySet<string> = new Set([
  'metastore_unavailable',
  'commit_outcome_unknown',
  'cannot_connect_now',
  'no_executors',
  'executor_lost',
  'result_lost',
])
