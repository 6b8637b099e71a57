import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { median, percentile } from './measurement.ts'
import { measureStreams } from './stream-failover.ts'
import { measureTakeovers } from './takeover.ts'

/** What one kind of fault did, of all its injections. */
export interface FaultRow {
  readonly fault: string
  /** What the samples are of. */
  readonly what: string
  readonly samplesMs: readonly number[]
  /** The part `p` of the samples is to be at most so long. */
  readonly goal: { readonly p: number; readonly ms: number }
  /** What must not be, besides being late. */
  readonly bad: readonly string[]
}

type Measure = (rounds: number) => Promise<readonly FaultRow[]>

/** A drill whose strikes are as many injections: when others noticed, and the longest wait of a client. */
const drill =
  (name: string, fault: string, goals: { detectedMs?: number; stallMs: number }): Measure =>
  async (rounds) => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [NYALA, 'drill', name, '--times', String(rounds), '--json', '--patience', '3'],
      { maxBuffer: 1e9 },
    ).catch((error: unknown) => error as { readonly stdout: string })
    const line = stdout.split('\n').find((one) => one.startsWith('{'))
    if (line === undefined) throw new Error(`the drill ${name} said nothing`)
    const report = JSON.parse(line) as DrillJson
    const bad = report.failures.map(({ claim, failure }) => `${claim}: ${failure}`)
    const goal = (ms: number): FaultRow['goal'] => ({ p: 0.99, ms })
    const of = (time: 'detectedMs' | 'worstStallMs'): readonly number[] =>
      report.rounds.flatMap((round) => round[time] ?? [])
    const stalls: FaultRow = {
      fault,
      what: 'longest wait of a client',
      samplesMs: of('worstStallMs'),
      goal: goal(goals.stallMs),
      bad,
    }
    if (goals.detectedMs === undefined) return [stalls]
    const seen = { fault, what: 'noticed', samplesMs: of('detectedMs'), bad: [] }
    return [{ ...seen, goal: goal(goals.detectedMs) }, stalls]
  }

interface DrillJson {
  readonly failures: readonly { readonly claim: string; readonly failure: string }[]
  readonly rounds: readonly { readonly detectedMs?: number; readonly worstStallMs: number }[]
}

const NYALA = fileURLToPath(import.meta.resolve('@nyala/client')).replace(
  /dist\/sdk\/index\.js$/,
  'bin/nyala.js',
)

/** In the order of the README. A restart of all is as many injections as there are members. */
const MEASURES: Readonly<Record<string, Measure>> = {
  'executor-kill': drill('executor-kill', 'executor SIGKILL in a query', {
    detectedMs: 250,
    stallMs: 3_000,
  }),
  'executor-kill-streaming': drill(
    'executor-kill-streaming',
    'executor SIGKILL in the midst of its rows',
    { detectedMs: 250, stallMs: 3_000 },
  ),
  'executor-stop': drill('executor-stop', 'executor SIGSTOP', { stallMs: 3_000 }),
  'stream-kill': (rounds) => measureStreams(['kill'], rounds),
  'stream-pause': (rounds) => measureStreams(['pause'], rounds),
  'leader-kill': (rounds) => measureTakeovers(['kill'], rounds),
  'leader-pause': (rounds) => measureTakeovers(['pause'], rounds),
  'leader-planned': (rounds) => measureTakeovers(['planned'], rounds),
  'etcd-leader-kill': drill('etcd-leader-kill', 'etcd leader SIGKILL', { stallMs: 3_000 }),
  'rolling-restart': (rounds) =>
    drill('rolling-restart', 'rolling restart of all, under load', { stallMs: 6_000 })(
      Math.ceil(rounds / MEMBERS),
    ),
}
const MEMBERS = 9

const USAGE = `usage: node test/dist/bench/failover.js [--rounds N] [--only NAME…] [--json]

Breaks members of clusters of real processes again and again, and prints a row of the README for each kind of fault.

  --rounds N    injections of each (default 20)
  --only NAME   ${Object.keys(MEASURES).join(', ')}; repeatable
  --json        one JSON object a row, with every sample`

const HEAD = [
  '| fault | what | injections | p50 | p99 | max | goal | met |',
  '|---|---|---|---|---|---|---|---|',
]

const isMet = ({ samplesMs, goal, bad }: FaultRow): boolean =>
  bad.length === 0 && samplesMs.length > 0 && percentile(samplesMs, goal.p) <= goal.ms

function line(row: FaultRow): string {
  const { fault, what, samplesMs, goal, bad } = row
  const ms = (value: number): string => `${value.toFixed(0)} ms`
  const times =
    samplesMs.length === 0
      ? ['–', '–', '–']
      : [median(samplesMs), percentile(samplesMs, 0.99), Math.max(...samplesMs)].map(ms)
  const wanted = `${goal.p === 1 ? 'max' : `p${goal.p * 100}`} ${ms(goal.ms)}`
  const verdict = isMet(row) ? 'yes' : ['no', ...bad].join('; ')
  return `| ${[fault, what, samplesMs.length, ...times, wanted, verdict].join(' | ')} |`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      only: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  const names = values.only ?? Object.keys(MEASURES)
  const isKnown = names.every((name) => Object.hasOwn(MEASURES, name))
  if (values.help || !isKnown || !(Number.isInteger(rounds) && rounds >= 1)) {
    process.stderr.write(`${USAGE}\n`)
    return values.help ? 0 : 3
  }
  const print = (text: string): void => void process.stdout.write(`${text}\n`)
  if (!values.json) HEAD.forEach(print)
  let missed = 0
  for (const name of names) {
    for (const row of (await MEASURES[name]?.(rounds)) ?? []) {
      if (!isMet(row)) missed++
      print(values.json ? JSON.stringify({ name, ...row }) : line(row))
    }
  }
  return missed === 0 ? 0 : 1
}

process.exitCode = await main()
