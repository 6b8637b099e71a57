/**
 * Plans of random queries, with sizes that come out as nobody expected: whatever is planned, and planned again, can be
 * run. `SEED` plans one query, `QUERIES` says how many.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Prng } from '@nyala/client/base'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import t from 'tap'
import { PlanningWorld, sketchColumns, sketchListing } from '../../testing/index.ts'
import { type Fragment, type PhysicalPlan, writtenAs, writtenExchanges } from '../physical-plan.ts'
import { RANDOM_COLUMNS, RANDOM_TABLES, RandomSql } from './testing/random-sql.ts'

const SEED = process.env['SEED']
const QUERIES = Number(process.env['QUERIES'] ?? 60)
/** The value of `k` at this part of the rows. */
const keyAt = (part: number): number => Math.floor(part * 1_000_000)
/** More fragments than this times those of the first plan are never run: each stage brings the end nearer. */
const RUNS_MAX = 3

const directory = await mkdtemp(join(tmpdir(), 'nyala-random-plans-'))
const world = await PlanningWorld.open(directory)
const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
const kernel = await instance.connect()
t.teardown(async () => {
  kernel.closeSync()
  instance.closeSync()
  await world[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

for (const [i, name] of RANDOM_TABLES.entries()) {
  const files = Math.max(1, 8 >> i)
  const rows = 10_000_000 / 20 ** i
  await world.addTable({
    name,
    listing: sketchListing(
      `/${name}`,
      [sketchColumns(RANDOM_COLUMNS)],
      Array.from({ length: files }, (_, f) => ({
        path: `f${f}.parquet`,
        bytes: Math.ceil((rows * 30) / files),
        rowGroups: [Math.ceil(rows / files / 2), Math.ceil(rows / files / 2)],
        // Written in the order of `k`, of which all tables have the same values.
        bounds: {
          k: {
            min: [f / files, (f + 0.5) / files].map(keyAt),
            max: [(f + 0.4) / files, (f + 0.9) / files].map(keyAt),
          },
        },
      })),
    ),
  })
}

t.test('plans of random queries can be run, however large what they write turns out', async (t) => {
  let distributed = 0
  let adapted = 0
  const seeds = SEED === undefined ? Array.from({ length: QUERIES }, (_, i) => i) : [Number(SEED)]
  for (const seed of seeds) {
    const random = new Prng(seed)
    const sql = new RandomSql(random).query()
    try {
      const { plan } = await world.plan(sql, {
        distribution: 'force',
        distributionMinBytes: 0,
        broadcastMaxBytes: [0, 100_000, 64_000_000][random.below(3)] ?? 0,
        slots: 1 + random.below(12),
        executors: 3,
        filterGroupsAlways: random.chance(0.3),
        shareAlways: random.chance(0.3),
      })
      if (plan.exchanges.size > 0) distributed++
      adapted += await runThrough(plan, random)
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).message}\n${sql}`)
    }
  }
  if (SEED !== undefined) return
  t.ok(distributed > QUERIES / 2, `${distributed} of ${QUERIES} are distributed`)
  t.ok(adapted > QUERIES / 4, `${adapted} plans were made of what was measured`)
})

/** Goes through a plan as a run does; after each stage what is left is planned again. The times that it was. */
async function runThrough(first: PhysicalPlan, random: Prng): Promise<number> {
  let plan = first
  let times = 0
  await check(plan)
  for (let ran = 1; ran < plan.fragments.length; ran++) {
    if (ran > RUNS_MAX * first.fragments.length) throw new Error('it has no end')
    const measured = new Map(
      writtenExchanges(plan, ran).map((exchange) => {
        const rows = random.chance(0.2) ? 0 : 2 ** random.below(28)
        return [exchange, { rows, bytes: rows * 20 }]
      }),
    )
    const next = measured.size === 0 ? undefined : plan.adapt?.(measured)
    if (next === undefined) continue
    plan = { ...next, fragments: [...plan.fragments.slice(0, ran), ...next.fragments] }
    await check(plan)
    times++
  }
  return times
}

async function check(plan: PhysicalPlan): Promise<void> {
  const { fragments, exchanges } = plan
  const ids = fragments.map((f) => f.id)
  must(new Set(ids).size === ids.length, 'two fragments have one number')
  const written = new Map<number, Fragment>()
  for (const fragment of fragments) {
    for (const { exchange } of fragment.inputs) {
      must(exchanges.has(exchange), `exchange ${exchange} is not one of the plan's`)
      must(
        written.has(writtenAs(plan, exchange)),
        `exchange ${exchange} is read before it is there`,
      )
    }
    checkInputs(fragment)
    await checkBuckets(plan, fragment, written)
    const { output } = fragment
    if (output.kind === 'result') continue
    const before = written.get(output.exchange)?.output
    must(
      before === undefined || JSON.stringify(before) === JSON.stringify(output),
      `exchange ${output.exchange} is written in two ways`,
    )
    written.set(output.exchange, fragment)
  }
  must(fragments.at(-1)?.output.kind === 'result', 'the last fragment makes the result')
}

/** What a fragment says that it reads is what stands in its text. */
function checkInputs(fragment: Fragment): void {
  const { inputs, scans, parts, divided, cuttable } = fragment
  const named = parts.flatMap((p) => (p.kind === 'exchange' ? [p.exchange] : []))
  const read = inputs.map((input) => input.exchange)
  must(same(new Set(named), new Set(read)), 'inputs are the exchanges of the text')
  must(new Set(read).size === read.length, 'an input is named once')
  const scanned = parts.flatMap((p) => (p.kind === 'scan' ? [p.scan] : []))
  must(same(new Set(scanned), new Set(scans)), 'scans are those of the text')
  const used = (use: string): readonly number[] =>
    inputs.flatMap((input) => (input.use === use ? [input.exchange] : []))
  // A part of an exchange that stands twice in the text would meet itself in parts.
  for (const exchange of used('divided')) {
    must(named.filter((e) => e === exchange).length === 1, 'what is divided is read once')
  }
  const sources = [
    divided === undefined,
    used('divided').length === 0,
    used('buckets').length === 0,
  ]
  must(sources.filter((isNone) => !isNone).length <= 1, 'a fragment divides one thing')
  must(used('divided').length <= 1, 'one exchange is divided')
  for (const { scan, groups } of divided ?? []) {
    must(scanned.filter((one) => one === scan).length === 1, 'a divided scan is read once')
    must(groups.length > 0, 'a divided scan has a group')
    must(groups.length === divided?.[0]?.groups.length, 'divided scans have as many groups')
  }
  must(cuttable === undefined || used('buckets').includes(cuttable), 'what is cut is in buckets')
}

/** Inputs whose buckets one task reads together were put into them in the same way. */
async function checkBuckets(
  plan: PhysicalPlan,
  fragment: Fragment,
  written: ReadonlyMap<number, Fragment>,
): Promise<void> {
  const kinds: string[] = []
  for (const { exchange, use } of fragment.inputs) {
    if (use !== 'buckets') continue
    const writer = written.get(writtenAs(plan, exchange))
    must(writer?.output.kind === 'exchange' && writer.output.keys.length > 0, 'it is in buckets')
    if (writer?.output.kind !== 'exchange') continue
    const { keys, buckets } = writer.output
    const types = await typesOf(kernel, keys, plan.exchanges.get(exchange)?.columns ?? [])
    kinds.push(`${buckets} buckets by ${types.join(', ')}`)
  }
  must(new Set(kinds).size <= 1, `buckets are alike: ${kinds.join(' and ')}`)
}

const known = new Map<string, readonly string[]>()

async function typesOf(
  connection: DuckDBConnection,
  keys: readonly string[],
  columns: readonly { readonly name: string; readonly type: string }[],
): Promise<readonly string[]> {
  const items = keys.map((key) => `typeof(${key})`).join(', ')
  const row = columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS "${name}"`).join(', ')
  const sql = `SELECT ${items} FROM (SELECT ${row}) AS t`
  const found =
    known.get(sql) ?? (await connection.runAndReadAll(sql)).getRowsJson()[0]?.map(String) ?? []
  known.set(sql, found)
  return found
}

const same = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean =>
  a.size === b.size && [...a].every((item) => b.has(item))

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}
