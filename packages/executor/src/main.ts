import { readFileSync } from 'node:fs'
import { mkdir, statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import {
  isMutant,
  lineLog,
  type Log,
  type LogLevel,
  mutantRefusal,
  systemClock as clock,
} from '@nyala/client/base'
import { isMemberId, SqlError } from '@nyala/client/protocol'
import { isAddress } from '@nyala/client/wire'
import {
  connectKv,
  type EtcdKv,
  failpointVariables,
  Keys,
  listenToFailpoints,
  machineIdentity,
} from '@nyala/metastore'
import { Executor, type ExecutorOptions } from './executor.ts'

const USAGE = `usage: node main.js --id ID --cluster NAME --etcd http://host:port[,…] --listen host:port --dir DIR --root DIR…
  --advertise HOST:PORT   address that others dial (default: the one listened on)
  --host NAME             executors of one name read each other's segments where they lie (default: this machine's identity)
  --threads N             threads of the kernel (default: the cores of the machine)
  --memory BYTES          memory for tasks (default: half of the machine's)
  --spill-limit BYTES     disk for spilled data (default: a third of what is free)
  --exchange-limit BYTES  disk for segments between stages (default: a third of what is free)
  --log-level LEVEL       debug, info, warn or error (default: info)
`

const EXIT_FAILED = 1
const EXIT_USAGE = 3
/** Part of the machine that an executor takes unless told otherwise. */
const DEFAULT_SHARE = 0.5
/** Part of the free disk that spilled data takes unless told otherwise, and segments too. */
const DEFAULT_DISK_SHARE = 1 / 3
/** How often an absent etcd is mentioned. */
const ETCD_PATIENCE_MS = 2_000

class UsageError extends Error {}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

let log: Log = logAt('info')

function logAt(level: LogLevel): Log {
  return lineLog((line) => process.stderr.write(line), clock.wall, {
    level,
    base: { pid: process.pid },
  })
}

interface Flags {
  readonly etcd: readonly string[]
  readonly executor: Omit<
    ExecutorOptions,
    'kv' | 'spillLimitBytes' | 'exchangeLimitBytes' | 'onSuperseded'
  >
  readonly spillLimitBytes: number | undefined
  readonly exchangeLimitBytes: number | undefined
}

function readFlags(args: readonly string[]): Flags {
  const one = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      id: one,
      cluster: one,
      etcd: one,
      listen: one,
      advertise: one,
      host: one,
      dir: one,
      root: { type: 'string', multiple: true },
      threads: one,
      memory: one,
      'spill-limit': one,
      'exchange-limit': one,
      'log-level': one,
    },
  })
  const id = required(values.id, '--id')
  if (!isMemberId(id)) throw new UsageError(`--id "${id}" is not a member id`)
  log = logAt(logLevel(values['log-level'] ?? 'info'))
  return {
    etcd: required(values.etcd, '--etcd').split(','),
    spillLimitBytes: optionalPositive(values['spill-limit'], '--spill-limit'),
    exchangeLimitBytes: optionalPositive(values['exchange-limit'], '--exchange-limit'),
    executor: {
      id,
      keys: new Keys(required(values.cluster, '--cluster')),
      listen: place(required(values.listen, '--listen')),
      advertise: optionalAddress(values.advertise, '--advertise'),
      host: values.host ?? machineIdentity(),
      directory: required(values.dir, '--dir'),
      roots: values.root ?? [],
      threads: positive(values.threads ?? String(availableParallelism()), '--threads'),
      memoryLimitBytes: positive(
        values.memory ?? String(Math.floor(totalmem() * DEFAULT_SHARE)),
        '--memory',
      ),
      version: version(),
      pid: process.pid,
      clock,
      log,
      seed: process.pid,
    },
  }
}

function required(value: string | undefined, flag: string): string {
  if (value === undefined || value === '') throw new UsageError(`${flag} is missing`)
  return value
}

function positive(text: string, flag: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new UsageError(`${flag} "${text}" is not a positive whole number`)
}

const optionalPositive = (text: string | undefined, flag: string): number | undefined =>
  text === undefined ? undefined : positive(text, flag)

function optionalAddress(text: string | undefined, flag: string): string | undefined {
  if (text === undefined || isAddress(text)) return text
  throw new UsageError(`${flag} "${text}" is not host:port`)
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw new UsageError(`--log-level "${text}" is not one of ${LOG_LEVELS.join(', ')}`)
}

function place(text: string): { readonly host: string; readonly port: number } {
  const found = /^(.+):(\d{1,5})$/.exec(text)
  if (found === null) throw new UsageError(`--listen "${text}" is not host:port`)
  return { host: found[1] ?? '', port: Number(found[2]) }
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { readonly version?: unknown }).version)
}

async function freeDiskShare(directory: string): Promise<number> {
  await mkdir(directory, { recursive: true })
  const { bavail, bsize } = await statfs(directory)
  return Math.floor(bavail * bsize * DEFAULT_DISK_SHARE)
}

/** Waits for etcd as long as it takes, and says so. */
async function openEtcd(endpoints: readonly string[], signal: AbortSignal): Promise<EtcdKv> {
  const kv = await connectKv({ endpoints, clock, log })
  for (;;) {
    try {
      await kv.waitReady({ timeoutMs: ETCD_PATIENCE_MS, signal })
      return kv
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SqlError)) throw error
      log.warn('etcdNotReached', { endpoints: kv.endpoints, message: error.message })
    }
  }
}

/** Of a drill: what this process runs without, its kernels do without, too. */
function mutantVariables(variables: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const { NYALA_DRILL: drill, NYALA_MUTANT: mutant = '' } = variables
  return drill === undefined || mutant === '' ? {} : { NYALA_DRILL: drill, NYALA_MUTANT: mutant }
}

async function run(flags: Flags): Promise<void> {
  const stop = new AbortController()
  let executor: Executor | undefined
  let signals = 0
  const onSignal = (name: string): void => {
    log.info('signal', { name })
    if (++signals > 1 || isMutant('no-drain')) process.exit(EXIT_FAILED)
    if (executor === undefined) return stop.abort(new Error(`stopped by ${name}`))
    executor.drain().then(() => process.exit(0), fail)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  const diskShare = await freeDiskShare(flags.executor.directory)
  const options: ExecutorOptions = {
    ...flags.executor,
    kv: openEtcd(flags.etcd, stop.signal),
    spillLimitBytes: flags.spillLimitBytes ?? diskShare,
    exchangeLimitBytes: flags.exchangeLimitBytes ?? diskShare,
    kernelVariables: {
      ...failpointVariables(flags.executor.id, process.env),
      ...mutantVariables(process.env),
    },
    onSuperseded: () =>
      fail(new Error(`another process registered as executor "${flags.executor.id}"`)),
  }
  try {
    executor = await Executor.start(options, { signal: stop.signal })
  } catch (error) {
    // Stopped before it had begun: as asked, not a failure.
    if (stop.signal.aborted) process.exit(0)
    throw error
  }
  const { id, address } = executor
  process.stdout.write(`${JSON.stringify({ ready: true, id, address, pid: process.pid })}\n`)
}

/** Kernels end by themselves when this process is gone. */
function fail(error: unknown): never {
  log.error('executorFailed', { error })
  process.exit(EXIT_FAILED)
}

function main(): void {
  // Frames that pass through are memory outside the heap, and make the collector mark it over and over: in steps that
  // cost several times what one short pause does.
  setFlagsFromString('--no-incremental-marking')
  let flags: Flags
  try {
    const refusal = mutantRefusal()
    if (refusal !== undefined) throw new UsageError(refusal)
    flags = readFlags(process.argv.slice(2))
    const failpoints = listenToFailpoints(flags.executor.id, process.env)
    if (failpoints !== undefined) throw new UsageError(failpoints)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    process.exit(EXIT_USAGE)
  }
  run(flags).catch(fail)
}

main()
