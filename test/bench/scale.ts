import type { Session } from '@nyala/client'
import type { Bench, PartResult } from './bench.ts'
import { geometricMean, mean, runAlone, type Timing, timed } from './compare.ts'
import { median, type Measurement, round } from './measurement.ts'
import { SHAPES, type BenchQuery } from './queries.ts'
import { enginePids, openKernel, openWorld, type World } from './world.ts'

const GOAL = 0.9
const WARM_UP_RUNS = 1
/** The goal is for data that takes seconds to scan. */
const GOAL_SCALE_FACTOR_MIN = 10

const QUERIES: readonly BenchQuery[] = [
  ...SHAPES.filter(({ name }) => ['one scan, many aggregates', 'selective scan'].includes(name)),
  {
    name: 'sums by month',
    sql: `SELECT date_trunc('month', l_shipdate) AS month, l_shipmode, sum(l_extendedprice) AS price, avg(l_discount) AS discount
      FROM lineitem GROUP BY month, l_shipmode ORDER BY month, l_shipmode`,
  },
  {
    name: 'text search',
    sql: `SELECT count(*) AS lines, sum(l_quantity) AS quantity FROM lineitem
      WHERE l_comment LIKE '%special%requests%' AND l_shipinstruct <> 'NONE'`,
  },
  {
    name: 'extremes of many columns',
    sql: `SELECT count(DISTINCT l_shipmode) AS modes, max(l_extendedprice * l_tax) AS tax, min(l_receiptdate - l_shipdate) AS fastest,
        sum(CASE WHEN l_commitdate < l_receiptdate THEN 1 ELSE 0 END) AS late
      FROM lineitem WHERE l_quantity > 10`,
  },
]

interface Side {
  readonly world: World
  readonly session: Session
  readonly timings: Timing[]
}

interface Row {
  readonly cells: readonly string[]
  readonly efficiency: number
  /** Of DuckDB alone with a thread more: what the machine allows. */
  readonly machine: number
}

/**
 * The same scans with one executor of one thread and with two, in turns: how much of the second one is won. Beside it
 * DuckDB with one thread and with two, as two cores share caches and memory.
 */
export async function measureScale({ options }: Bench): Promise<PartResult> {
  await using small = await openWorld({ ...options, executors: 1, threads: 1 })
  await using large = await openWorld({ ...options, executors: 2, threads: 1 })
  const sessions = {
    small: await small.db.session({ set: { distribution: 'auto' } }),
    large: await large.db.session({ set: { distribution: 'auto' } }),
  }
  const directory = options.sample.dir
  const kernels = [await openKernel(directory, 1), await openKernel(directory, 2)] as const
  const rows: Row[] = []
  for (const query of QUERIES) {
    const one: Side = { world: small, session: sessions.small, timings: [] }
    const two: Side = { world: large, session: sessions.large, timings: [] }
    const alone: Alone = [[], []]
    for (let run = 0; run < WARM_UP_RUNS + options.runs; run++) {
      for (const side of [one, two]) {
        const timing = await timed(options.clock, enginePids(side.world), () =>
          side.session.query(query.sql),
        )
        if (run >= WARM_UP_RUNS) side.timings.push(timing)
      }
      for (const [i, kernel] of kernels.entries()) {
        const timing = await timed(options.clock, [], () => runAlone(kernel, query.sql))
        if (run >= WARM_UP_RUNS) alone[i]?.push(timing.wallMs)
      }
    }
    const row = compared(query, { one, two, alone })
    rows.push(row)
    options.print(`  ${row.cells.join(' · ')}`)
  }
  for (const kernel of kernels) kernel.closeSync()
  await sessions.small.close()
  await sessions.large.close()
  return {
    measurements: [summary(rows, options.scaleFactor)],
    table: {
      columns: [
        ...['query', '1 × 1 ms', '2 × 1 ms', 'efficiency', '1 × 1 CPU ms', '2 × 1 CPU ms'],
        ...['DuckDB 1 thread ms', 'DuckDB 2 threads ms', 'efficiency of DuckDB'],
      ],
      rows: rows.map((row) => row.cells),
    },
  }
}

/** Milliseconds of DuckDB with one thread, and with two. */
type Alone = readonly [number[], number[]]

function compared(
  query: BenchQuery,
  { one, two, alone }: { readonly one: Side; readonly two: Side; readonly alone: Alone },
): Row {
  const wall = ({ timings }: Side): number => median(timings.map((timing) => timing.wallMs))
  const cpu = ({ timings }: Side): number => mean(timings.map((timing) => timing.cpuMs))
  const efficiency = wall(one) / (2 * wall(two))
  const [single, double] = [median(alone[0]), median(alone[1])]
  const machine = single / (2 * double)
  return {
    efficiency,
    machine,
    cells: [
      query.name,
      round(wall(one)),
      round(wall(two)),
      efficiency.toFixed(2),
      round(cpu(one)),
      round(cpu(two)),
      round(single),
      round(double),
      machine.toFixed(2),
    ],
  }
}

function summary(rows: readonly Row[], scaleFactor: number): Measurement {
  const hasGoal = scaleFactor >= GOAL_SCALE_FACTOR_MIN
  const worst = rows.toSorted((a, b) => a.efficiency - b.efficiency)[0]
  return {
    name: '1 → 2 executors of one thread: parallel efficiency',
    value: geometricMean(rows.map((row) => row.efficiency)),
    unit: '',
    goal: hasGoal ? { kind: 'least', value: GOAL } : undefined,
    detail: `geometric mean of ms with one / (2 × ms with two) over ${rows.length} scans; worst ${worst?.efficiency.toFixed(2) ?? ''} "${worst?.cells[0] ?? ''}"; DuckDB alone, 1 → 2 threads, ${geometricMean(rows.map((row) => row.machine)).toFixed(3)}`,
  }
}
