import type { DuckDBConnection } from '@duckdb/node-api'
import type { Session } from '@nyala/client'
import type { Bench, BenchOptions, Part, PartResult } from './bench.ts'
import {
  clientRows,
  geometricMean,
  kernelRows,
  mean,
  runAlone,
  type Timing,
  timed,
} from './compare.ts'
import { median, type Measurement, round } from './measurement.ts'
import { SHAPES, type BenchQuery } from './queries.ts'
import { computeStatistics, enginePids, openKernel, openWorld, type World } from './world.ts'

/** A way to run the queries, and DuckDB that they are held against. */
interface Setting {
  readonly name: string
  readonly distribution: 'auto' | 'force'
  /** What is compared: the time until the answer is there, or all processor time that it took. */
  readonly measure: 'wall' | 'cpu'
  readonly kernel: DuckDBConnection
  readonly kernelThreads: number
}

interface Row {
  readonly query: string
  readonly setting: Setting
  readonly fragments: number
  readonly tasks: number
  readonly alone: readonly Timing[]
  readonly through: readonly Timing[]
  readonly isEqual: boolean
}

const WARM_UP_RUNS = 1
const SETTINGS_COLUMNS = [
  'setting',
  'query',
  'fragments',
  'tasks',
  'ms',
  'DuckDB ms',
  'wall ratio',
  'CPU ms',
  'DuckDB CPU ms',
  'CPU ratio',
  'same rows',
]
const CONSTANT_GOAL_MS = 5

/**
 * The twenty-two queries of TPC-H through a cluster and in DuckDB alone, in turns, so that what else the machine does
 * falls on both. Statistics of all tables are computed before. Here one executor, so that every query is one task.
 */
export const measureTpchAlone: Part = async (bench) =>
  resultOf(await tpchOfOneExecutor(bench), bench.options.scaleFactor)

/** The same with two executors: where it is thought to pay, and wherever it can be done. */
export const measureTpch: Part = async (bench) =>
  resultOf(await tpchOfTwoExecutors(bench), bench.options.scaleFactor)

const resultOf = (rows: readonly Row[], scaleFactor: number): PartResult => ({
  measurements: summaries(rows, scaleFactor),
  table: { columns: SETTINGS_COLUMNS, rows: rows.map(cellsOf) },
})

async function tpchOfOneExecutor({ options }: Bench): Promise<readonly Row[]> {
  const threads = 2
  await using world = await openWorld({ ...options, executors: 1, threads })
  await computeStatistics(world)
  return await measureSettings(world, options, [
    {
      name: 'auto, 1 executor × 2 threads',
      distribution: 'auto',
      measure: 'wall',
      kernel: world.kernel,
      kernelThreads: threads,
    },
  ])
}

async function tpchOfTwoExecutors({ options }: Bench): Promise<readonly Row[]> {
  await using world = await openWorld({ ...options, executors: 2, threads: 1 })
  await computeStatistics(world)
  const two = await openKernel(options.sample.dir, 2)
  try {
    return await measureSettings(world, options, [
      {
        name: 'auto, 2 executors × 1 thread',
        distribution: 'auto',
        measure: 'wall',
        kernel: two,
        kernelThreads: 2,
      },
      {
        name: 'force, 2 executors × 1 thread',
        distribution: 'force',
        measure: 'cpu',
        kernel: world.kernel,
        kernelThreads: 1,
      },
    ])
  } finally {
    two.closeSync()
  }
}

async function measureSettings(
  world: World,
  { runs, queries }: BenchOptions,
  settings: readonly Setting[],
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const setting of settings) {
    const session = await world.db.session({ set: { distribution: setting.distribution } })
    for (const [i, query] of SHAPES.entries()) {
      if (!(queries?.includes(i + 1) ?? true)) continue
      const row = await measureQuery(world, { setting, session, runs }, { ...query, number: i + 1 })
      rows.push(row)
      world.print(`  ${cellsOf(row).join(' · ')}`)
    }
    await session.close()
  }
  return rows
}

async function measureQuery(
  world: World,
  by: { readonly setting: Setting; readonly session: Session; readonly runs: number },
  query: BenchQuery & { readonly number: number },
): Promise<Row> {
  const { setting, session, runs } = by
  const { clock } = world
  const pids = enginePids(world)
  const expected = await kernelRows(setting.kernel, query.sql)
  const types = { date: 'string', int64: 'string', decimal: 'string' } as const
  const first = await session.query(query.sql, undefined, { types })
  const plan = await session.query(`EXPLAIN ${query.sql}`)
  const lines = plan.rows.flatMap((row) => Object.values(row)).map(String)
  const alone: Timing[] = []
  const through: Timing[] = []
  let tasks = first.stats.tasks
  for (let run = 0; run < WARM_UP_RUNS + runs; run++) {
    const cluster = await timed(clock, pids, async () => {
      const { stats } = await session.query(query.sql)
      tasks = Math.min(tasks, stats.tasks)
    })
    const direct = await timed(clock, [process.pid], () => runAlone(setting.kernel, query.sql))
    if (run < WARM_UP_RUNS) continue
    alone.push(direct)
    through.push(cluster)
  }
  return {
    query: `${query.number} ${query.name}`,
    setting,
    fragments: lines.join('\n').match(/^fragment \d+:/gm)?.length ?? 0,
    tasks,
    alone,
    through,
    isEqual: JSON.stringify(expected) === JSON.stringify(clientRows(first.rows)),
  }
}

const wall = (timings: readonly Timing[]): number => median(timings.map((one) => one.wallMs))
/** The mean, as single runs are counted in coarse steps. */
const cpu = (timings: readonly Timing[]): number => mean(timings.map((one) => one.cpuMs))

const wallRatio = ({ alone, through }: Row): number => wall(through) / wall(alone)
const cpuRatio = ({ alone, through }: Row): number => cpu(through) / Math.max(1, cpu(alone))

function cellsOf(row: Row): readonly string[] {
  const { setting, query, fragments, tasks, alone, through, isEqual } = row
  return [
    setting.name,
    query,
    String(fragments),
    String(tasks),
    round(wall(through)),
    round(wall(alone)),
    wallRatio(row).toFixed(2),
    round(cpu(through)),
    round(cpu(alone)),
    cpuRatio(row).toFixed(2),
    isEqual ? 'yes' : 'NO',
  ]
}

function summaries(rows: readonly Row[], scaleFactor: number): readonly Measurement[] {
  const names = [...new Set(rows.map((row) => row.setting.name))]
  const each = names.flatMap((name) => {
    const own = rows.filter((row) => row.setting.name === name)
    if (name.includes('force')) return forceSummary(name, own)
    return name.includes('2 executors')
      ? autoSummary(name, own, scaleFactor)
      : aloneSummary(name, own)
  })
  const differing = rows.filter((row) => !row.isEqual)
  return [
    ...each,
    {
      name: 'TPC-H: queries whose rows are not those of DuckDB',
      value: differing.length,
      unit: '',
      goal: { kind: 'most', value: 0 },
      detail: differing.map((row) => `${row.setting.name}: ${row.query}`).join('; ') || 'none',
    },
  ]
}

function aloneSummary(name: string, rows: readonly Row[]): readonly Measurement[] {
  const ratios = rows.map(({ alone, through }) =>
    Math.max(0.01, (wall(through) - CONSTANT_GOAL_MS) / wall(alone)),
  )
  return [
    {
      name: `TPC-H, ${name}: geometric mean`,
      value: geometricMean(ratios),
      unit: '×',
      goal: { kind: 'most', value: 1.05 },
      detail: `of (ms − ${CONSTANT_GOAL_MS}) / DuckDB's ms with 2 threads; as it is ${geometricMean(rows.map(wallRatio)).toFixed(2)}; ${worst(rows, wallRatio)}`,
    },
  ]
}

function autoSummary(
  name: string,
  rows: readonly Row[],
  scaleFactor: number,
): readonly Measurement[] {
  const isLarge = scaleFactor >= 10
  const distributed = rows.filter((row) => row.fragments > 1).length
  const unit = '×'
  return [
    {
      name: `TPC-H, ${name}: geometric mean`,
      value: geometricMean(rows.map(wallRatio)),
      unit,
      goal: { kind: 'most', value: isLarge ? 1.25 : 1.3 },
      detail: `of DuckDB's ms with 2 threads; ${distributed} of ${rows.length} distributed; CPU ${geometricMean(rows.map(cpuRatio)).toFixed(2)} ×`,
    },
    {
      name: `TPC-H, ${name}: worst`,
      value: Math.max(...rows.map(wallRatio)),
      unit,
      goal: { kind: 'most', value: isLarge ? 1.8 : 2 },
      detail: worst(rows, wallRatio),
    },
  ]
}

function forceSummary(name: string, rows: readonly Row[]): readonly Measurement[] {
  const single = rows.filter((row) => row.tasks < 2)
  const unit = '× CPU'
  return [
    {
      name: `TPC-H, ${name}: geometric mean`,
      value: geometricMean(rows.map(cpuRatio)),
      unit,
      goal: { kind: 'most', value: 1.6 },
      detail: `of DuckDB's processor time with 1 thread; coordinator, executors and kernels together`,
    },
    {
      name: `TPC-H, ${name}: worst`,
      value: Math.max(...rows.map(cpuRatio)),
      unit,
      goal: { kind: 'most', value: 2.5 },
      detail: worst(rows, cpuRatio),
    },
    {
      name: `TPC-H, ${name}: queries in more than one task`,
      value: rows.length - single.length,
      unit: '',
      goal: { kind: 'least', value: rows.length },
      detail: single.map((row) => row.query).join(', ') || 'all',
    },
  ]
}

const WORST_SHOWN = 4

const worst = (rows: readonly Row[], ratio: (row: Row) => number): string =>
  rows
    .toSorted((a, b) => ratio(b) - ratio(a))
    .slice(0, WORST_SHOWN)
    .map((row) => `${ratio(row).toFixed(2)} "${row.query}"`)
    .join(', ')
