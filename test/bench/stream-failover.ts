import { parseArgs } from 'node:util'
import type { QueryStream } from '@nyala/client'
import { systemClock as clock } from '@nyala/client/base'
import { dividedSession, LARGE, readLarge, ROWS } from '../cluster/stream-reader.ts'
import { openWorld, pidOf, until, type World } from '../cluster/world.ts'
import { median, percentile } from './measurement.ts'

const USAGE = `usage: node test/dist/bench/stream-failover.js [--rounds N] [--only kill|pause] [--json]

Breaks the coordinator of a large result in the middle of its stream, again and again, in a cluster of three coordinators
and two executors of real processes, and measures the longest time that the reader waits for its next rows. Every row
must come once.

  kill    SIGKILL; the process is started again
  pause   SIGSTOP, and SIGCONT once the result is complete`

type Fault = 'kill' | 'pause'

const GOALS_MS: Readonly<Record<Fault, number>> = { kill: 1_000, pause: 4_000 }

interface Row {
  readonly fault: Fault
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

async function measure(world: World, fault: Fault, rounds: number): Promise<Row> {
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

function line({ fault, stallsMs, quietMs, lost, doubled, failed }: Row): string {
  const ms = (value: number): string => `${value.toFixed(0)} ms`
  const p99 = percentile(stallsMs, 0.99)
  const isMet = p99 <= GOALS_MS[fault] && lost + doubled + failed === 0
  return [
    fault.padEnd(6),
    `n=${stallsMs.length}`,
    `stall p50 ${ms(median(stallsMs))}`,
    `p99 ${ms(p99)}`,
    `max ${ms(Math.max(...stallsMs))}`,
    `goal p99 ${ms(GOALS_MS[fault])}`,
    `rows lost ${lost}, doubled ${doubled}, failed ${failed}`,
    `without a fault ${ms(median(quietMs))}`,
    isMet ? 'ok' : 'MISSED',
  ].join('  ')
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  const faults = (['kill', 'pause'] as const).filter(
    (fault) => values.only === undefined || values.only === fault,
  )
  if (values.help || faults.length === 0 || !(rounds >= 1)) {
    process.stderr.write(`${USAGE}\n`)
    return values.help ? 0 : 3
  }
  await using world = await openWorld({ coordinators: 3, executors: 2 })
  let isBad = false
  for (const fault of faults) {
    const row = await measure(world, fault, rounds)
    if (row.lost + row.doubled + row.failed > 0) isBad = true
    process.stdout.write(`${values.json ? JSON.stringify(row) : line(row)}\n`)
  }
  return isBad ? 1 : 0
}

process.exitCode = await main()
