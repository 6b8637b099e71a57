import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import duckdb, { type Connection, type Database } from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { KernelSettings } from './kernel-protocol.ts'
import { readRows } from './read-rows.ts'
import { TypeNames } from './sql-type-name.ts'

/** Connections kept ready for the next tasks: opening and preparing one costs half a millisecond. */
const IDLE_CONNECTIONS_MAX = 16

/** Settings that a task may bring along, by where the kernel keeps them. */
const TASK_SETTINGS: ReadonlyMap<string, 'connection' | 'instance'> = new Map([
  ['timezone', 'connection'],
  ['calendar', 'connection'],
  ['default_null_order', 'instance'],
  ['default_order', 'instance'],
  ['ieee_floating_point_ops', 'instance'],
  ['integer_division', 'instance'],
  ['preserve_insertion_order', 'instance'],
])

/** What our own code sets on connections after the configuration is locked. */
const CONNECTION_SETTINGS = [
  'TimeZone',
  'Calendar',
  'enable_progress_bar',
  'enable_progress_bar_print',
  'streaming_buffer_size',
  'enable_profiling',
  'profiling_output',
  'profiling_coverage',
  'custom_profiling_settings',
]

export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A connection that is set up, and where it writes the profile of its last statement. */
export interface KernelConnection {
  readonly raw: Connection
  /** Statements that have set what tasks want of it. */
  readonly settings: string
  readonly profilePath: string | undefined
}

/**
 * One DuckDB instance behind its jail: no extensions, no network, no file outside the given directories, a memory and
 * a spill limit, and a configuration that nothing can change any more.
 */
export class KernelInstance {
  readonly typeNames: TypeNames
  readonly #database: Database
  readonly #spillDirectory: string
  readonly #idle: KernelConnection[] = []
  #profiled = 0

  private constructor(database: Database, typeNames: TypeNames, spillDirectory: string) {
    this.#database = database
    this.typeNames = typeNames
    this.#spillDirectory = spillDirectory
  }

  /** `taskSettings`: those of the task this instance is for, if it is for one alone. */
  static async open(
    settings: KernelSettings,
    taskSettings: Readonly<Record<string, string>> = {},
  ): Promise<KernelInstance> {
    await mkdir(settings.spillDirectory, { recursive: true })
    const config = duckdb.create_config()
    for (const [name, value] of Object.entries(openingConfig(settings))) {
      duckdb.set_config(config, name, value)
    }
    const database = await duckdb.open(':memory:', config)
    const connection = await duckdb.connect(database)
    try {
      await duckdb.query(connection, jail(settings, taskSettings))
      const words = await readRows(connection, KEYWORDS)
      const names = new TypeNames(new Set(words.map((row) => String(row[0]))))
      return new KernelInstance(database, names, settings.spillDirectory)
    } finally {
      duckdb.disconnect_sync(connection)
    }
  }

  /** A connection for one task, with the task's settings applied; best one that has them already. */
  async acquire(
    taskSettings: Readonly<Record<string, string>> = {},
    options: { readonly profile?: boolean } = {},
  ): Promise<KernelConnection> {
    const settings = settingsOf(taskSettings, 'connection').map(setStatement).sort().join(';')
    const profile = options.profile === true
    const at = this.#idle.findIndex(
      (idle) => idle.settings === settings && (idle.profilePath !== undefined) === profile,
    )
    const idle = at < 0 ? undefined : this.#idle.splice(at, 1)[0]
    return idle ?? (await this.#connect(settings, profile))
  }

  /** Takes a connection back; it must be idle. One that has failed is closed. */
  release(connection: KernelConnection, reusable: boolean): void {
    if (reusable) this.#idle.push(connection)
    else duckdb.disconnect_sync(connection.raw)
    if (this.#idle.length <= IDLE_CONNECTIONS_MAX) return
    const oldest = this.#idle.shift()
    if (oldest !== undefined) duckdb.disconnect_sync(oldest.raw)
  }

  /** Closes an instance without running queries. */
  close(): void {
    for (const connection of this.#idle) duckdb.disconnect_sync(connection.raw)
    this.#idle.length = 0
    duckdb.close_sync(this.#database)
  }

  async #connect(settings: string, profile: boolean): Promise<KernelConnection> {
    const raw = await duckdb.connect(this.#database)
    await duckdb.query(
      raw,
      settings === '' ? PREPARE_CONNECTION : `${PREPARE_CONNECTION};${settings}`,
    )
    if (!profile) return { raw, settings, profilePath: undefined }
    const profilePath = join(this.#spillDirectory, `profile-${this.#profiled++}.txt`)
    await duckdb.query(raw, profiling(profilePath))
    return { raw, settings, profilePath }
  }
}

/** True where settings of a task are kept by the instance, so that it needs one of its own. */
export function needsOwnInstance(taskSettings: Readonly<Record<string, string>>): boolean {
  return settingsOf(taskSettings, 'instance').length > 0
}

/** Refuses settings that a task may not bring. */
export function checkTaskSettings(taskSettings: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(taskSettings)) {
    if (TASK_SETTINGS.has(name.toLowerCase())) continue
    throw new SqlError('invalid_parameter_value', `setting "${name}" is not one of the kernel`, {
      hint: `the kernel takes ${[...TASK_SETTINGS.keys()].join(', ')}`,
    })
  }
}

// Progress is only counted where a progress bar is on; printing it is another matter.
const PREPARE_CONNECTION = 'SET enable_progress_bar = true; SET enable_progress_bar_print = false'

const KEYWORDS = 'SELECT keyword_name FROM duckdb_keywords()'

const PROFILED = [
  'OPERATOR_NAME',
  'OPERATOR_TYPE',
  'OPERATOR_TIMING',
  'OPERATOR_CARDINALITY',
  'OPERATOR_ROWS_SCANNED',
  'EXTRA_INFO',
  'CPU_TIME',
  'LATENCY',
  'ROWS_RETURNED',
  'RESULT_SET_SIZE',
  'BLOCKED_THREAD_TIME',
  'TOTAL_MEMORY_ALLOCATED',
  'SYSTEM_PEAK_BUFFER_MEMORY',
  'SYSTEM_PEAK_TEMP_DIR_SIZE',
]

/**
 * Each statement then rewrites the file. It is switched on last, or the other settings would write theirs; and the
 * kernel takes JSON into a file of any type only where that is called a text.
 */
const profiling = (path: string): string =>
  [
    `SET profiling_output = ${quoteText(path)}`,
    "SET profiling_coverage = 'ALL'",
    `SET custom_profiling_settings = ${quoteText(
      JSON.stringify(Object.fromEntries(PROFILED.map((name) => [name, 'true']))),
    )}`,
    "SET enable_profiling = 'json'",
  ].join(';')

type Setting = readonly [name: string, value: string]

const settingsOf = (
  settings: Readonly<Record<string, string>>,
  scope: 'connection' | 'instance',
): readonly Setting[] =>
  Object.entries(settings).filter(([name]) => TASK_SETTINGS.get(name.toLowerCase()) === scope)

function setStatement([name, value]: Setting): string {
  assert(TASK_SETTINGS.has(name.toLowerCase()), () => `setting ${name} was not checked`)
  return `SET ${quoteName(name)} = ${quoteText(value)}`
}

/**
 * Buckets of an exchange that are written at once. With fewer files open than buckets each is closed and begun anew
 * over and over: 256 buckets took twice the time, and gave eight times the files.
 */
const BUCKETS_OPEN_MAX = 1024

const openingConfig = (settings: KernelSettings): Readonly<Record<string, string>> => ({
  threads: String(settings.threads),
  memory_limit: `${settings.memoryLimitBytes}B`,
  temp_directory: settings.spillDirectory,
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_persistent_secrets: 'false',
  errors_as_json: 'true',
})

/** The order matters: each line takes away what the next ones would need. */
function jail(settings: KernelSettings, taskSettings: Readonly<Record<string, string>>): string {
  const directories = [...settings.directories, settings.spillDirectory]
  return [
    ...settingsOf(taskSettings, 'instance').map(setStatement),
    // Given when the instance is opened it would be shown as set, and not be kept to.
    `SET max_temp_directory_size = ${quoteText(`${settings.spillLimitBytes}B`)}`,
    `SET partitioned_write_max_open_files = ${BUCKETS_OPEN_MAX}`,
    `SET allowed_directories = [${directories.map(quoteText).join(', ')}]`,
    `SET allowed_configs = [${CONNECTION_SETTINGS.map(quoteText).join(', ')}]`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ].join(';')
}
