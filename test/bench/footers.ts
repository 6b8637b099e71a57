import { runAlone, timed } from './compare.ts'
import { median, type Measurement, round } from './measurement.ts'
import type { World } from './world.ts'

const RUNS = 101
const WARM_UP_RUNS = 20
const GOAL = 10

const QUERIES = [
  'SELECT count(*) FROM lineitem',
  'SELECT min(l_shipdate), max(l_shipdate) FROM lineitem',
  'SELECT count(*), min(o_orderkey), max(o_totalprice), max(o_orderdate) FROM orders',
]

/** Answers that the footers of the files hold, against DuckDB, which opens the footers for each. In turns. */
export async function measureFooters(world: World): Promise<readonly Measurement[]> {
  const { clock, kernel, db } = world
  await using session = await db.session()
  const results: Measurement[] = []
  for (const sql of QUERIES) {
    const through: number[] = []
    const alone: number[] = []
    for (let run = 0; run < WARM_UP_RUNS + RUNS; run++) {
      const cluster = await timed(clock, [], () => session.query(sql))
      const direct = await timed(clock, [], () => runAlone(kernel, sql))
      if (run < WARM_UP_RUNS) continue
      through.push(cluster.wallMs)
      alone.push(direct.wallMs)
    }
    results.push({
      name: `from footers: ${sql}`,
      value: median(alone) / median(through),
      unit: '× as fast as DuckDB',
      goal: { kind: 'least', value: GOAL },
      detail: `${round(median(through))} ms against ${round(median(alone))} ms; medians of ${RUNS}`,
    })
  }
  return results
}
