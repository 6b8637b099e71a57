import type { QueryStream } from '@nyala/client'
import { systemClock as clock } from '@nyala/client/base'
import { dividedSession, LARGE, readLarge, ROWS } from '../cluster/stream-reader.ts'
import { openWorld, pidOf, until, type World } from '../cluster/world.ts'
import type { FaultRow } from './failover.ts'
import { median, round as rounded } from './measurement.ts'

/** SIGKILL, and SIGSTOP until the result is complete. */
export type OwnerFault = 'kill' | 'pause'

const NAMES: Readonly<Record<OwnerFault, string>> = {
  kill: 'coordinator SIGKILL while streaming',
  pause: 'coordinator SIGSTOP while streaming',
}
const GOALS_MS: Readonly<Record<OwnerFault, number>> = { kill: 1_000, pause: 4_000 }

interface Row {
  readonly fault: OwnerFault
  readonly stallsMs: readonly number[]
  /** The same result without a fault, in the same cluster. */
  readonly quietMs: readonly number[]
  readonly lost: number
  readonly doubled: number
  readonly failed: number
}

async function whole({ db }: World): Promise<void> {
  await until('all coordinators serve', async () => {
    const { members } = (await db.status().catch(() => undefined)) ?? { members: [] }
    return members.filter((m) => m.role === 'coordinator' && m.state === 'alive').length === 3
  })
}

async function measure(world: World, fault: OwnerFault, rounds: number): Promise<Row> {
  const { db, cluster } = world
  const session = await dividedSession(db, true)
  const stallsMs: number[] = []
  const quietMs: number[] = []
  let [lost, doubled, failed] = [0, 0, 0]
  for (let round = 0; round < rounds; round++) {
    await whole(world)
    if (round < 3) quietMs.push((await readLarge(session.stream(LARGE))).stallMs)
    let broken = ''
    const act = (stream: QueryStream): void => {
      broken = stream.coordinator ?? ''
      process.kill(pidOf(cluster, broken), fault === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    }
    // At another place in the stream each time.
    const rows = ROWS * (0.05 + (0.6 * round) / rounds)
    try {
      const reading = await readLarge(session.stream(LARGE), { at: [{ rows, act }] })
      stallsMs.push(reading.stallMs)
      lost += reading.lost
      doubled += reading.doubled
    } catch (error) {
      failed++
      process.stderr.write(`round ${round}: ${(error as Error).message}\n`)
    } finally {
      if (fault === 'pause' && broken !== '') cluster.kill(broken, 'SIGCONT')
    }
    await clock.sleep(500)
  }
  return { fault, stallsMs, quietMs, lost, doubled, failed }
}

/**
 * Breaks the coordinator of a large result in the middle of its stream, again and again, in a cluster of three
 * coordinators and two executors of real processes, and measures the longest time that the reader waits for its next
 * rows. Every row must come once.
 */
export async function measureStreams(
  faults: readonly OwnerFault[],
  rounds: number,
): Promise<readonly FaultRow[]> {
  await using world = await openWorld({ coordinators: 3, executors: 2 })
  const rows: FaultRow[] = []
  for (const fault of faults) {
    const { stallsMs, quietMs, lost, doubled, failed } = await measure(world, fault, rounds)
    const isBad = lost + doubled + failed > 0
    rows.push({
      fault: NAMES[fault],
      what: `wait of the reader (${rounded(median(quietMs))} ms without a fault)`,
      samplesMs: stallsMs,
      goal: { p: 0.99, ms: GOALS_MS[fault] },
      bad: isBad ? [`${lost} rows lost, ${doubled} doubled, ${failed} reads failed`] : [],
    })
  }
  return rows
}
