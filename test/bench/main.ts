import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'
import { generateSample } from '@nyala/deploy'
import { measureFootprint } from './footprint.ts'
import { measurePlanning, measureSelectOne } from './latency.ts'
import type { Measurement } from './measurement.ts'
import { measureOverhead } from './overhead.ts'
import { lineText, machineText, markdown } from './report.ts'
import { measureStreaming } from './streaming.ts'
import { openWorld, type World } from './world.ts'

const USAGE = `usage: npm run bench [-- --only NAME… --sf N --threads N --write]

Measures the engine beside DuckDB alone and prints each number with its goal.

  --only NAME   overhead, select-one, planning, streaming or footprint; repeatable (default: all)
  --sf N        scale factor of the sample data (default 1)
  --threads N   threads of the executor and of DuckDB alone (default: all cores)
  --write       also writes test/bench/RESULTS.md`

const MEASUREMENTS: Readonly<Record<string, (world: World) => Promise<readonly Measurement[]>>> = {
  overhead: measureOverhead,
  'select-one': measureSelectOne,
  planning: measurePlanning,
  streaming: measureStreaming,
  footprint: measureFootprint,
}

const root = fileURLToPath(new URL('../../..', import.meta.url))
const print = (line: string): void => void process.stdout.write(`${line}\n`)

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    sf: { type: 'string', default: '1' },
    threads: { type: 'string' },
    write: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

async function main(): Promise<number> {
  const names = values.only ?? Object.keys(MEASUREMENTS)
  const unknown = names.find((name) => !Object.hasOwn(MEASUREMENTS, name))
  const threads = Number(values.threads ?? availableParallelism())
  const scaleFactor = Number(values.sf)
  if (unknown !== undefined || !(threads >= 1) || !(scaleFactor > 0)) {
    process.stderr.write(`${USAGE}\n`)
    return 3
  }
  const data = join(root, 'node_modules', '.cache', 'nyala', `sample-${scaleFactor}`)
  await mkdir(data, { recursive: true })
  const sample = await generateSample({ dir: data, scaleFactor, variables: process.env })
  await using world = await openWorld({
    clock: systemClock,
    threads,
    sample,
    print,
    variables: process.env,
  })
  const measurements: Measurement[] = []
  for (const name of names) {
    for (const one of (await MEASUREMENTS[name]?.(world)) ?? []) {
      measurements.push(one)
      print(lineText(one))
    }
  }
  const measuredAt = new Date(systemClock.wall()).toISOString().slice(0, 16).replace('T', ' ')
  const versions = await versionsOf(world)
  const machine = machineText()
  const report = { measuredAt, machine, versions, scaleFactor, threads, measurements }
  if (values.write === true) {
    await writeFile(join(root, 'test', 'bench', 'RESULTS.md'), markdown(report))
  }
  return 0
}

/** What was measured, by the programs' own word. */
async function versionsOf({ db, kernel, cluster }: World): Promise<string> {
  const duckdb = (await kernel.runAndReadAll('SELECT version()')).getRows()[0]?.[0]
  const answer = await fetch(`${cluster.etcdEndpoints[0] ?? ''}/version`)
  const etcd = ((await answer.json()) as { readonly etcdserver?: string }).etcdserver
  return `Nyala ${db.server?.version ?? ''}, DuckDB ${String(duckdb)}, etcd ${etcd ?? ''}, Node.js ${process.versions.node}`
}

if (values.help === true) print(USAGE)
else process.exitCode = await main()
