import { median, type Measurement, round, spread } from './measurement.ts'
import { familyOf, proportionalBytes, residentBytes } from './processes.ts'
import { pidOf, type World } from './world.ts'

const MIB = 1024 * 1024
const COORDINATOR_GOAL_MIB = 160
const EXECUTOR_GOAL_MIB = 350
/** Long enough for whatever is started in advance to be there, and for start-up garbage to be gone. */
const SETTLE_MS = 5_000
const START_RUNS = 5
const START_GOAL_MS = 1_500

/** What a member that nobody asks anything takes, and how soon one that is started serves. */
export async function measureFootprint(world: World): Promise<readonly Measurement[]> {
  const coordinatorStarts = await startTimes(world, 'c1')
  const executorStarts = await startTimes(world, 'e1')
  // Everything is fresh now, and has served once.
  await world.cluster.joined()
  await world.db.query('SELECT count(*) FROM nation')
  await world.clock.sleep(SETTLE_MS)
  return [
    resident('idle coordinator', [pidOf(world.cluster, 'c1')], COORDINATOR_GOAL_MIB),
    resident(
      'idle executor, kernel and spare',
      familyOf(pidOf(world.cluster, 'e1')),
      EXECUTOR_GOAL_MIB,
    ),
    startTime('coordinator', coordinatorStarts),
    startTime('executor', executorStarts),
  ]
}

async function startTimes(world: World, id: string): Promise<readonly number[]> {
  const samples: number[] = []
  for (let i = 0; i < START_RUNS; i++) {
    world.cluster.kill(id)
    await world.cluster.exited(id)
    const started = world.clock.now()
    await world.cluster.restart(id)
    samples.push(world.clock.now() - started)
  }
  return samples
}

const startTime = (role: string, samples: readonly number[]): Measurement => ({
  name: `${role} started to ready`,
  value: median(samples),
  unit: 'ms',
  goal: { kind: 'most', value: START_GOAL_MS },
  detail: `median of ${samples.length}, ${spread(samples)} ms`,
})

const resident = (name: string, pids: readonly number[], goalMib: number): Measurement => ({
  name,
  value: residentBytes(pids) / MIB,
  unit: 'MiB',
  goal: { kind: 'most', value: goalMib },
  detail:
    `resident memory of ${pids.length} ${pids.length === 1 ? 'process' : 'processes'}; ` +
    `shared pages counted once: ${round(proportionalBytes(pids) / MIB)} MiB`,
})
