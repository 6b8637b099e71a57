import { join } from 'node:path'
import { connect, type Database } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import { stopCluster } from '../local/down.ts'
import { startLocalCluster } from '../local/start.ts'
import { up } from '../local/up.ts'
import { generateSample } from '../sample/generate.ts'
import { QUESTIONS, type Question } from './questions.ts'
import { tasksByExecutor } from './read-profile.ts'
import { textTable } from './text-table.ts'

export interface DemoOptions {
  /** An empty directory for all that is made; removing it is left to the caller. */
  readonly dir: string
  /** Leaves the cluster running. */
  readonly keep: boolean
  readonly print: (line: string) => void
  readonly clock: Clock
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The launcher's program, which supervises a cluster that is kept. */
  readonly launcher: string
  readonly signal: AbortSignal
}

/** Large enough that the planner spreads the work, small enough for a minute. */
const SCALE_FACTOR = 0.2
const MEMBERS = { etcd: 3, coordinators: 3, executors: 3 } as const

interface RunningCluster {
  readonly url: string
  readonly stop: () => Promise<void>
}

/** Makes data and a cluster, asks questions, and stops the cluster unless it is to be kept. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { print, signal } = options
  const sample = await timed(options, 'sample data', async () => {
    const dir = join(options.dir, 'sample')
    return generateSample({ ...options, dir, scaleFactor: SCALE_FACTOR })
  })
  print(rowsText(sample.tables))
  const cluster = await timed(options, clusterText(), () => startCluster(options, sample.dir))
  try {
    const [first, second] = coordinatorUrls(cluster.url)
    await using one = await connect({ url: first, signal })
    await timed(options, `tables made at coordinator ${one.coordinator ?? '?'}`, async () => {
      for (const statement of sample.statements) await one.execute(statement, [], { signal })
    })
    await using other = await connect({ url: second, signal })
    for (const question of QUESTIONS) await ask(other, question, options)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  if (options.keep) return print(keptText(cluster.url, options.dir))
  await timed(options, 'cluster stopped', () => cluster.stop())
}

async function ask(db: Database, question: Question, options: DemoOptions): Promise<void> {
  const { print, signal, clock } = options
  print(`\n── ${question.title} ──  (asked at coordinator ${db.coordinator ?? '?'})\n`)
  print(`${question.sql}\n`)
  const plan = await db.query(`EXPLAIN ${question.sql}`, [], { signal })
  for (const row of plan.rows) print(Object.values(row).map(String).join(' '))
  const started = clock.now()
  const stream = db.stream(question.sql, [], { signal })
  const rows: Readonly<Record<string, unknown>>[] = []
  for await (const row of stream) rows.push(row)
  const elapsedMs = clock.now() - started
  const { stats } = await stream.finished
  print(
    `\n${textTable(
      (await stream.columns).map((column) => column.name),
      rows,
    )}`,
  )
  const tasks = tasksByExecutor(await stream.profile())
  const where = [...tasks].map(([executor, count]) => `${executor} ${count}`).join(', ')
  print(
    `\n${rows.length} rows in ${Math.round(elapsedMs)} ms (planned in ${stats.planMs.toFixed(1)} ms, ` +
      `${Math.round(stats.cpuMs)} ms of processor time); tasks by executor: ${where}`,
  )
}

async function startCluster(options: DemoOptions, root: string): Promise<RunningCluster> {
  const dir = join(options.dir, 'cluster')
  if (options.keep) return startKept(options, dir, root)
  const cluster = await startLocalCluster({ ...options, ...MEMBERS, dir, roots: [root] })
  return { url: cluster.url, stop: () => cluster.stop() }
}

/** A cluster that outlives this program is supervised by another. */
async function startKept(options: DemoOptions, dir: string, root: string): Promise<RunningCluster> {
  const lines: string[] = []
  const counts = Object.entries(MEMBERS).flatMap(([role, count]) => [`--${role}`, String(count)])
  await up(
    ['--detach', '--port-base', '0', '--no-fsync', '--dir', dir, '--root', root, ...counts],
    {
      clock: options.clock,
      variables: options.variables,
      directory: options.dir,
      program: options.launcher,
      print: (line) => void lines.push(line),
      report: options.print,
    },
  )
  const stop = async (): Promise<void> => void (await stopCluster(dir, options.clock))
  return { url: lines[0] ?? '', stop }
}

/** A URL for each coordinator of a cluster's URL. */
function coordinatorUrls(url: string): readonly [string, string] {
  const { host, pathname } = splitUrl(url)
  const [first = '', second = first] = host.split(',')
  return [`nyala://${first}${pathname}`, `nyala://${second}${pathname}`]
}

function splitUrl(url: string): { readonly host: string; readonly pathname: string } {
  const rest = url.slice('nyala://'.length)
  const slash = rest.indexOf('/')
  return { host: rest.slice(0, slash), pathname: rest.slice(slash) }
}

async function timed<T>(options: DemoOptions, what: string, action: () => Promise<T>): Promise<T> {
  options.signal.throwIfAborted()
  const started = options.clock.now()
  const result = await action()
  options.print(`✓ ${what} (${((options.clock.now() - started) / 1000).toFixed(1)} s)`)
  return result
}

function rowsText(tables: Readonly<Record<string, { readonly rows: number }>>): string {
  const counts = Object.entries(tables).map(([name, { rows }]) => `${name} ${rows}`)
  return `  ${counts.join(', ')}`
}

const clusterText = (): string =>
  `cluster of ${MEMBERS.etcd} etcd members, ${MEMBERS.coordinators} coordinators, ${MEMBERS.executors} executors`

function keptText(url: string, dir: string): string {
  return [
    '\nThe cluster goes on:',
    `  ${url}`,
    'ask it more:',
    `  npx nyala sql --url ${url}`,
    'stop it and remove everything:',
    `  npx nyala down --dir ${join(dir, 'cluster')} && rm -r ${dir}`,
  ].join('\n')
}
