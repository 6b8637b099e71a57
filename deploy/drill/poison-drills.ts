import { connect, type Database, SqlError } from '@nyala/client'
import { childrenOf, residentBytes, sendSignals } from './kernels.ts'
import type { Drill, Round } from './round.ts'

/** Takes more memory the longer it runs, and would run for long. */
const GREEDY = `SELECT CAST(count(*) AS VARCHAR) AS answer
  FROM (SELECT DISTINCT l_comment || CAST(o_orderkey AS VARCHAR) FROM lineitem, orders)`

/** Kernels that have a tenth of a gigabyte when idle are killed here, before their own limit stops the query. */
const KILLED_RSS_BYTES = 380 * 1024 * 1024
/** As documented of `query_quarantined`. */
const DEATHS_MAX = 2
/** The kernel needs some seconds to grow, and grows twice. */
const QUARANTINED_MS = 30_000
/** One that is in quarantine is refused without a kernel. */
const REFUSED_MS = 1_000
const POLL_MS = 10
/** A query that takes too much is told so by then. */
const REFUSED_FOR_MEMORY_MS = 10_000

/** Each takes more memory than it is given, and more disk than it may. */
const TOO_MUCH = [
  GREEDY,
  'SELECT list(l_comment) AS answer FROM lineitem, orders GROUP BY l_orderkey % 7',
  'SELECT l_comment AS answer FROM lineitem, orders ORDER BY l_comment || o_orderkey',
]
/** What a kernel has when idle, and all that queries take here that keep to their limits. */
const KEPT_TO_BYTES = 300 * 1024 * 1024
const SHORT = { mem_limit: '32MB', max_spill_bytes: '8MB', distribution: 'single' }

/** Drills of queries that are too much for whoever runs them. */
export const POISON_DRILLS: readonly Drill[] = [
  {
    name: 'poison-query',
    summary:
      'kernels are killed for the memory that one query takes: it is refused after the second',
    load: ['small', 'divided', 'slow'],
    bounds: { stallMs: 5_000 },
    run: poison,
    mutant: { name: 'no-quarantine', fails: ['errors'] },
  },
  {
    name: 'poison-query-elsewhere',
    summary:
      'a query that has killed kernels is sent to each other coordinator: none of them asks a kernel',
    load: ['small', 'divided'],
    bounds: { stallMs: 5_000 },
    run: poisonElsewhere,
    mutant: { name: 'lonely-quarantine', fails: ['errors'] },
  },
  {
    name: 'memory-short',
    summary:
      'cross joins, giant groups and giant sorts under a small memory limit: a typed error, in time',
    load: ['small', 'divided', 'slow'],
    bounds: { stallMs: 5_000 },
    run: exhaustMemory,
    mutant: { name: 'no-memory-limit', fails: ['errors', 'whole'] },
  },
]

/** Those that do not know of the query any more ask kernels, and are to be stopped by then. */
const ASKED_ELSEWHERE_MS = 5_000

/** As the kernel of a machine that is short of memory would: whoever has grown too large is killed. */
async function poison(round: Round): Promise<void> {
  const { target, database } = round.options
  round.began('')
  await using db = await connect({ url: target.url, database })
  const killer = startKiller(round)
  try {
    await killKernels(round, db, killer)
    await isRefused(round, db, killer)
    await round.loadRecovered()
  } finally {
    await killer.stop()
  }
}

/** Whoever is told that it is refused tries again at each other coordinator. */
async function poisonElsewhere(round: Round): Promise<void> {
  const { database } = round.options
  const [first, ...others] = round.options.prng.shuffle(await round.processes('coordinator'))
  round.began('')
  const at = (address = '') => connect({ url: `nyala://${address}`, database, discover: false })
  const killer = startKiller(round)
  try {
    await using db = await at(first?.address)
    await killKernels(round, db, killer)
    for (const { address } of others) {
      await using elsewhere = await at(address)
      await isRefused(round, elsewhere, killer)
    }
    await round.loadRecovered()
  } finally {
    await killer.stop()
  }
}

/** Two kernels die under a query, and it is refused. */
async function killKernels(round: Round, db: Database, killer: Killer): Promise<void> {
  const ended = new AbortController()
  let error: unknown
  void errorOf(db.query(GREEDY, [], { signal: ended.signal })).then((reason) => (error = reason))
  try {
    await round.until('errors', round.bound(QUARANTINED_MS), () => {
      if (killer.deaths() > DEATHS_MAX) return undefined
      return error === undefined ? `the query goes on, ${killer.deaths()} kernels died` : undefined
    })
    await round.until('errors', 0, () => tooManyDeaths(killer.deaths()))
    await expectError(round, error, 'query_quarantined')
  } finally {
    ended.abort()
  }
}

/** It is refused at once, and no kernel is asked. */
async function isRefused(round: Round, db: Database, killer: Killer): Promise<void> {
  const { clock } = round.options
  const startedMs = clock.now()
  const late = AbortSignal.timeout(round.bound(ASKED_ELSEWHERE_MS))
  await expectError(
    round,
    await errorOf(db.query(GREEDY, [], { signal: late })),
    'query_quarantined',
  )
  const tookMs = clock.now() - startedMs
  await round.until('errors', 0, () => {
    if (killer.deaths() > DEATHS_MAX) return tooManyDeaths(killer.deaths())
    if (tookMs <= round.bound(REFUSED_MS)) return undefined
    return `it was refused after ${Math.round(tookMs)} ms only`
  })
}

async function exhaustMemory(round: Round): Promise<void> {
  const { target, database } = round.options
  const before = await executorPids(round)
  round.began('')
  await using db = await connect({ url: target.url, database, set: SHORT })
  let most = 0
  const watch = watchKernels(round, (_, bytes) => (most = Math.max(most, bytes)))
  try {
    for (const sql of TOO_MUCH) await expectShortage(round, db, sql)
  } finally {
    await watch.stop()
  }
  await round.loadRecovered()
  const after = await executorPids(round)
  await round.until('whole', 0, () => {
    if (after.join() !== before.join())
      return `executors were ${before.join()}, are ${after.join()}`
    return most <= KEPT_TO_BYTES ? undefined : `a kernel took ${most} bytes for ${SHORT.mem_limit}`
  })
}

async function expectShortage(round: Round, db: Database, sql: string): Promise<void> {
  const { clock } = round.options
  const startedMs = clock.now()
  const late = AbortSignal.timeout(round.bound(REFUSED_FOR_MEMORY_MS))
  const error = await errorOf(db.query(sql, [], { signal: late }))
  const took = `after ${Math.round(clock.now() - startedMs)} ms`
  await round.until('errors', 0, () =>
    error instanceof SqlError && error.category === 'resources'
      ? undefined
      : `${sql}\nended ${took} with ${String(error)}, and not for want of memory or disk`,
  )
}

const executorPids = async (round: Round): Promise<readonly number[]> =>
  (await round.processes('executor')).map(({ pid }) => pid)

/** Tells of the memory of every kernel, over and over until it is stopped. */
function watchKernels(
  round: Round,
  seen: (kernel: number, bytes: number) => void,
): { stop(): Promise<void> } {
  let over = false
  const work = (async () => {
    while (!over) {
      for (const pid of await executorPids(round)) {
        for (const kernel of childrenOf(pid)) seen(kernel, residentBytes(kernel))
      }
      await round.options.clock.sleep(POLL_MS)
    }
  })()
  return {
    stop: () => {
      over = true
      return work
    },
  }
}

interface Killer {
  deaths(): number
  stop(): Promise<void>
}

/** Kills every kernel that has grown beyond {@link KILLED_RSS_BYTES}. */
function startKiller(round: Round): Killer {
  const killed = new Set<number>()
  const watch = watchKernels(round, (kernel, bytes) => {
    if (killed.has(kernel) || bytes < KILLED_RSS_BYTES) return
    killed.add(kernel)
    sendSignals([kernel], 'SIGKILL')
  })
  return { deaths: () => killed.size, stop: () => watch.stop() }
}

const tooManyDeaths = (deaths: number): string | undefined =>
  deaths > DEATHS_MAX ? `${deaths} kernels died under one query` : undefined

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => new Error('it was answered'),
    (error: unknown) => error,
  )

const expectError = (round: Round, error: unknown, name: string): Promise<void> =>
  round.until('errors', 0, () =>
    error instanceof SqlError && error.error === name
      ? undefined
      : `it ended with ${String(error)}, not with ${name}`,
  )
