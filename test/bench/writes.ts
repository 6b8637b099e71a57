import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Database } from '@nyala/client'
import { startLocalCluster } from '@nyala/deploy'
import type { Bench, PartResult } from './bench.ts'
import { median, type Measurement, percentile, round, spread } from './measurement.ts'
import { openKernel } from './world.ts'

const ONE_WRITER_COMMITS = 300
const WRITERS = 64
const WRITERS_COMMITS = 6_000
/** Where the work of a commit is looked at, and over how many commits. */
const GROWTH_AT = [10, 1_000, 10_000]
const GROWTH_WINDOW = 100
const SHARE_RUNS = 15
const COPY_RUNS = 3
/** Of appends at three coordinators, and how often something larger is done beside them. */
const CONTENDED_COMMITS = 6_000
const CONTENDED_COORDINATORS = 3
const GOALS = { one3: 60, one1: 100, many: 500, copy: 1.3, shareMs: 30, growth: 1.5 }

interface Written {
  readonly perSecond: number
  readonly latenciesMs: readonly number[]
}

/** Commits a second, what a commit adds, and INSERT … SELECT beside DuckDB's own COPY: with real etcd, every file fsynced. */
export async function measureWrites({ options }: Bench): Promise<PartResult> {
  const measurements: Measurement[] = []
  const add = (one: Measurement): void => {
    measurements.push(one)
    options.print(`  ${one.name}: ${round(one.value)} ${one.unit}`)
  }
  const steps: (readonly string[])[] = []
  for (const etcd of [3, 1] as const) {
    await using world = await openWritable(options, { etcd, coordinators: 1 })
    const { db } = world
    await createTable(db, 'one')
    const one = await write(options, world, {
      table: 'one',
      writers: 1,
      commits: ONE_WRITER_COMMITS,
    })
    steps.push([`one writer, etcd ${etcd}`, ...(await stepsOf(db, 'one'))])
    add(commits(`one writer, etcd ${etcd}`, one, etcd === 3 ? GOALS.one3 : GOALS.one1))
    await createTable(db, 'many')
    const how = { table: 'many', writers: WRITERS, commits: WRITERS_COMMITS }
    const many = await write(options, world, how)
    await checkCount(db, 'many', WRITERS_COMMITS)
    add(commits(`${WRITERS} writers, etcd ${etcd}`, many, GOALS.many))
    if (etcd === 3) continue
    add(await commitShare(options, db))
    add(await beside(options, db))
    add(await growth(options, world))
  }
  for (const one of await contention(options)) add(one)
  const columns = ['commit', 'statements', 'encode ms', 'stage ms', 'decide ms']
  return { measurements, table: { columns, rows: steps } }
}

interface Writable extends AsyncDisposable {
  readonly db: Database
  /** Of its coordinators. */
  readonly addresses: readonly string[]
}

async function openWritable(
  options: Bench['options'],
  { etcd, coordinators }: { readonly etcd: 1 | 3; readonly coordinators: number },
): Promise<Writable> {
  const { sample, threads, variables } = options
  const dir = await mkdtemp(join(tmpdir(), 'nyala-bench-'))
  const remove = (): void => rmSync(dir, { recursive: true, force: true })
  const cluster = await startLocalCluster({
    ...{ variables, threads, dir, etcd, coordinators, executors: 1, roots: [sample.dir] },
  }).catch((error: unknown) => {
    remove()
    throw error
  })
  await cluster.joined()
  const db = await connect({ url: cluster.url, application: 'bench' })
  for (const statement of sample.statements) await db.execute(statement)
  return {
    db,
    addresses: cluster.processes
      .filter(({ role }) => role === 'coordinator')
      .map(({ address }) => address),
    async [Symbol.asyncDispose]() {
      await db.close()
      await cluster.stop()
      remove()
    },
  }
}

const createTable = (db: Database, table: string): Promise<unknown> =>
  db.execute(`CREATE TABLE ${table} (id BIGINT, name STRING, price DECIMAL(12,2), day DATE)`)

/** Every writer sends its next row when it is told that the one before is committed. */
async function write(
  { clock }: Bench['options'],
  { db }: Writable,
  how: { readonly table: string; readonly writers: number; readonly commits: number },
): Promise<Written> {
  const { table, writers, commits: total } = how
  const latenciesMs: number[] = []
  let next = 0
  const writer = async (): Promise<void> => {
    while (next < total) {
      const id = next++
      const since = clock.now()
      await db.execute(`INSERT INTO ${table} VALUES (${id}, 'row ${id}', ${id}.25, '2026-11-22')`)
      latenciesMs.push(clock.now() - since)
    }
  }
  // The first one loads what is loaded at first use.
  await db.execute(`INSERT INTO ${table} VALUES (-1, NULL, NULL, NULL)`)
  const started = clock.now()
  await Promise.all(Array.from({ length: writers }, writer))
  return { perSecond: (1000 * total) / (clock.now() - started), latenciesMs }
}

async function checkCount(db: Database, table: string, rows: number): Promise<void> {
  const { rows: found } = await db.query(`SELECT count(*) AS n FROM ${table} WHERE id >= 0`)
  const counted = Number(found[0]?.['n'])
  if (counted !== rows) throw new Error(`${rows} rows were committed, ${counted} are there`)
}

function commits(name: string, { perSecond, latenciesMs }: Written, goal: number): Measurement {
  return {
    name: `durable single-row commits: ${name}`,
    value: perSecond,
    unit: 'a second',
    goal: { kind: 'least', value: goal },
    detail: `p50 ${round(median(latenciesMs))} ms, p99 ${round(percentile(latenciesMs, 0.99))} ms`,
  }
}

/** Where the time of one more commit goes. */
async function stepsOf(db: Database, table: string): Promise<readonly string[]> {
  const stream = db.stream(`INSERT INTO ${table} VALUES (-2, NULL, NULL, NULL)`)
  await stream.drain()
  const profile = (await stream.profile()) as Readonly<Record<string, number>>
  const { statements = 0, encodeMs = 0, stageMs = 0, decideMs = 0 } = profile
  return [String(statements), round(encodeMs), round(stageMs), round(decideMs)]
}

/** INSERT … SELECT of few rows against the same SELECT: what staging and commit add. */
async function commitShare({ clock }: Bench['options'], db: Database): Promise<Measurement> {
  await db.execute('CREATE TABLE share (n BIGINT, name STRING)')
  const select = 'SELECT n_nationkey, n_name FROM nation'
  const took = async (sql: string): Promise<number> => {
    const since = clock.now()
    await db.execute(sql)
    return clock.now() - since
  }
  const [reads, writes]: [number[], number[]] = [[], []]
  for (let run = 0; run < SHARE_RUNS; run++) {
    reads.push(await took(select))
    writes.push(await took(`INSERT INTO share ${select}`))
  }
  return {
    name: 'added by files and commit to INSERT … SELECT of 25 rows',
    value: median(writes) - median(reads),
    unit: 'ms',
    goal: { kind: 'most', value: GOALS.shareMs },
    detail: `p50 ${round(median(writes))} ms against ${round(median(reads))} ms`,
  }
}

async function beside(options: Bench['options'], db: Database): Promise<Measurement> {
  const { clock, sample, threads } = options
  const kernel = await openKernel(sample.dir, threads)
  const dir = await mkdtemp(join(tmpdir(), 'nyala-copy-'))
  const [own, alone]: [number[], number[]] = [[], []]
  try {
    await db.execute('CREATE TABLE lines AS SELECT * FROM lineitem LIMIT 0')
    for (let run = 0; run < COPY_RUNS; run++) {
      let since = clock.now()
      await kernel.run(`COPY (FROM lineitem) TO '${join(dir, `${run}.parquet`)}' (FORMAT parquet)`)
      alone.push(clock.now() - since)
      since = clock.now()
      await db.execute('INSERT INTO lines SELECT * FROM lineitem')
      own.push(clock.now() - since)
    }
  } finally {
    kernel.closeSync()
    rmSync(dir, { recursive: true, force: true })
  }
  return {
    name: 'INSERT … SELECT of lineitem',
    value: median(own) / median(alone),
    unit: '× DuckDB’s COPY',
    goal: { kind: 'most', value: GOALS.copy },
    detail: `${spread(own)} ms against ${spread(alone)} ms, ${threads} threads, medians of ${COPY_RUNS}`,
  }
}

/** Writers at several coordinators into one table, and a transaction and an UPDATE beside them, one after the other. */
async function contention(options: Bench['options']): Promise<readonly Measurement[]> {
  const { clock } = options
  await using world = await openWritable(options, {
    etcd: 3,
    coordinators: CONTENDED_COORDINATORS,
  })
  const all = await Promise.all(
    world.addresses.map((address) => connect({ endpoints: [address], discover: false })),
  )
  const [first] = all
  if (first === undefined) throw new Error('no coordinator')
  for (const table of ['shared', 'second']) await createTable(first, table)
  for (const db of all) await db.execute(`INSERT INTO shared VALUES (-1, NULL, NULL, NULL)`)
  const [appends, larger]: [number[], number[]] = [[], []]
  const timed = async (into: number[], work: () => Promise<unknown>): Promise<void> => {
    const since = clock.now()
    await work()
    into.push(clock.now() - since)
  }
  let next = 0
  const writer = async (db: Database): Promise<void> => {
    while (next < CONTENDED_COMMITS) {
      const row = `(${next++}, 'row', 1.25, '2026-11-22')`
      await timed(appends, () => db.execute(`INSERT INTO shared VALUES ${row}`))
    }
  }
  const changer = async (db: Database): Promise<void> => {
    while (next < CONTENDED_COMMITS) {
      await timed(larger, () => db.execute('UPDATE shared SET price = 2 WHERE id < 0'))
      await timed(larger, () =>
        db.transaction(async (session) => {
          for (const table of ['shared', 'second']) {
            await session.execute(`INSERT INTO ${table} VALUES (-2, NULL, NULL, NULL)`)
          }
        }),
      )
    }
  }
  const started = clock.now()
  const writers = Array.from({ length: WRITERS }, (_, i) => writer(all[i % all.length] ?? first))
  await Promise.all([...writers, changer(first)])
  const perSecond = (1000 * appends.length) / (clock.now() - started)
  await checkCount(first, 'shared', CONTENDED_COMMITS)
  for (const db of all) await db.close()
  const where = `${CONTENDED_COORDINATORS} coordinators, one table`
  const told = (latenciesMs: readonly number[]): string =>
    `p50 ${round(median(latenciesMs))} ms, p99 ${round(percentile(latenciesMs, 0.99))} ms`
  return [
    {
      name: `durable single-row commits: ${WRITERS} writers, ${where}, etcd 3`,
      ...{ value: perSecond, unit: 'a second', goal: undefined, detail: told(appends) },
    },
    {
      name: 'an UPDATE, or a transaction of two tables, beside them',
      ...{ value: median(larger), unit: 'ms', goal: undefined },
      detail: `${told(larger)}, ${larger.length} of them`,
    },
  ]
}

/** What a commit takes after few and after many others. */
async function growth(options: Bench['options'], world: Writable): Promise<Measurement> {
  const { db } = world
  await createTable(db, 'growing')
  const medians: number[] = []
  let done = 1
  for (const at of GROWTH_AT) {
    const missing = at - done
    if (missing > 0) {
      // As many commits as rows: of one writer each.
      await write(options, world, { table: 'growing', writers: 1, commits: missing })
    }
    const window = { table: 'growing', writers: 1, commits: GROWTH_WINDOW }
    medians.push(median((await write(options, world, window)).latenciesMs))
    done = at + GROWTH_WINDOW
  }
  const [first = 1, ...others] = medians
  return {
    name: `p50 of a commit after ${GROWTH_AT.at(-1)} commits`,
    value: (others.at(-1) ?? first) / first,
    unit: '× that after 10',
    goal: { kind: 'most', value: GOALS.growth },
    detail: GROWTH_AT.map((at, i) => `after ${at}: ${round(medians[i] ?? 0)} ms`).join(', '),
  }
}
