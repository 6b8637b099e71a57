import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'
import { anomaliesOf } from './history/checks.ts'
import { FAULTS, type FaultName } from './history/faults.ts'
import { type History, lineOf, parseHistory } from './history/history.ts'
import type { Level } from './history/isolation.ts'
import { runHistory } from './history/run.ts'
import { endsByKind, unexpectedErrors, worstWaits } from './history/summary.ts'
import { ACCOUNTS, RING_SIZE, TOTAL } from './history/tables.ts'

const USAGE = `usage: node test/dist/history.js [--transactions N] [--seed N] [--clients N] [--faults NAME,… | none] [--realtime] [--check FILE]

Runs clients of a cluster of 3 coordinators, 2 executors and 3 members of etcd while members fail, and then looks for what
transactions must not have seen, for what is lost, doubled or never refused, and compares every file with the catalog.

  --faults      ${FAULTS.join(', ')} (default: all)
  --realtime    with read_consistency = strong: reads are to see what any session had been told before they began
  --check FILE  checks a history that was kept

Exit codes: 0 nothing found, 1 anomalies or errors that no fault explains, 3 usage. Of a run with such the directory is kept:
history.jsonl, anomalies.txt, faults.txt (in milliseconds of the history's clock), and the cluster with its logs.`
const USAGE_EXIT = 3
const SHOWN_MAX = 20

const print = (line: string): void => void process.stdout.write(`${line}\n`)

/** How many findings it has; `file`: where all of them are written to. */
async function report(history: History, level: Level, file?: string): Promise<number> {
  const count = (end: string): number => history.filter((one) => one.end === end).length
  const anomalies = anomaliesOf(history, {
    ...{ level, bank: { accounts: ACCOUNTS, total: TOTAL }, ringSize: RING_SIZE },
  })
  print(
    `transactions: ${count('committed')} committed, ${count('aborted')} aborted, ${count('unknown')} unknown`,
  )
  for (const line of endsByKind(history)) print(`  ${line}`)
  const { stallMs, stallAtMs, longest } = worstWaits(history)
  print(
    `longest without a commit: ${Math.round(stallMs)} ms, ${Math.round(stallAtMs)} ms after the first began`,
  )
  if (longest !== undefined) {
    const { id, kind = '', began, ended } = longest
    print(`longest transaction: ${id} ${kind} ${Math.round(ended - began)} ms`)
  }
  const unexpected = unexpectedErrors(history)
  for (const line of unexpected) print(`unexpected error ${line}`)
  const lines = anomalies.map(({ name, text }) => `${name}: ${text}`)
  for (const line of lines.slice(0, SHOWN_MAX)) print(line)
  if (file !== undefined && lines.length > 0) await writeFile(file, `${lines.join('\n')}\n`)
  const shown = lines.length > SHOWN_MAX ? `, ${SHOWN_MAX} of them shown` : ''
  print(`anomalies (${level} isolation): ${anomalies.length}${shown}`)
  return anomalies.length + unexpected.length
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      transactions: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      clients: { type: 'string', default: '64' },
      faults: { type: 'string', default: FAULTS.join() },
      realtime: { type: 'boolean', default: false },
      check: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const names = values.faults === 'none' ? [] : values.faults.split(',')
  const faults = names.filter((name): name is FaultName => FAULTS.some((one) => one === name))
  const [transactions, seed, clients] = [values.transactions, values.seed, values.clients].map(
    Number,
  )
  const isUsable = [transactions, seed, clients].every((one) => Number.isSafeInteger(one))
  if (values.help || faults.length < names.length || !isUsable) {
    print(USAGE)
    return values.help ? 0 : USAGE_EXIT
  }
  const level = values.realtime ? 'strong snapshot' : 'strong session snapshot'
  if (values.check !== undefined) {
    const found = await report(parseHistory(await readFile(values.check, 'utf8')), level)
    return found === 0 ? 0 : 1
  }
  const dir = await mkdtemp(join(tmpdir(), 'nyala-history-'))
  const [file, anomalyFile] = [join(dir, 'history.jsonl'), join(dir, 'anomalies.txt')]
  const out = createWriteStream(file)
  const history: History[number][] = []
  const began = systemClock.now()
  const told: string[] = []
  const tell = (line: string): void => {
    const now = systemClock.now()
    told.push(`${Math.round(now)} ${line}`)
    print(`${((now - began) / 1000).toFixed(1)} s  ${line}`)
  }
  const run = await runHistory({
    ...{ dir: join(dir, 'cluster'), variables: process.env, clock: systemClock },
    ...{ transactions: transactions ?? 0, seed: seed ?? 0, clients: clients ?? 0, faults },
    set: { read_consistency: values.realtime ? 'strong' : 'available' },
    tell,
    onTransaction: (one) => {
      history.push(one)
      out.write(lineOf(one))
    },
  }).catch((error: unknown) => {
    tell(`the run has failed: ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
    return undefined
  })
  await new Promise<void>((resolve) => out.end(resolve))
  if (run !== undefined) {
    const faulty = Object.entries(run.counts).map(([name, times]) => `${name} ${times}`)
    print(`${Math.round(run.ended.perSecond)} transactions a second; faults: ${faulty.join(', ')}`)
  }
  const found = await report(history, level, anomalyFile)
  const problems = run?.problems ?? []
  for (const problem of problems) print(problem)
  if (run !== undefined) print(`files and keys that are not as they should be: ${problems.length}`)
  if (run === undefined || found + problems.length > 0) {
    await writeFile(join(dir, 'faults.txt'), `${told.join('\n')}\n`)
    print(`history, anomalies, faults and the members' logs are in ${dir}`)
    return 1
  }
  await rm(dir, { recursive: true, force: true })
  return 0
}

process.exitCode = await main()
