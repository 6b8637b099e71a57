import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { median, type Measurement, round } from './measurement.ts'
import { cpuSeconds, familyOf, residentBytes } from './processes.ts'
import { pidOf, type World } from './world.ts'

const CLIENT = fileURLToPath(new URL('./stream-client.js', import.meta.url))
const RUNS = 3
const ROWS_PER_CPU_SECOND_GOAL = 0.9
const BUFFERS_GOAL_MIB = 200
const SAMPLE_EVERY_MS = 50
const MIB = 1024 * 1024
const STATEMENT = 'SELECT * FROM lineitem'
/** Threads of the collector mark while the client runs, each time that some 25 MiB of batches came; this stops them. */
const WITHOUT_MARKING_THREADS = ['--no-concurrent-marking']

interface StreamRun {
  readonly rows: number
  readonly columns: number
  readonly wallMs: number
  readonly cpu: Readonly<Record<Part, number>>
  /** How far each process went above where it began, MiB. */
  readonly growth: Readonly<Record<Part, number>>
}

type Part = 'client' | 'coordinator' | 'executor' | 'kernel'

/** All columns of the largest table to a client in a process of its own, as Arrow batches. */
export async function measureStreaming(world: World): Promise<readonly Measurement[]> {
  const runs: StreamRun[] = []
  const quiet: StreamRun[] = []
  for (let i = 0; i < RUNS; i++) {
    runs.push(await streamOnce(world, []))
    quiet.push(await streamOnce(world, WITHOUT_MARKING_THREADS))
  }
  const last = runs.at(-1)
  if (last === undefined) return []
  const growths = Object.entries(last.growth).map(([part, mib]) => `${part} ${round(mib)} MiB`)
  return [
    {
      name: 'streaming all columns of lineitem',
      value: rateOf(runs),
      unit: 'M rows per CPU-second',
      goal: { kind: 'least', value: ROWS_PER_CPU_SECOND_GOAL },
      detail: `${last.rows} rows of ${last.columns} columns in ${round(last.wallMs / 1000)} s; CPU ${partsText(last)}`,
    },
    {
      name: 'the same, the client started with --no-concurrent-marking',
      value: rateOf(quiet),
      unit: 'M rows per CPU-second',
      goal: { kind: 'least', value: ROWS_PER_CPU_SECOND_GOAL },
      detail: `CPU ${quiet.slice(-1).map(partsText).join('')}`,
    },
    {
      name: 'memory of one process while streaming',
      value: Math.max(...runs.flatMap((run) => Object.values(run.growth))),
      unit: 'MiB',
      goal: { kind: 'most', value: BUFFERS_GOAL_MIB },
      detail: `largest growth of any process in any of ${RUNS} runs; in the last, ${growths.join(', ')}`,
    },
  ]
}

const rateOf = (runs: readonly StreamRun[]): number =>
  median(runs.map((run) => run.rows / 1e6 / total(run)))

const partsText = ({ cpu }: StreamRun): string =>
  Object.entries(cpu)
    .map(([part, seconds]) => `${part} ${round(seconds)} s`)
    .join(', ')

async function streamOnce(world: World, nodeOptions: readonly string[]): Promise<StreamRun> {
  const client = spawn(process.execPath, [...nodeOptions, CLIENT, world.cluster.url, STATEMENT], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...world.variables },
  })
  try {
    const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]()
    await lines.next()
    const pids = partsOf(world, client)
    const before = timesOf(pids)
    const memory = watchGrowth(world, pids)
    const started = world.clock.now()
    client.stdin.write('\n')
    const answer = await lines.next()
    const wallMs = world.clock.now() - started
    const growth = memory.stop()
    const after = timesOf(pids)
    const { rows, columns } = JSON.parse(String(answer.value)) as { rows: number; columns: number }
    const spent = (part: Part): number => after[part] - before[part]
    return {
      rows,
      columns,
      wallMs,
      cpu: {
        client: spent('client'),
        coordinator: spent('coordinator'),
        executor: spent('executor'),
        kernel: spent('kernel'),
      },
      growth,
    }
  } finally {
    client.stdin.end()
    await new Promise((resolve) => client.once('close', resolve))
  }
}

function partsOf(world: World, client: ChildProcess): Readonly<Record<Part, readonly number[]>> {
  const [executor = 0, ...kernel] = familyOf(pidOf(world.cluster, 'e1'))
  return {
    client: [client.pid ?? 0],
    coordinator: [pidOf(world.cluster, 'c1')],
    executor: [executor],
    kernel,
  }
}

const timesOf = (
  pids: Readonly<Record<Part, readonly number[]>>,
): Readonly<Record<Part, number>> => ({
  client: cpuSeconds(pids.client),
  coordinator: cpuSeconds(pids.coordinator),
  executor: cpuSeconds(pids.executor),
  kernel: cpuSeconds(pids.kernel),
})

const total = ({ cpu }: StreamRun): number =>
  cpu.client + cpu.coordinator + cpu.executor + cpu.kernel

function watchGrowth(
  world: World,
  pids: Readonly<Record<Part, readonly number[]>>,
): { readonly stop: () => Readonly<Record<Part, number>> } {
  const start = residentOf(pids)
  const growth = { client: 0, coordinator: 0, executor: 0, kernel: 0 }
  let cancel = (): void => {}
  const look = (): void => {
    const now = residentOf(pids)
    for (const part of PARTS) growth[part] = Math.max(growth[part], (now[part] - start[part]) / MIB)
    cancel = world.clock.after(SAMPLE_EVERY_MS, look)
  }
  look()
  return {
    stop: () => {
      cancel()
      return growth
    },
  }
}

const PARTS: readonly Part[] = ['client', 'coordinator', 'executor', 'kernel']

const residentOf = (
  pids: Readonly<Record<Part, readonly number[]>>,
): Readonly<Record<Part, number>> => ({
  client: residentBytes(pids.client),
  coordinator: residentBytes(pids.coordinator),
  executor: residentBytes(pids.executor),
  kernel: residentBytes(pids.kernel),
})
