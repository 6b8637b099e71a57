import { join } from 'node:path'
import { silentLog } from '@nyala/client/base'
import {
  PLAN_STEPS,
  PlanningWorld,
  type PlanOptions,
  timePlanSteps,
} from '@nyala/coordinator/testing'
import { Catalog, connectKv, Keys } from '@nyala/metastore'
import type { Bench, PartResult } from './bench.ts'
import { median, percentile, round } from './measurement.ts'
import { SHAPES } from './queries.ts'
import { computeStatistics, openWorld, type World } from './world.ts'

const ROUNDS = 15
const WARM_UP_ROUNDS = 5
const MEDIAN_GOAL_MS = 4
const MAX_GOAL_MS = 25
/** Two executors of one thread, with settings as they are by default. */
const EXECUTORS = 2
const OPTIONS: PlanOptions = {
  distribution: 'auto',
  distributionMinBytes: 16_000_000,
  broadcastMaxBytes: 64_000_000,
  slots: EXECUTORS,
  executors: EXECUTORS,
}

/**
 * What a coordinator needs to read, bind and plan the twenty-two queries, by its own clock; every text is new, so that
 * no kept plan answers. Then the same over the same catalog in this process, step by step.
 */
export async function measurePlanner({ options }: Bench): Promise<PartResult> {
  await using world = await openWorld({ ...options, executors: EXECUTORS, threads: 1 })
  await computeStatistics(world)
  const byQuery = await coordinatorTimes(world)
  const steps = await stepTimes(world)
  const medians = byQuery.map(median)
  const leasts = byQuery.map((samples) => Math.min(...samples))
  const slowest = SHAPES[medians.indexOf(Math.max(...medians))]?.name ?? ''
  const rows = SHAPES.map(({ name }, i) => [
    `${i + 1} ${name}`,
    round(medians[i] ?? 0),
    round(leasts[i] ?? 0),
    ...PLAN_STEPS.map((step) => {
      const samples = steps[i]?.get(step) ?? []
      return samples.length === 0 ? '' : round(Math.min(...samples))
    }),
  ])
  const all = byQuery.flat()
  return {
    measurements: [
      {
        name: 'planning the 22 queries, p50',
        value: median(all),
        unit: 'ms',
        goal: { kind: 'most', value: MEDIAN_GOAL_MS },
        detail: `by the coordinator's clock, ${ROUNDS} times each; p95 ${round(percentile(all, 0.95))} ms; median of each query's least ${round(median(leasts))} ms`,
      },
      {
        name: 'planning the 22 queries, slowest query',
        value: Math.max(...medians),
        unit: 'ms',
        goal: { kind: 'most', value: MAX_GOAL_MS },
        detail: `its median; "${slowest}"; slowest of all ${all.length} ${round(Math.max(...all))} ms; largest of each query's least ${round(Math.max(...leasts))} ms`,
      },
    ],
    table: {
      columns: ['query', 'median ms', 'least ms', ...PLAN_STEPS.map((step) => `${step} least`)],
      rows,
    },
  }
}

async function coordinatorTimes({ db }: World): Promise<readonly (readonly number[])[]> {
  const samples = SHAPES.map((): number[] => [])
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    for (const [i, { sql }] of SHAPES.entries()) {
      const { stats } = await db.query(`EXPLAIN ${sql} /* ${round} */`)
      if (round >= WARM_UP_ROUNDS) samples[i]?.push(stats.planMs)
    }
  }
  return samples
}

/** The milliseconds of each step of each query. */
async function stepTimes({
  cluster,
  clock,
}: World): Promise<readonly ReadonlyMap<string, readonly number[]>[]> {
  await using kv = await connectKv({ endpoints: cluster.etcdEndpoints, clock, log: silentLog })
  const on = { kv, keys: new Keys('local'), clock, log: silentLog }
  const directory = join(cluster.dir, 'data', 'metadata')
  await using planning = await PlanningWorld.over(await Catalog.open(on), directory)
  const samples = SHAPES.map(() => new Map<string, number[]>())
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    for (const [i, { sql }] of SHAPES.entries()) {
      const steps = await timePlanSteps(planning, sql, { options: OPTIONS, clock })
      if (round < WARM_UP_ROUNDS) continue
      for (const [step, ms] of steps) {
        const own = samples[i]
        own?.set(step, [...(own.get(step) ?? []), ms])
      }
    }
  }
  return samples
}
