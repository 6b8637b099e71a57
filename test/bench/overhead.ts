import { runAlone, type Timing, timed } from './compare.ts'
import { median, type Measurement, round } from './measurement.ts'
import { SHAPES, type BenchQuery } from './queries.ts'
import { enginePids, type World } from './world.ts'

const RUNS = 7
const WARM_UP_RUNS = 2
/** An aggregation, a join, and a scan that is over in no time. */
const MEASURED = ['one scan, many aggregates', 'three-way join, top ten', 'selective scan']
const FACTOR_GOAL = 1.05
const CONSTANT_GOAL_MS = 5

/**
 * What the way to the kernel and back costs: the same query in DuckDB alone and as one fragment through the cluster, in
 * turns, so that what else the machine does falls on both.
 */
export async function measureOverhead(world: World): Promise<readonly Measurement[]> {
  const { clock, kernel } = world
  const session = await world.db.session({ set: { distribution: 'single' } })
  const pids = [process.pid, ...enginePids(world)]
  const measured = SHAPES.filter(({ name }) => MEASURED.includes(name))
  const results: Measurement[] = []
  for (const query of measured) {
    const alone: Timing[] = []
    const through: Timing[] = []
    for (let run = 0; run < WARM_UP_RUNS + RUNS; run++) {
      const direct = await timed(clock, [process.pid], () => runAlone(kernel, query.sql))
      const cluster = await timed(clock, pids, () => session.query(query.sql))
      if (run < WARM_UP_RUNS) continue
      alone.push(direct)
      through.push(cluster)
    }
    results.push(compare(query, alone, through))
  }
  await session.close()
  return results
}

function compare(
  query: BenchQuery,
  alone: readonly Timing[],
  through: readonly Timing[],
): Measurement {
  const wall = (timings: readonly Timing[]): number => median(timings.map((one) => one.wallMs))
  const cpu = (timings: readonly Timing[]): number => median(timings.map((one) => one.cpuMs))
  return {
    name: `one fragment: ${query.name}`,
    value: wall(through),
    unit: 'ms',
    goal: { kind: 'most', value: FACTOR_GOAL * wall(alone) + CONSTANT_GOAL_MS },
    detail:
      `goal ${FACTOR_GOAL} × DuckDB alone (${round(wall(alone))} ms) + ${CONSTANT_GOAL_MS} ms; ` +
      `CPU ${round(cpu(through))} ms against ${round(cpu(alone))} ms; medians of ${through.length}`,
  }
}
