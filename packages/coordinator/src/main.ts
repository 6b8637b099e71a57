import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { isMutant, lineLog, type Log, mutantRefusal, systemClock } from '@nyala/client/base'
import { isMemberId, SqlError } from '@nyala/client/protocol'
import { isAddress } from '@nyala/client/wire'
import { connectKv, type EtcdKv, listenToFailpoints, machineIdentity } from '@nyala/metastore'
import { parseDefaults } from './bind/settings.ts'
import {
  Coordinator,
  type CoordinatorOptions,
  DRAIN_TIMEOUT_MS,
  parseListen,
} from './coordinator.ts'
import { QUEUED_MAX } from './schedule/admission-driver.ts'

/** How long one attempt waits for etcd before the log says so and the next begins. */
const METASTORE_TIMEOUT_MS = 5_000

const USAGE = `usage: coordinator --id ID --cluster NAME --etcd URL[,URL…] --listen HOST:PORT --dir DIR [--root DIR]…
  --advertise HOST:PORT    the address that others are told, where it is not the one it listens on
  --drain-seconds N        for so long statements that run may end when it is asked to stop (default: ${DRAIN_TIMEOUT_MS / 1000})
  --warehouse DIR          where managed tables lie, below a --root of every executor (default: DIR/warehouse)
  --max-running-queries N  queries that run at once in the cluster (default: as many as suit its executors)
  --max-queued-queries N   queries that wait at once in the cluster (default: ${QUEUED_MAX})
                           also NYALA_MAX_RUNNING_QUERIES and NYALA_MAX_QUEUED_QUERIES; the same for all coordinators
                           also NYALA_DRAIN_SECONDS
  --default-settings LIST  what sessions have that do not SET otherwise, as query_timeout_s=600,max_rows=1000000
                           also NYALA_DEFAULT_SETTINGS; the same for all coordinators
`

const USAGE_ERRORS: ReadonlySet<string> = new Set(['invalid_parameter_value', 'undefined_object'])

interface Options {
  readonly id: string
  readonly cluster: string
  readonly etcd: readonly string[]
  readonly listen: string
  readonly dir: string
  readonly warehouse: string | undefined
  readonly advertise: string | undefined
  readonly drainSeconds: number | undefined
  readonly limits: Pick<
    CoordinatorOptions,
    'maxRunningQueries' | 'maxQueuedQueries' | 'defaultSettings'
  >
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      id: { type: 'string' },
      cluster: { type: 'string', default: 'local' },
      etcd: { type: 'string' },
      listen: { type: 'string', default: '127.0.0.1:0' },
      dir: { type: 'string' },
      warehouse: { type: 'string' },
      advertise: { type: 'string' },
      'drain-seconds': { type: 'string' },
      // Where tables may lie is checked by executors; the flag is taken so that both programs start alike.
      root: { type: 'string', multiple: true },
      'max-running-queries': { type: 'string' },
      'max-queued-queries': { type: 'string' },
      'default-settings': { type: 'string' },
    },
  })
  const { id, etcd, dir, cluster, listen, advertise } = values
  if (id === undefined || etcd === undefined || dir === undefined) return undefined
  if (advertise !== undefined && !isAddress(advertise)) {
    throw new SqlError('invalid_parameter_value', `--advertise "${advertise}" is not host:port`)
  }
  const limit = (name: string): number | undefined => {
    const text =
      values[name as keyof typeof values] ??
      process.env[`NYALA_${name.toUpperCase().replaceAll('-', '_')}`]
    return text === undefined ? undefined : wholeNumber(name, String(text))
  }
  return {
    id,
    cluster,
    etcd: etcd.split(','),
    listen,
    dir,
    warehouse: values.warehouse,
    advertise,
    drainSeconds: limit('drain-seconds'),
    limits: {
      maxRunningQueries: limit('max-running-queries'),
      maxQueuedQueries: limit('max-queued-queries'),
      defaultSettings: parseDefaults(
        values['default-settings'] ?? process.env['NYALA_DEFAULT_SETTINGS'] ?? '',
      ),
    },
  }
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new SqlError('invalid_parameter_value', `${name} "${text}" is not a whole number`)
}

/** Waits for etcd as long as it takes, and says so; gives up only when it is told to. */
async function openMetastore(
  endpoints: readonly string[],
  log: Log,
  signal: AbortSignal,
): Promise<EtcdKv> {
  const kv = await connectKv({ endpoints, clock: systemClock, log })
  while (!signal.aborted) {
    try {
      await kv.waitReady({ timeoutMs: METASTORE_TIMEOUT_MS, signal })
      break
    } catch (error) {
      if (!signal.aborted) log.warn('metastoreAbsent', { endpoints, error })
    }
  }
  return kv
}

async function main(): Promise<number> {
  const refusal = mutantRefusal()
  if (refusal !== undefined) throw new SqlError('invalid_parameter_value', refusal)
  const options = readOptions()
  if (options === undefined) {
    process.stderr.write(USAGE)
    return 3
  }
  const failpoints = listenToFailpoints(options.id, process.env)
  if (failpoints !== undefined) throw new SqlError('invalid_parameter_value', failpoints)
  const clock = systemClock
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => clock.wall(),
    {
      level: process.env['NYALA_LOG'] === 'debug' ? 'debug' : 'info',
      base: { member: options.id },
    },
  )
  if (!isMemberId(options.id))
    throw new SqlError('invalid_parameter_value', `"${options.id}" is not a member id`)
  const stopping = new AbortController()
  const signalled = new Promise<void>((resolveSignal) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        // A second signal means now.
        if (stopping.signal.aborted) process.exit(0)
        stopping.abort(new Error(`received ${name}`))
        resolveSignal()
      })
    }
  })
  const kv = await openMetastore(options.etcd, log, stopping.signal)
  if (stopping.signal.aborted) return 0
  const coordinator = await Coordinator.start(
    {
      id: options.id,
      cluster: options.cluster,
      kv,
      etcdEndpoints: options.etcd,
      ...parseListen(options.listen),
      advertise: options.advertise,
      machine: machineIdentity(),
      metadataDirectory: join(resolve(options.dir), 'metadata'),
      warehouse: resolve(options.warehouse ?? join(options.dir, 'warehouse')),
      clock,
      log,
      pid: process.pid,
      version: version(),
      ...options.limits,
      onSuperseded: () => process.kill(process.pid, 'SIGTERM'),
    },
    stopping.signal,
  )
  log.info('ready', { address: coordinator.address })
  process.stdout.write(
    JSON.stringify({
      ready: true,
      id: options.id,
      address: coordinator.address,
      pid: process.pid,
    }) + '\n',
  )
  await signalled
  if (isMutant('no-drain')) coordinator.services.queries.cancelAll()
  await coordinator.stop((options.drainSeconds ?? DRAIN_TIMEOUT_MS / 1000) * 1000)
  await kv.close()
  return 0
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { readonly version?: unknown }).version)
}

// Frames that pass through are memory outside the heap, and make the collector mark it over and over: in steps that cost
// several times what one short pause does.
setFlagsFromString('--no-incremental-marking')
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (error instanceof SqlError && USAGE_ERRORS.has(error.error)) {
      const hint = error.hint === undefined ? '' : `; ${error.hint}`
      process.stderr.write(`${error.message}${hint}\n${USAGE}`)
      process.exit(3)
    }
    if (error instanceof SqlError && error.error === 'foreign_directory') {
      process.stderr.write(`${error.message}\n${error.hint ?? ''}\n`)
      process.exit(3)
    }
    process.stderr.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    process.exit(1)
  },
)
