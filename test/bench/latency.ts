import { median, type Measurement, percentile, round } from './measurement.ts'
import { SHAPES } from './queries.ts'
import type { World } from './world.ts'

const WARM_UP_STATEMENTS = 200
const STATEMENTS = 2_000
const SELECT_ONE_GOAL_MS = 1
const PLAN_ROUNDS = 10
const PLAN_GOAL_MS = 5

/** A statement that needs no data, over a session that is open: what the way to a coordinator and back takes. */
export async function measureSelectOne(world: World): Promise<readonly Measurement[]> {
  const samples: number[] = []
  for (let i = 0; i < WARM_UP_STATEMENTS + STATEMENTS; i++) {
    const started = world.clock.now()
    await world.db.query('SELECT 1')
    if (i >= WARM_UP_STATEMENTS) samples.push(world.clock.now() - started)
  }
  return [
    {
      name: 'SELECT 1, p50',
      value: median(samples),
      unit: 'ms',
      goal: { kind: 'most', value: SELECT_ONE_GOAL_MS },
      detail: `p95 ${round(percentile(samples, 0.95))} ms, p99 ${round(percentile(samples, 0.99))} ms of ${STATEMENTS} statements`,
    },
  ]
}

/**
 * What a coordinator needs to read, bind and plan a query, by its own clock. Every text is new, so that no kept plan
 * answers.
 */
export async function measurePlanning(world: World): Promise<readonly Measurement[]> {
  const all: number[] = []
  const byQuery = new Map<string, number>()
  for (const { name, sql } of SHAPES) {
    const samples: number[] = []
    for (let round = 0; round <= PLAN_ROUNDS; round++) {
      const { stats } = await world.db.query(`EXPLAIN ${sql} /* ${round} */`)
      // The first one also warms what the others use.
      if (round > 0) samples.push(stats.planMs)
    }
    byQuery.set(name, median(samples))
    all.push(...samples)
  }
  const [slowest = '', slowestMs = 0] = [...byQuery].toSorted(([, a], [, b]) => b - a)[0] ?? []
  return [
    {
      name: `planning, p50 over ${SHAPES.length} shapes`,
      value: median(all),
      unit: 'ms',
      goal: { kind: 'most', value: PLAN_GOAL_MS },
      detail: `by the coordinator's clock; p95 ${round(percentile(all, 0.95))} ms; slowest shape "${slowest}" ${round(slowestMs)} ms`,
    },
  ]
}
