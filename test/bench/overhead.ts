import { median, type Measurement, round } from './measurement.ts'
import { cpuSeconds, familyOf } from './processes.ts'
import { SHAPES, type BenchQuery } from './queries.ts'
import { pidOf, type World } from './world.ts'

const RUNS = 7
const WARM_UP_RUNS = 2
/** An aggregation, a join, and a scan that is over in no time. */
const MEASURED = ['one scan, many aggregates', 'three-way join, top ten', 'selective scan']
const FACTOR_GOAL = 1.05
const CONSTANT_GOAL_MS = 5

interface Timing {
  readonly wallMs: number
  readonly cpuMs: number
}

/**
 * What the way to the kernel and back costs: the same query in DuckDB alone and as one fragment through the cluster, in
 * turns, so that what else the machine does falls on both.
 */
export async function measureOverhead(world: World): Promise<readonly Measurement[]> {
  const session = await world.db.session({ set: { distribution: 'single' } })
  const measured = SHAPES.filter(({ name }) => MEASURED.includes(name))
  const results: Measurement[] = []
  for (const query of measured) {
    const alone: Timing[] = []
    const through: Timing[] = []
    for (let run = 0; run < WARM_UP_RUNS + RUNS; run++) {
      const direct = await time(world, [process.pid], () => runAlone(world, query))
      const cluster = await time(world, clusterPids(world), async () => {
        await session.query(query.sql)
      })
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

async function runAlone(world: World, query: BenchQuery): Promise<void> {
  const reader = await world.kernel.runAndReadAll(query.sql)
  reader.getRows()
}

async function time(
  world: World,
  pids: readonly number[],
  action: () => Promise<void>,
): Promise<Timing> {
  const cpu = cpuSeconds(pids)
  const started = world.clock.now()
  await action()
  return { wallMs: world.clock.now() - started, cpuMs: (cpuSeconds(pids) - cpu) * 1000 }
}

const clusterPids = ({ cluster }: World): readonly number[] => [
  process.pid,
  pidOf(cluster, 'c1'),
  ...familyOf(pidOf(cluster, 'e1')),
]
