import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { resolve } from 'node:path'
import type { Environment } from '../local/environment.ts'
import { installEtcd } from '../local/etcd-install.ts'
import { configurationError, EXIT_FAILED, EXIT_INTERRUPTED } from '../local/launcher-error.ts'
import { STOP_SIGNALS } from '../local/up.ts'
import { DRILLS } from './drills.ts'
import { failuresOf, jsonOf, lineOf, nameOf, tableOf, verdictOf } from './report.ts'
import type { Drill } from './round.ts'
import {
  type DrillOptions,
  type DrillReport,
  isAsItMust,
  runDrill,
  withFacts,
} from './run-drill.ts'

export const DRILL_USAGE = `usage: nyala drill NAME… | --all | --list  [options]

Starts a cluster of real processes in a temporary directory, lets clients work on it, breaks it, watches what follows,
and says whether what Nyala promises held: no row lost or doubled, no error, everything back, nothing left behind.

  --list          the drills, and what each breaks
  --all           all of them
  --times N       strikes of each drill, one after another (default 1); times are then told as p50/p99/max
  --seed N        who is struck, and what the clients ask (default: random, and printed)
  --mutants       runs each drill without the guard that it is about: it must fail
  --patience N    multiplies every bound, for a machine that is busy (default 1)
  --dir DIR       strikes the cluster that "nyala up --dir DIR" runs, instead of one of its own
  --json          one JSON object for each drill

exit code: 0 all held, 1 something did not, 3 usage`

/** `nyala drill`: resolves with the exit code. */
export async function drill(args: readonly string[], environment: Environment): Promise<number> {
  const { values, positionals } = readOptions(args)
  if (values.help === true) {
    environment.print(DRILL_USAGE)
    return 0
  }
  if (values.list === true) {
    for (const line of listing()) environment.print(line)
    return 0
  }
  const drills = chosen(positionals, values.all === true)
  const { dir, json, mutants } = values
  if (dir !== undefined && mutants === true) {
    throw configurationError('--mutants needs a cluster of its own', 'leave out --dir')
  }
  await installEtcd(environment.variables, environment.report)
  const stopping = new AbortController()
  const onSignal = (): void => stopping.abort(new Error('interrupted'))
  for (const name of STOP_SIGNALS) process.on(name, onSignal)
  const tell = json === true ? environment.report : environment.print
  const options = {
    times: whole('times', values.times ?? '1'),
    seed: whole('seed', values.seed ?? String(randomInt(2 ** 31))),
    patience: whole('patience', values.patience ?? '1'),
    mutant: mutants === true,
    dir: dir === undefined ? undefined : resolve(environment.directory, dir),
    variables: environment.variables,
    clock: environment.clock,
    signal: stopping.signal,
  }
  tell(`seed ${options.seed}`)
  try {
    const reports = await withFacts(options, (facts) =>
      runAll(drills, { ...options, facts }, { tell, json: json === true, environment }),
    )
    tell(`\n${tableOf(reports)}`)
    return reports.every(isAsItMust) ? 0 : EXIT_FAILED
  } catch (error) {
    if (stopping.signal.aborted) return EXIT_INTERRUPTED
    throw error
  } finally {
    for (const name of STOP_SIGNALS) process.off(name, onSignal)
  }
}

async function runAll(
  drills: readonly Drill[],
  options: DrillOptions,
  out: {
    readonly tell: (line: string) => void
    readonly json: boolean
    readonly environment: Environment
  },
): Promise<readonly DrillReport[]> {
  const { tell } = out
  const reports: DrillReport[] = []
  for (const one of drills) {
    tell(`${one.name}: ${one.summary}`)
    const report = await runDrill(one, {
      ...options,
      onRound: (round, number) => tell(`  ${number}. ${lineOf(round)}`),
    })
    reports.push(report)
    for (const line of failuresOf(report)) tell(`  ${line}`)
    tell(`  ${nameOf(report)}: ${verdictOf(report)}`)
    if (out.json) out.environment.print(jsonOf(report))
  }
  return reports
}

function listing(): readonly string[] {
  const width = Math.max(...DRILLS.map(({ name }) => name.length))
  return DRILLS.map(
    ({ name, summary, mutant }) => `${name.padEnd(width)}  ${summary} (mutant: ${mutant.name})`,
  )
}

function chosen(names: readonly string[], all: boolean): readonly Drill[] {
  if (all && names.length === 0) return DRILLS
  if (all || names.length === 0) {
    throw configurationError('name drills, or say --all or --list', DRILL_USAGE)
  }
  return names.map((name) => {
    const found = DRILLS.find((one) => one.name === name)
    if (found !== undefined) return found
    throw configurationError(`there is no drill "${name}"`, 'see nyala drill --list')
  })
}

function whole(name: string, text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text) || (name === 'seed' && text === '0')) return Number(text)
  throw configurationError(`--${name} is "${text}", expected a whole number from 1`)
}

function readOptions(args: readonly string[]) {
  try {
    const flag = { type: 'boolean' } as const
    const text = { type: 'string' } as const
    const options = {
      list: flag,
      all: flag,
      mutants: flag,
      json: flag,
      times: text,
      seed: text,
      patience: text,
      dir: text,
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (error) {
    throw configurationError((error as Error).message, DRILL_USAGE)
  }
}
