import { statSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Infer, s } from '@nyala/client/base'
import { configurationError } from './launcher-error.ts'
import { MEMBERS_PER_ROLE_MAX, PORTS_PER_CLUSTER } from './ports.ts'

/** What `nyala up` was asked for, with everything settled; also what it hands to a supervisor in the background. */
export const upOptions = s.object({
  cluster: s.string,
  coordinators: s.natural,
  executors: s.natural,
  etcd: s.natural,
  dir: s.string,
  roots: s.array(s.string),
  threads: s.natural,
  memoryBytes: s.natural,
  portBase: s.natural,
  fsync: s.boolean,
})
export type UpOptions = Infer<typeof upOptions>

export const UP_USAGE = `usage: nyala up [options]

Starts a cluster of real processes on this machine and prints its URL when it serves.

  --coordinators N   coordinators (default 3)
  --executors N      executors (default 3)
  --etcd 1|3         members of etcd (default 3)
  --threads N        threads of each executor (default: the cores divided by the executors)
  --memory BYTES     memory for the tasks of each executor, also as 512MiB or 2GiB
  --dir DIR          where the cluster keeps its data, logs and state (default ./.nyala)
  --root DIR         a directory that tables may lie in, besides the cluster's own; repeatable (default: this directory)
  --port-base PORT   coordinators listen from PORT+1 on, executors from PORT+21, etcd from PORT+41 (default 7700; 0: free ports)
  --cluster NAME     name of the cluster (default local)
  --no-fsync         etcd answers before its writes are on disk: faster, for throw-away clusters
  --detach           return when the cluster serves, and leave it running until "nyala down"`

export const DEFAULT_DIRECTORY = '.nyala'
const DEFAULT_PORT_BASE = 7700
const PORT_MAX = 65_535
const THREADS_MAX = 1024
/** Share of the machine's memory that all executors' tasks together may use unless told otherwise. */
const MEMORY_SHARE = 0.6
/** DuckDB cannot do much with less. */
const MEMORY_MIN_BYTES = 64 * 1024 * 1024
const CLUSTER_NAME = /^[0-9A-Za-z][0-9A-Za-z_.-]{0,62}$/
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
}

const OPTIONS = {
  coordinators: { type: 'string' },
  executors: { type: 'string' },
  etcd: { type: 'string' },
  threads: { type: 'string' },
  memory: { type: 'string' },
  dir: { type: 'string' },
  root: { type: 'string', multiple: true },
  'port-base': { type: 'string' },
  cluster: { type: 'string' },
  'no-fsync': { type: 'boolean' },
  detach: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export interface ParsedUp {
  readonly help: boolean
  readonly detach: boolean
  readonly options: UpOptions
}

/** Relative paths are taken from `directory`. Fails with exit code 3 on what it does not understand. */
export function parseUp(args: readonly string[], directory: string): ParsedUp {
  const values = readOptions(args)
  const executors = members('executors', values.executors)
  const dir = resolve(directory, values.dir ?? DEFAULT_DIRECTORY)
  return {
    help: values.help === true,
    detach: values.detach === true,
    options: {
      cluster: clusterName(values.cluster),
      coordinators: members('coordinators', values.coordinators),
      executors,
      etcd: etcdMembers(values.etcd),
      dir,
      roots: (values.root ?? [directory]).map((root) =>
        existingDirectory(resolve(directory, root)),
      ),
      threads: threads(values.threads, executors),
      memoryBytes: memory(values.memory, executors),
      portBase: portBase(values['port-base']),
      fsync: values['no-fsync'] !== true,
    },
  }
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false })
      .values
  } catch (error) {
    throw configurationError((error as Error).message, UP_USAGE)
  }
}

const members = (name: string, text: string | undefined): number =>
  whole(name, text ?? '3', { min: 1, max: MEMBERS_PER_ROLE_MAX })

/** The threads that each of so many executors gets of this machine. */
export const threadsPerExecutor = (executors: number): number =>
  Math.max(1, Math.floor(availableParallelism() / executors))

/** The memory that the tasks of each of so many executors get of this machine, in bytes. */
export const memoryPerExecutor = (executors: number): number =>
  Math.max(MEMORY_MIN_BYTES, Math.floor((totalmem() * MEMORY_SHARE) / executors))

function threads(text: string | undefined, executors: number): number {
  if (text === undefined) return threadsPerExecutor(executors)
  return whole('threads', text, { min: 1, max: THREADS_MAX })
}

function memory(text: string | undefined, executors: number): number {
  if (text === undefined) return memoryPerExecutor(executors)
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? []
  const factor = UNITS[(unit ?? '').toLowerCase()]
  const bytes = factor === undefined ? Number.NaN : Math.floor(Number(digits) * factor)
  if (bytes >= MEMORY_MIN_BYTES && bytes <= Number.MAX_SAFE_INTEGER) return bytes
  throw configurationError(
    `--memory is "${text}", expected at least ${MEMORY_MIN_BYTES} bytes`,
    'write bytes, or a number with KiB, MiB or GiB, such as 2GiB',
  )
}

function etcdMembers(text: string | undefined): number {
  const count = text ?? '3'
  if (count === '1' || count === '3') return Number(count)
  throw configurationError(`--etcd is "${count}", expected 1 or 3`)
}

function portBase(text: string | undefined): number {
  const max = PORT_MAX - PORTS_PER_CLUSTER
  return whole('port-base', text ?? String(DEFAULT_PORT_BASE), { min: 0, max })
}

function clusterName(text: string | undefined): string {
  const name = text ?? 'local'
  if (CLUSTER_NAME.test(name)) return name
  throw configurationError(
    `--cluster is "${name}", expected letters, digits, "_", "." and "-", at most 63`,
  )
}

function existingDirectory(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return path
  throw configurationError(`--root "${path}" is not a directory`)
}

function whole(
  name: string,
  text: string,
  range: { readonly min: number; readonly max: number },
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= range.min && value <= range.max) return value
  throw configurationError(
    `--${name} is "${text}", expected a whole number from ${range.min} to ${range.max}`,
  )
}
