import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect, SqlError } from '@nyala/client'
import { CLAIM_FILE } from '@nyala/metastore'
import { installedPrograms } from '../local/engine-member.ts'
import { callEtcd } from '../local/etcd-calls.ts'
import { pathsOf } from '../local/layout.ts'
import type { Drill, Round } from './round.ts'
import { MOVED_MS } from './strikes.ts'

/** Drills of members of other clusters that are started where this one is. */
export const FOREIGN_DRILLS: readonly Drill[] = [
  {
    name: 'two-clusters-one-warehouse',
    summary:
      "coordinators of another cluster, and with another warehouse, and a database in another's warehouse: all refused",
    load: ['append', 'transfer', 'small'],
    bounds: { stallMs: 3_000 },
    run: startForeigners,
    mutant: { name: 'no-directory-claim', fails: ['whole'] },
  },
]

const OTHER_CLUSTER = 'foreign'
/** Until a coordinator serves, or says why it does not. */
const STARTED_MS = 20_000

async function startForeigners(round: Round): Promise<void> {
  const { target } = round.options
  const { data } = pathsOf(target.dir)
  const before = namesIn(data)
  const own = join(data, 'warehouse')
  round.began('')
  try {
    await refusesToStart(round, ['--cluster', OTHER_CLUSTER], own)
    const elsewhere = join(target.dir, 'elsewhere')
    await refusesToStart(round, ['--cluster', target.cluster, '--warehouse', elsewhere], elsewhere)
    await round.until('whole', 0, () =>
      namesIn(data) === before ? undefined : `in "${data}" is ${namesIn(data)}, and was ${before}`,
    )
    await refusesToWrite(round)
  } finally {
    await forgetCluster(target.etcdEndpoints[0] ?? '', OTHER_CLUSTER)
  }
}

/** It ends by itself, and says whose the directory is, and which cluster it is itself. */
async function refusesToStart(
  round: Round,
  args: readonly string[],
  directory: string,
): Promise<void> {
  const { target, variables } = round.options
  const child = spawn(
    process.execPath,
    [
      installedPrograms().coordinator,
      ...['--id', 'foreigner', '--listen', '127.0.0.1:0', ...args],
      ...['--etcd', target.etcdEndpoints.join(','), '--dir', pathsOf(target.dir).data],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...variables } },
  )
  const said = listen(child)
  try {
    await round.until('struck', round.bound(STARTED_MS), () =>
      said.isReady || child.exitCode !== null ? undefined : 'it neither serves nor ends',
    )
    await round.until('whole', 0, () =>
      said.isReady ? `a coordinator with ${args.join(' ')} serves on "${directory}"` : undefined,
    )
    const ids = [...said.text.matchAll(/id "([0-9a-f]{16})"/g)].length
    const isTold = said.text.includes(`"${directory}"`) && ids >= 2 && child.exitCode === 3
    await round.until('whole', 0, () =>
      isTold ? undefined : `it ended with ${child.exitCode} and said ${said.text}`,
    )
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
}

function listen(child: ChildProcess): { text: string; isReady: boolean } {
  const said = { text: '', isReady: false }
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) throw new Error('what it says is not connected')
    createInterface({ input: stream }).on('line', (line) => {
      said.text += `${line}\n`
      said.isReady ||= line.startsWith('{"ready":true')
    })
  }
  return said
}

/** A table whose database lies in the warehouse of another cluster is not made, and nothing is written there. */
async function refusesToWrite(round: Round): Promise<void> {
  const { target } = round.options
  const foreign = join(target.dir, 'foreign-warehouse')
  mkdirSync(foreign)
  const claim = JSON.parse(
    readFileSync(join(pathsOf(target.dir).data, 'warehouse', CLAIM_FILE), 'utf8'),
  ) as object
  writeFileSync(join(foreign, CLAIM_FILE), JSON.stringify({ ...claim, clusterId: '0'.repeat(16) }))
  const { url } = target
  const signal = AbortSignal.timeout(round.bound(MOVED_MS))
  await using db = await connect({ url, signal })
  await db.execute(`CREATE DATABASE in_foreign LOCATION '${foreign}'`)
  try {
    const told = await db.execute('CREATE TABLE in_foreign.t AS SELECT 1 AS n').then(
      () => 'nothing',
      (error: unknown) => (error instanceof SqlError ? error.error : String(error)),
    )
    await round.until('whole', 0, () => {
      if (told !== 'foreign_directory') return `who writes to "${foreign}" was told ${told}`
      const names = readdirSync(foreign)
      return names.length === 1 ? undefined : `in "${foreign}" is ${names.join(', ')}`
    })
  } finally {
    await db.execute('DROP DATABASE in_foreign CASCADE')
    rmSync(foreign, { recursive: true })
  }
}

/** What lies in a directory that members share, beside what comes and goes. */
const namesIn = (directory: string): string =>
  ['warehouse', 'metadata']
    .flatMap((part) => readdirSync(join(directory, part)).map((name) => join(part, name)))
    .filter((path) => path.startsWith('warehouse') || path.endsWith(CLAIM_FILE))
    .toSorted()
    .join(', ')

/** The keys of a cluster that was started to be refused: its record, and what it registered where it was not. */
async function forgetCluster(endpoint: string, cluster: string): Promise<void> {
  const prefix = `/nyala/${cluster}/`
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  await callEtcd(endpoint, 'kv/deleterange', {
    key: base64(prefix),
    range_end: base64(`/nyala/${cluster}0`),
  })
}
