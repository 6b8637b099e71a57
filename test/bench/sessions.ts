import type { Session } from '@nyala/client'
import type { Bench, BenchOptions, PartResult } from './bench.ts'
import { type Measurement, round } from './measurement.ts'
import { cpuSeconds, familyOf, residentBytes } from './processes.ts'
import { SHAPES } from './queries.ts'
import { enginePids, openWorld, pidOf, type World } from './world.ts'

const SESSIONS = 10
const THROUGHPUT_GOAL = 0.9
/** Part of the time in which one session runs alone, half of it before and half of it after the many. */
const SERIAL_PART = 0.4
const SAMPLE_EVERY_MS = 500
const EXECUTOR_MEMORY_BYTES = 2 * 1024 ** 3
/** What a kernel may have beside the memory of its tasks, and the other processes altogether. */
const KERNEL_OWN_BYTES = 512 * 1024 ** 2
const PROCESS_BYTES_MAX = 768 * 1024 ** 2
const MIB = 1024 ** 2
const ERRORS_SHOWN = 3

/** What analysts and their tools send: the twenty-two queries, and between them what is over in no time. */
const MIX: readonly string[] = SHAPES.flatMap(({ sql }, i) => [
  sql,
  i % 2 === 0 ? 'SELECT count(*) FROM orders' : 'SELECT n_name FROM nation ORDER BY n_name',
  `SELECT * FROM orders WHERE o_orderkey = ${i * 1000 + 1}`,
])

interface Load {
  statements: number
  readonly errors: string[]
}

/** One session alone, then many at once, then one again: nothing fails, and together they are not slower. */
export async function measureSessions({ options }: Bench): Promise<PartResult> {
  const { clock, minutes } = options
  await using world = await openWorld({
    ...options,
    executors: 2,
    threads: 1,
    memoryBytes: EXECUTOR_MEMORY_BYTES,
  })
  const many: Load = { statements: 0, errors: [] }
  const one: Load = { statements: 0, errors: [] }
  await run(world, one, { sessions: 1, endsAt: clock.now() })
  one.statements = 0
  const serialMs = (minutes * 60_000 * SERIAL_PART) / 2
  const manyMs = minutes * 60_000
  const memory = watchMemory(world, options)
  const before = await phase(world, one, { sessions: 1, ms: serialMs })
  const during = await phase(world, many, { sessions: SESSIONS, ms: manyMs })
  const after = await phase(world, one, { sessions: 1, ms: serialMs })
  const peaks = memory.stop()
  const serial = one.statements / (before.ms + after.ms)
  const together = many.statements / during.ms
  const serialCpu = one.statements / (before.cpu + after.cpu)
  const measurements: readonly Measurement[] = [
    {
      name: `${SESSIONS} sessions for ${minutes} minutes: statements that failed`,
      value: many.errors.length + one.errors.length,
      unit: '',
      goal: { kind: 'most', value: 0 },
      detail:
        [...many.errors, ...one.errors].slice(0, ERRORS_SHOWN).join('; ') ||
        `none of ${many.statements + one.statements}`,
    },
    {
      name: `${SESSIONS} sessions: throughput, of one session's`,
      value: together / serial,
      unit: '×',
      goal: { kind: 'least', value: THROUGHPUT_GOAL },
      detail:
        `${round(together * 1000)} statements a second against ${round(serial * 1000)}; ` +
        `for each CPU-second ${round(many.statements / during.cpu)} against ${round(serialCpu)}`,
    },
    ...peaks,
  ]
  return { measurements }
}

async function phase(
  world: World,
  load: Load,
  { sessions, ms }: { readonly sessions: number; readonly ms: number },
): Promise<{ readonly ms: number; readonly cpu: number }> {
  const { clock } = world
  const cpu = cpuSeconds(enginePids(world))
  const started = clock.now()
  await run(world, load, { sessions, endsAt: started + ms })
  return { ms: clock.now() - started, cpu: cpuSeconds(enginePids(world)) - cpu }
}

async function run(
  { db, clock }: World,
  load: Load,
  { sessions, endsAt }: { readonly sessions: number; readonly endsAt: number },
): Promise<void> {
  const opened = await Promise.all(Array.from({ length: sessions }, () => db.session()))
  const work = async (session: Session, first: number): Promise<void> => {
    let next = first
    // Whole rounds where one runs alone would take longer than what is asked for; at least one statement each.
    do {
      const sql = MIX[next++ % MIX.length] ?? ''
      try {
        await session.query(sql)
        load.statements++
      } catch (error) {
        load.errors.push(error instanceof Error ? error.message : String(error))
      }
    } while (clock.now() < endsAt)
  }
  const stride = Math.floor(MIX.length / sessions)
  await Promise.all(opened.map((session, i) => work(session, i * stride + load.statements)))
  await Promise.all(opened.map((session) => session.close()))
}

/** The largest resident memory of each process. */
function watchMemory(world: World, { clock }: BenchOptions): { stop(): readonly Measurement[] } {
  const peaks = new Map<string, number>()
  const sample = (): void => {
    const note = (name: string, pid: number): void => {
      peaks.set(name, Math.max(peaks.get(name) ?? 0, residentBytes([pid])))
    }
    note('coordinator', pidOf(world.cluster, 'c1'))
    for (const { id, role, pid } of world.cluster.processes) {
      if (role !== 'executor') continue
      for (const member of familyOf(pid)) note(member === pid ? `executor ${id}` : `kernel`, member)
    }
    stopTimer = clock.after(SAMPLE_EVERY_MS, sample)
  }
  let stopTimer = clock.after(0, sample)
  return {
    stop: () => {
      stopTimer()
      return [...peaks].map(([name, bytes]) => ({
        name: `${SESSIONS} sessions: most memory of ${name === 'kernel' ? 'any kernel' : name}`,
        value: bytes / MIB,
        unit: 'MiB',
        goal: {
          kind: 'most',
          value:
            (name === 'kernel' ? EXECUTOR_MEMORY_BYTES + KERNEL_OWN_BYTES : PROCESS_BYTES_MAX) /
            MIB,
        },
        detail:
          name === 'kernel'
            ? `memory of the executor's tasks ${EXECUTOR_MEMORY_BYTES / MIB} MiB, and its own`
            : 'resident',
      }))
    },
  }
}
