import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'
import { anomaliesOf } from './history/checks.ts'
import { FAULTS, type FaultName } from './history/faults.ts'
import { type History, lineOf, parseHistory } from './history/history.ts'
import type { Level } from './history/isolation.ts'
import { runHistory } from './history/run.ts'
import { ACCOUNTS, RING_SIZE, TOTAL } from './history/tables.ts'

const USAGE = `usage: node test/dist/history.js [--transactions N] [--seed N] [--clients N] [--faults NAME,… | none] [--realtime] [--check FILE]

Runs clients of a cluster of 3 coordinators, 2 executors and 3 members of etcd while members fail, and then looks for what
transactions must not have seen, for what is lost, doubled or never refused, and compares every file with the catalog.

  --faults      ${FAULTS.join(', ')} (default: all)
  --realtime    with read_consistency = strong: reads are to see what any session had been told before they began
  --check FILE  checks a history that was kept

Exit codes: 0 nothing found, 1 anomalies, 3 usage. The history of a run with anomalies is kept.`
const USAGE_EXIT = 3
const SHOWN_MAX = 20

const print = (line: string): void => void process.stdout.write(`${line}\n`)

function report(history: History, level: Level): number {
  const count = (end: string): number => history.filter((one) => one.end === end).length
  const anomalies = anomaliesOf(history, {
    ...{ level, bank: { accounts: ACCOUNTS, total: TOTAL }, ringSize: RING_SIZE },
  })
  print(
    `transactions: ${count('committed')} committed, ${count('aborted')} aborted, ${count('unknown')} unknown`,
  )
  for (const { name, text } of anomalies.slice(0, SHOWN_MAX)) print(`${name}: ${text}`)
  print(`anomalies (${level} isolation): ${anomalies.length}`)
  return anomalies.length
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
    return report(parseHistory(await readFile(values.check, 'utf8')), level) === 0 ? 0 : 1
  }
  const dir = await mkdtemp(join(tmpdir(), 'nyala-history-'))
  const file = join(dir, 'history.jsonl')
  const out = createWriteStream(file)
  const history: History[number][] = []
  const began = systemClock.now()
  const { ended, counts, problems } = await runHistory({
    ...{ dir: join(dir, 'cluster'), variables: process.env, clock: systemClock },
    ...{ transactions: transactions ?? 0, seed: seed ?? 0, clients: clients ?? 0, faults },
    set: { read_consistency: values.realtime ? 'strong' : 'available' },
    tell: (line) => print(`${((systemClock.now() - began) / 1000).toFixed(1)} s  ${line}`),
    onTransaction: (one) => {
      history.push(one)
      out.write(lineOf(one))
    },
  })
  await new Promise<void>((resolve) => out.end(resolve))
  const faulty = Object.entries(counts).map(([name, times]) => `${name} ${times}`)
  print(`${Math.round(ended.perSecond)} transactions a second; faults: ${faulty.join(', ')}`)
  const anomalies = report(history, level)
  for (const problem of problems) print(problem)
  print(`files and keys that are not as they should be: ${problems.length}`)
  await rm(join(dir, 'cluster'), { recursive: true, force: true })
  if (anomalies + problems.length > 0) {
    print(`the history is in ${file}`)
    return 1
  }
  await rm(dir, { recursive: true, force: true })
  return 0
}

process.exitCode = await main()
