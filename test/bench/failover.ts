import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock as clock } from '@nyala/client/base'
import { type Facts, gatherFacts } from '@nyala/deploy/drill'
import { type FaultRow, isMet, lineOf, readRows, tableOf, writeRows } from './failover-results.ts'
import { type Fault, FAULTS } from './faults.ts'
import { Campaign } from './injections.ts'
import { loadBefore, machineText } from './report.ts'

const USAGE = `usage: node test/dist/bench/failover.js [--rounds N] [--only NAME…] [--clusters N] [--seed N] [--json] [--write] [--print]

Breaks members of clusters of real processes again and again, under clients that check every answer, and prints rows of
the README for each kind of fault.

  --rounds N    injections of each (default 20)
  --only NAME   ${Object.keys(FAULTS).join(', ')}; repeatable
  --clusters N  strikes so many clusters at once, which share the machine (default 1)
  --seed N      who is struck, and when (default 1)
  --json        one JSON object a row, with every sample
  --write       puts each fault, as soon as it is measured, into test/bench/failover.json and the README
  --print       prints the rows of test/bench/failover.json, and measures nothing

SIGINT and SIGTERM end all that it has started; faults that were measured before stay written.`

/** An injection that strikes nobody is made again; a campaign that does so all the time has ended. */
const VAIN_MAX = 100

interface Outcome {
  readonly samples: readonly Readonly<Record<string, number>>[]
  readonly calls: number
  readonly bad: readonly string[]
  readonly secondsPerInjection: number
}

interface How {
  readonly facts: Facts
  readonly seed: number
  readonly tell: (line: string) => void
  readonly signal: AbortSignal
}

/** One cluster, broken `rounds` times. What was measured until something failed is kept, and the failure told. */
async function runCampaign(fault: Fault, rounds: number, given: How): Promise<Outcome> {
  const { load, executors, etcd } = fault
  const { signal } = given
  const campaign = await Campaign.open({
    ...{ load, executors, etcd, clock, variables: process.env },
    ...{ facts: given.facts, seed: given.seed, signal },
  })
  const samples: Readonly<Record<string, number>>[] = []
  let bad: readonly string[] = []
  const beganMs = clock.now()
  try {
    const injector = await fault.begin(campaign)
    try {
      let vain = 0
      while (samples.length < rounds && vain <= VAIN_MAX) {
        const lapMs = clock.now()
        const missing = await campaign.green()
        const greenMs = clock.now()
        const sample = await injector.inject()
        if (sample === undefined) vain++
        else samples.push(sample)
        const [before, during] = [greenMs - lapMs, clock.now() - greenMs].map(Math.round)
        const found = sample === undefined ? 'struck nobody' : describe(sample)
        given.tell(
          `  ${samples.length}: ${found} (green after ${before} ms: ${missing}; injection ${during} ms)`,
        )
      }
      if (vain > VAIN_MAX) bad = [`${vain} injections struck nobody`]
      await campaign.green()
    } catch (error) {
      signal.throwIfAborted()
      bad = [`ended after ${samples.length} of ${rounds}: ${(error as Error).message}`]
    }
    const secondsPerInjection = (clock.now() - beganMs) / 1_000 / Math.max(1, samples.length)
    bad = [...bad, ...(await injector.close())]
    const finished = await campaign.finish()
    return { samples, calls: finished.calls, bad: [...bad, ...finished.bad], secondsPerInjection }
  } finally {
    await campaign.close()
  }
}

const describe = (sample: Readonly<Record<string, number>>): string =>
  Object.entries(sample)
    .map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`)
    .join(', ')

async function measure(
  name: string,
  fault: Fault,
  how: How & { readonly rounds: number; readonly clusters: number },
): Promise<readonly FaultRow[]> {
  const { rounds, seed, signal } = how
  const clusters = Math.min(how.clusters, rounds)
  const load = Math.round(loadBefore() * 10) / 10
  const share = (i: number): number => Math.floor((rounds + i) / clusters)
  const running = Array.from({ length: clusters }, (_, i) =>
    runCampaign(fault, share(i), { ...how, seed: seed + i }),
  )
  const settled = await Promise.allSettled(running)
  signal.throwIfAborted()
  const outcomes = settled.map((one): Outcome => {
    if (one.status === 'fulfilled') return one.value
    const bad = [`a cluster did not begin: ${(one.reason as Error).message}`]
    return { samples: [], calls: 0, bad, secondsPerInjection: 0 }
  })
  const samples = outcomes.flatMap((one) => one.samples)
  const slowest = Math.max(...outcomes.map((one) => one.secondsPerInjection))
  return Object.entries(fault.measures).map(([measured, { what, goal }]) => ({
    name,
    fault: fault.fault,
    what,
    samplesMs: samples.map((sample) => Math.round(sample[measured] ?? 0)),
    goal,
    bad: outcomes.flatMap((one) => one.bad),
    calls: outcomes.reduce((sum, one) => sum + one.calls, 0),
    secondsPerInjection: Math.round((slowest / clusters) * 10) / 10,
    measuredAt: new Date(clock.wall()).toISOString().slice(0, 10),
    machine: machineText(),
    ...{ load, clusters },
  }))
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      only: { type: 'string', multiple: true },
      clusters: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      print: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return values
}

async function main(): Promise<number> {
  const values = readOptions()
  const [rounds, clusters, seed] = [values.rounds, values.clusters, values.seed].map(Number)
  const names = values.only ?? Object.keys(FAULTS)
  const isCount = (n: number | undefined): n is number => Number.isInteger(n) && Number(n) >= 1
  const isUnderstood =
    names.every((name) => Object.hasOwn(FAULTS, name)) && isCount(seed) && isCount(clusters)
  if (values.help || !isUnderstood || !isCount(rounds)) {
    process.stderr.write(`${USAGE}\n`)
    return values.help ? 0 : 3
  }
  const print = (text: string): void => void process.stdout.write(`${text}\n`)
  if (values.print) {
    print(tableOf(await readRows()))
    return 0
  }
  const tell = (line: string): void => void process.stderr.write(`${line}\n`)
  const dir = mkdtempSync(join(tmpdir(), 'nyala-failover-data-'))
  const { signal } = interruptions()
  let missed = 0
  try {
    const facts = await gatherFacts({ dir, variables: process.env, signal })
    if (!values.json) print(tableOf([]))
    for (const name of names) {
      const fault = FAULTS[name]
      if (fault === undefined) continue
      tell(`${name}: ${fault.fault}`)
      const rows = await measure(name, fault, { rounds, clusters, facts, seed, tell, signal })
      tell(`  ${rows[0]?.secondsPerInjection} s an injection`)
      for (const row of rows) {
        if (!isMet(row)) missed++
        print(values.json ? JSON.stringify(row) : lineOf(row))
      }
      if (values.write) await writeRows(rows, Object.keys(FAULTS))
    }
  } catch (error) {
    if (!signal.aborted) throw error
    tell(`ended by ${(signal.reason as Error).message}`)
    return INTERRUPTED
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  return missed === 0 ? 0 : 1
}

/** As shells say that a program was interrupted. */
const INTERRUPTED = 130

function interruptions(): AbortController {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => controller.abort(new Error(name)))
  }
  return controller
}

process.exitCode = await main()
