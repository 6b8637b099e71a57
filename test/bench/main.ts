import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'
import { generateSample } from '@nyala/deploy'
import { Bench, inSharedWorld, type Part } from './bench.ts'
import { measureCosts } from './costs.ts'
import { measureFooters } from './footers.ts'
import { measureFootprint } from './footprint.ts'
import { measurePlanning, measureSelectOne } from './latency.ts'
import { measureOverhead } from './overhead.ts'
import { measurePlacement } from './placement.ts'
import { measurePlanner } from './planner.ts'
import {
  lineText,
  loadText,
  machineText,
  type Section,
  tableLines,
  writeResults,
} from './report.ts'
import { SHAPES } from './queries.ts'
import { measureScale } from './scale.ts'
import { measureSessions } from './sessions.ts'
import { measureStreaming } from './streaming.ts'
import { measureTpch, measureTpchAlone } from './tpch.ts'
import { versionsOf } from './versions.ts'
import { measureWrites } from './writes.ts'

const PARTS: Readonly<Record<string, Part>> = {
  overhead: inSharedWorld(measureOverhead),
  'select-one': inSharedWorld(measureSelectOne),
  planning: inSharedWorld(measurePlanning),
  streaming: inSharedWorld(measureStreaming),
  footers: inSharedWorld(measureFooters),
  footprint: inSharedWorld(measureFootprint),
  placement: async () => ({ measurements: await measurePlacement() }),
  planner: measurePlanner,
  'tpch-alone': measureTpchAlone,
  tpch: measureTpch,
  scale: measureScale,
  sessions: measureSessions,
  costs: measureCosts,
  writes: measureWrites,
}

const USAGE = `usage: npm run bench [-- --only NAME… --query N… --sf N --threads N --runs N --minutes N --write]

Measures the engine beside DuckDB alone and prints each number with its goal.

  --only NAME   ${Object.keys(PARTS).join(', ')};
                repeatable (default: all)
  --query N     of TPC-H only this one; repeatable, not with --write
  --sf N        scale factor of the sample data (default 1); kept under node_modules/.cache, 230 MB for each unit
  --threads N   threads of an executor and of DuckDB alone, where the part does not say (default: all cores)
  --runs N      times that each query of TPC-H is measured (default 5)
  --minutes N   how long the sessions go on (default 5)
  --write       also writes what was measured into test/bench/results.json and RESULTS.md`

const root = fileURLToPath(new URL('../../..', import.meta.url))
const print = (line: string): void => void process.stdout.write(`${line}\n`)

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    query: { type: 'string', multiple: true },
    sf: { type: 'string', default: '1' },
    threads: { type: 'string' },
    runs: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '5' },
    write: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

async function main(): Promise<number> {
  const names = values.only ?? Object.keys(PARTS)
  const numbers = {
    threads: Number(values.threads ?? availableParallelism()),
    scaleFactor: Number(values.sf),
    runs: Number(values.runs),
    minutes: Number(values.minutes),
  }
  const queries = values.query?.map(Number)
  const isKnown =
    names.every((name) => Object.hasOwn(PARTS, name)) &&
    (queries ?? []).every((number) => SHAPES[number - 1] !== undefined) &&
    (queries === undefined || values.write !== true)
  if (!isKnown || Object.values(numbers).some((value) => !(value > 0))) {
    process.stderr.write(`${USAGE}\n`)
    return 3
  }
  const { scaleFactor, threads } = numbers
  const data = join(root, 'node_modules', '.cache', 'nyala', `sample-${scaleFactor}`)
  await mkdir(data, { recursive: true })
  const variables = process.env
  const sample = await generateSample({ dir: data, scaleFactor, variables })
  await using bench = new Bench({
    ...numbers,
    clock: systemClock,
    sample,
    print,
    variables,
    ...(queries === undefined ? {} : { queries }),
  })
  const versions = await versionsOf(bench)
  for (const name of names) {
    const part = PARTS[name]
    if (part === undefined) continue
    print(`${name}, scale factor ${scaleFactor}, ${loadText()}`)
    const load = loadText()
    const { measurements, table } = await part(bench)
    const measuredAt = new Date(systemClock.wall()).toISOString().slice(0, 16).replace('T', ' ')
    const machine = machineText()
    const section: Section = {
      part: name,
      scaleFactor,
      threads,
      measuredAt,
      machine,
      versions,
      load,
      measurements,
      ...(table === undefined ? {} : { table }),
    }
    for (const line of table === undefined ? [] : tableLines(table)) print(line)
    for (const one of measurements) print(lineText(one))
    if (values.write === true) await writeResults(join(root, 'test', 'bench'), section)
  }
  return 0
}

if (values.help === true) print(USAGE)
else process.exitCode = await main()
