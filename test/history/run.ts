import { connect, type Database, SqlError } from '@nyala/client'
import { type Clock, Prng } from '@nyala/client/base'
import {
  leftInCluster,
  leftInWarehouse,
  Links,
  type LocalCluster,
  ownTarget,
  startLocalCluster,
  type Target,
} from '@nyala/deploy'
import { CONTIGUOUS } from './checks.ts'
import { breakThings, type FaultName, untilWhole } from './faults.ts'
import type { Transaction } from './history.ts'
import { Recorder } from './recorder.ts'
import {
  ACCOUNTS_SQL,
  accountsIn,
  APPENDED,
  LIST_VALUES,
  makeTables,
  RING_SQL,
  ringIn,
  setsIn,
  setsSql,
} from './tables.ts'
import { Times, untilOneWaits } from './waiting.ts'
import { HistoryClient, Keys } from './workload.ts'

const MEMBERS = { coordinators: 3, executors: 2, etcd: 3 } as const
const EXECUTOR_MEMORY_BYTES = 512 * 1024 * 1024
/** Transactions between two times that small files are written as one. */
const COMPACT_EVERY = 2_000
const PROGRESS_EVERY = 1_000
/** What an aborted write has left is removed once more after 60 s, and its record goes then; more on a busy machine. */
const TIDY_MS = 400_000
const POLL_MS = 200
/** What a coordinator has read that was killed is cleaned up after two minutes, not ten. */
const DRILL = { NYALA_DRILL: '1', NYALA_HASTE: '5' }

export interface RunOptions {
  readonly dir: string
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly transactions: number
  readonly seed: number
  readonly clients: number
  readonly faults: readonly FaultName[]
  /** Settings of the clients' sessions. */
  readonly set: Readonly<Record<string, string>>
  readonly tell: (line: string) => void
  readonly onTransaction: (transaction: Transaction) => void
}

export interface RunResult {
  readonly ended: { readonly perSecond: number }
  /** Faults, by name. */
  readonly counts: Readonly<Record<string, number>>
  /** Files and keys that are not as they should be. */
  readonly problems: readonly string[]
}

/** Clients work on a cluster of their own while it is broken in every way that is asked for. */
export async function runHistory(options: RunOptions): Promise<RunResult> {
  const links = new Links()
  let cluster: LocalCluster | undefined
  try {
    const started = await startLocalCluster({
      ...MEMBERS,
      ...{ dir: options.dir, variables: { ...options.variables, ...DRILL } },
      ...{ threads: 1, memoryBytes: EXECUTOR_MEMORY_BYTES, restart: true },
      advertise: (member) => links.open(member),
    })
    cluster = started
    links.watch(() => started.processes)
    return await work(started, links, options)
  } finally {
    await links.set([])
    await cluster?.stop()
    await links.close()
  }
}

async function work(cluster: LocalCluster, links: Links, options: RunOptions): Promise<RunResult> {
  const { clock, tell, transactions, seed } = options
  const prng = new Prng(seed)
  const target = ownTarget(cluster)
  const members = cluster.processes.map(({ id }) => id)
  const addresses = cluster.processes
    .filter(({ role }) => role === 'coordinator')
    .map(({ id }) => links.addressOf(id) ?? '')
  let count = 0
  const written = new Set<string>()
  const onTransaction = (one: Transaction): void => {
    options.onTransaction(one)
    for (const operation of one.operations) {
      if (operation.kind === 'add') written.add(operation.key)
    }
    if (++count % PROGRESS_EVERY === 0) tell(`${count} transactions`)
  }
  await using db = await connect({ endpoints: addresses })
  await makeTables(db, LIST_VALUES + Math.ceil(transactions / LIST_VALUES))
  const [keys, began, times] = [new Keys(), clock.now(), new Times()]
  const onAct = (what: string, ms: number): void => times.add(what, ms)
  const clients = await Promise.all(
    Array.from({ length: options.clients }, (_, i) =>
      HistoryClient.open(`c${i}`, {
        ...{ addresses, keys, clock, prng: new Prng(prng.below(2 ** 31)), tell: onTransaction },
        ...{ set: options.set, onAct },
      }),
    ),
  )
  const stop = { now: false }
  const isOver = (): boolean => stop.now || count >= transactions
  const parts = { faults: options.faults, target, members, links, clock, tell }
  const breaking = breakThings({ ...parts, prng: new Prng(seed + 1) }, isOver)
  const compacting = compact(db, { clock, tell, isOver, done: () => count })
  try {
    const working = Promise.all(clients.map((client) => client.work(isOver))).then(
      () => (1000 * count) / (clock.now() - began),
    )
    // Whatever fails ends the others.
    const ending = (error: unknown): never => {
      stop.now = true
      throw error
    }
    const waiting = untilOneWaits(clients, { clock, isOver })
    const [perSecond, counts] = await Promise.all([
      working.catch(ending),
      breaking.catch(ending),
      compacting.catch(ending),
      waiting.catch(async (error: unknown) => {
        for (const line of await runningAt(addresses)) tell(line)
        return ending(error)
      }),
    ])
    for (const line of times.lines()) tell(line)
    await untilWhole(parts)
    const token = Math.max(...clients.map((client) => client.token))
    await readAll(addresses, { token, written: [...written] }, { clock, onTransaction })
    return { ended: { perSecond }, counts, problems: await left(target, clock) }
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

/** What each coordinator says of the statements that it runs, as lines: why one of them does not end may show there. */
async function runningAt(addresses: readonly string[]): Promise<readonly string[]> {
  const asked = addresses.map(async (address) => {
    try {
      await using db = await connect({ endpoints: [address], discover: false })
      const { rows } = await db.query('SHOW QUERIES')
      return rows.map((row) => `${address} ${Object.values(row).map(String).join(' | ')}`)
    } catch (error) {
      return [`${address} does not say what it runs: ${String(error)}`]
    }
  })
  return (await Promise.all(asked)).flat()
}

/** Writes small files as one now and then, as an operator would. */
async function compact(
  db: Database,
  work: {
    readonly clock: Clock
    readonly tell: (line: string) => void
    readonly isOver: () => boolean
    readonly done: () => number
  },
): Promise<void> {
  let next = COMPACT_EVERY
  while (!work.isOver()) {
    if (work.done() >= next) {
      next = work.done() + COMPACT_EVERY
      for (const table of APPENDED) {
        try {
          await db.execute(`ALTER TABLE ${table} EXECUTE optimize`)
        } catch (error) {
          if (!(error instanceof SqlError)) throw error
          work.tell(`${table} is not compacted: ${error.code} ${error.message}`)
        }
      }
    }
    await work.clock.sleep(POLL_MS)
  }
}

/** What there is in the end, as each coordinator shows it. */
async function readAll(
  addresses: readonly string[],
  { token, written }: { readonly token: number; readonly written: readonly string[] },
  { clock, onTransaction }: Pick<RunOptions, 'clock' | 'onTransaction'>,
): Promise<void> {
  const [ranges, sets] = [true, false].map((isRange) =>
    written.filter((key) => key.startsWith(CONTIGUOUS) === isRange),
  )
  const all = { default: 'true', other: 'true' }
  for (const [i, address] of addresses.entries()) {
    await using db = await connect({ endpoints: [address], discover: false })
    const recorder = new Recorder(`end${i}`, { clock, tell: onTransaction, token })
    const end = await recorder.run(db, 'end', async (session, did) => {
      await session.execute('BEGIN')
      did.push(...setsIn((await session.query(setsSql('sets', all))).rows, '', sets ?? []))
      did.push(
        ...setsIn((await session.query(setsSql('ranges', all))).rows, CONTIGUOUS, ranges ?? []),
      )
      did.push(accountsIn((await session.query(ACCOUNTS_SQL)).rows))
      did.push(ringIn((await session.query(RING_SQL)).rows))
      await session.execute('COMMIT')
    })
    if (end !== 'committed') throw new Error(`${address} does not show what there is in the end`)
  }
}

async function left(target: Target, clock: Clock): Promise<readonly string[]> {
  const endMs = clock.now() + TIDY_MS
  for (;;) {
    // Files that came after the end of their write are looked for by the leader.
    const found = (await leftInCluster(target)) ?? (await leftInWarehouse(target))
    if (found === undefined) return []
    if (clock.now() > endMs) return [found]
    await clock.sleep(POLL_MS)
  }
}
