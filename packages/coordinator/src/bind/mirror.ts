import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBPreparedStatement,
} from '@duckdb/node-api'
import type { Clock } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import type { Scan } from '../plan/scan.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { Query } from '../sql/ir.ts'
import { renderQuery } from '../sql/renderer.ts'
import { type KernelFunctions, kernelFunctions } from './functions.ts'
import { kernelError, type SourceMap } from './kernel-errors.ts'
import { overScanTables, SCAN_SCHEMA, type ScanTable, ScanTables } from './scan-tables.ts'

/** What the session's own place answers to in `catalog.database.table`. */
export const CATALOG_NAME = 'nyala'
const MEMORY_LIMIT = '192MB'
/** Mirrored relations kept; a query that needs more makes room by dropping the oldest. */
const RELATIONS_MAX = 2_000
/** A predicate over partition values that runs longer than this is not used for pruning. */
const PRUNE_TIMEOUT_MS = 1_000
/** What is constant takes microseconds; the limit is for what nobody has thought of. */
const CONSTANT_TIMEOUT_MS = 1_000
const PARTITIONS_CACHED_MAX = 64
const INSERT_ROWS = 500
/** Plans of more text than this are not read: of the queries of TPC-H the longest has a fiftieth of it. */
const PLAN_LENGTH_MAX = 8_000_000
const SERIALIZE_PLAN =
  'SELECT json_serialize_plan($1::VARCHAR, skip_null := true, optimize := false)'
/** Of a session that does not say; that of the host is nobody's wish. */
const DEFAULT_TIME_ZONE = 'UTC'

/** A relation of the catalog as a query sees it: a name and its columns. */
export interface MirroredRelation {
  readonly database: string
  readonly name: string
  readonly columns: readonly ColumnRecord[]
}

/** The kernel's own plan of a query as JSON, its names resolved and its types complete. */
export interface SerialisedPlan {
  readonly json: string
  /** What the tables in it stand for. */
  readonly tables: ReadonlyMap<string, ScanTable>
}

/**
 * An empty copy of the part of the catalog that queries use, in a DuckDB instance of this process that has neither data
 * nor file access. Preparing a query against it answers what a binder is asked: do all names exist, do the types fit,
 * what are the result's columns; with the kernel's own rules, hence never in contradiction to it.
 *
 * The optimizer is off, so that preparing does not compute constants of a statement's author at length. One operation
 * at a time on each of two connections; each is short.
 */
export class Mirror {
  readonly #instance: DuckDBInstance
  readonly #connection: DuckDBConnection
  /** Names and types are asked for on one connection, and plans on another, at the same time. */
  readonly #binding: MirrorSession
  readonly #planning: MirrorSession
  /** Prepared, as each call to the kernel that is left out is a turn of its threads less. */
  readonly #serialize: DuckDBPreparedStatement
  readonly #clock: Clock
  readonly #relations = new Map<string, string>()
  readonly #databases = new Map<string, Promise<unknown>>()
  readonly #scanTables = new ScanTables()
  readonly #partitions = new Map<string, Promise<void>>()

  private constructor(
    kernel: {
      readonly instance: DuckDBInstance
      readonly connection: DuckDBConnection
      readonly planning: DuckDBConnection
      readonly serialize: DuckDBPreparedStatement
    },
    clock: Clock,
  ) {
    this.#instance = kernel.instance
    this.#connection = kernel.connection
    this.#binding = new MirrorSession(kernel.connection)
    this.#planning = new MirrorSession(kernel.planning)
    this.#serialize = kernel.serialize
    this.#clock = clock
  }

  static async open(clock: Clock): Promise<Mirror> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: MEMORY_LIMIT,
      temp_directory: '',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      enable_external_access: 'false',
    })
    const connection = await instance.connect()
    const planning = await instance.connect()
    await connection.run(`ATTACH ':memory:' AS ${CATALOG_NAME}`)
    for (const one of [connection, planning]) {
      await one.run(`USE ${CATALOG_NAME}`)
      await one.run('SET errors_as_json = true')
      await one.run('PRAGMA disable_optimizer')
      await one.run(`SET TimeZone = ${quoteLiteral(DEFAULT_TIME_ZONE)}`)
    }
    await connection.run('CREATE SCHEMA "$partitions"')
    await connection.run('CREATE SCHEMA "$none"')
    await connection.run(`CREATE SCHEMA ${quoteIdentifier(SCAN_SCHEMA)}`)
    const serialize = await planning.prepare(SERIALIZE_PLAN)
    return new Mirror({ instance, connection, planning, serialize }, clock)
  }

  close(): void {
    this.#serialize.destroySync()
    this.#planning.close()
    this.#connection.closeSync()
    this.#instance.closeSync()
  }

  /**
   * The result columns of a query. Fails with what is wrong in it; positions are those of the text that `source` maps to.
   */
  async columns(
    sql: string,
    context: {
      readonly database: string
      readonly relations: readonly MirroredRelation[]
      readonly source?: SourceMap | undefined
    },
  ): Promise<readonly Column[]> {
    return this.#exclusive(async () => {
      for (const relation of context.relations) await this.#ensure(relation)
      await this.#use(this.#binding, context.database)
      try {
        const statement = await this.#connection.prepare(sql)
        try {
          return Array.from({ length: statement.columnCount }, (_, i) => ({
            name: statement.columnName(i),
            type: typeName(statement.columnType(i)),
          }))
        } finally {
          statement.destroySync()
        }
      } catch (error) {
        throw kernelError(error, context.source)
      }
    })
  }

  /**
   * The bound plan of a query whose scans are marks, not optimised; undefined where it is too long to be read. That the
   * kernel has none is said in the JSON. Fails where the tables that stand for the scans cannot be made.
   */
  async boundPlan(
    query: Query,
    scans: readonly Scan[],
    database: string,
  ): Promise<SerialisedPlan | undefined> {
    return this.#planning.exclusive(async (connection) => {
      await this.#use(this.#planning, database)
      const tables = await this.#scanTables.ensure(scans, (sql) => connection.run(sql))
      this.#serialize.bindVarchar(1, renderQuery(overScanTables(query, tables)))
      const result = await this.#serialize.run()
      const json = String(result.getChunk(0).getColumnVector(0).getItem(0))
      return json.length > PLAN_LENGTH_MAX ? undefined : { json, tables }
    })
  }

  /**
   * Loads partition values as a table of their declared types, numbered in order. Fails with `schema_mismatch` naming
   * the column and the value that does not fit.
   */
  async loadPartitions(
    key: string,
    columns: readonly ColumnRecord[],
    partitions: readonly (readonly (string | null)[])[],
  ): Promise<void> {
    const known = this.#partitions.get(key)
    if (known !== undefined) return known
    const loading = this.#exclusive(async () => {
      try {
        await this.#load(key, columns, partitions)
      } catch (error) {
        await this.#connection.run(`DROP TABLE IF EXISTS ${partitionTable(key)}`)
        throw error
      }
    })
    this.#partitions.set(key, loading)
    try {
      await loading
    } catch (error) {
      this.#partitions.delete(key)
      throw error
    }
    const oldest = this.#partitions.keys().next()
    if (this.#partitions.size > PARTITIONS_CACHED_MAX && oldest.done !== true) {
      this.#partitions.delete(oldest.value)
      await this.#exclusive(() =>
        this.#connection.run(`DROP TABLE IF EXISTS ${partitionTable(oldest.value)}`),
      )
    }
  }

  /**
   * Ordinals of the partitions for which `predicate` may be true; undefined where that cannot be told, which means all.
   * `alias` is the name by which the predicate knows the table. `loadPartitions` must have come first.
   */
  async prune(
    key: string,
    by: {
      readonly alias: string
      readonly predicate: string
      /** Of the session: a time of a day is another moment elsewhere. */
      readonly timezone: string
    },
  ): Promise<ReadonlySet<number> | undefined> {
    const { alias, predicate, timezone } = by
    return this.#exclusive(async () => {
      const stop = this.#clock.after(PRUNE_TIMEOUT_MS, () => this.#connection.interrupt())
      try {
        if (timezone !== DEFAULT_TIME_ZONE) await this.#setTimeZone(timezone)
        const sql = `SELECT "$ordinal" FROM ${partitionTable(key)} AS ${quoteIdentifier(alias)} WHERE ${predicate}`
        const reader = await this.#connection.runAndReadAll(sql)
        return new Set(reader.getColumns()[0]?.map(Number) ?? [])
      } catch {
        // Whatever is wrong with the predicate the kernel will say when it runs it over the rows.
        return undefined
      } finally {
        stop()
        if (timezone !== DEFAULT_TIME_ZONE) await this.#setTimeZone(DEFAULT_TIME_ZONE)
      }
    })
  }

  /**
   * The value of an expression without columns, as text. Fails as the kernel does, and with `statement_timeout`.
   */
  async constant(expression: string, timezone: string): Promise<string | null> {
    return this.#exclusive(async () => {
      let isLate = false
      const stop = this.#clock.after(CONSTANT_TIMEOUT_MS, () => {
        isLate = true
        this.#connection.interrupt()
      })
      try {
        if (timezone !== DEFAULT_TIME_ZONE) await this.#setTimeZone(timezone)
        const reader = await this.#connection.runAndReadAll(`SELECT CAST(${expression} AS VARCHAR)`)
        return (reader.getRows()[0]?.[0] ?? null) as string | null
      } catch (error) {
        if (!isLate) throw kernelError(error)
        const message = `a constant took longer than ${CONSTANT_TIMEOUT_MS} ms`
        throw new SqlError('statement_timeout', message, { cause: error })
      } finally {
        stop()
        if (timezone !== DEFAULT_TIME_ZONE) await this.#setTimeZone(DEFAULT_TIME_ZONE)
      }
    })
  }

  /** Completions of `sql` at its end, as the kernel's own completer gives them. */
  async complete(
    sql: string,
    database: string,
    relations: readonly MirroredRelation[],
  ): Promise<readonly { readonly text: string; readonly start: number; readonly kind: string }[]> {
    return this.#exclusive(async () => {
      for (const relation of relations) await this.#ensure(relation)
      await this.#use(this.#binding, database)
      const reader = await this.#connection.runAndReadAll(
        `SELECT suggestion, suggestion_start, suggestion_type FROM sql_auto_complete(${quoteLiteral(sql)})`,
      )
      return reader
        .getRows()
        .map((row) => ({ text: String(row[0]), start: Number(row[1]), kind: String(row[2]) }))
    })
  }

  /** What the kernel says of its functions, for the planner. */
  async kernelFunctions(): Promise<KernelFunctions> {
    return this.#exclusive(async () => {
      const reader = await this.#connection.runAndReadAll(
        `SELECT DISTINCT lower(function_name), function_type, coalesce(stability, 'CONSISTENT'), coalesce(macro_definition, '')
         FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')`,
      )
      const rows = reader.getRows().map(([name, type, stability, definition]) => ({
        name: String(name),
        type: String(type),
        stability: String(stability),
        definition: String(definition),
      }))
      return kernelFunctions(rows)
    })
  }

  /** Names, parameters and kinds of the functions that queries may call. */
  async functions(): Promise<readonly (readonly string[])[]> {
    return this.#exclusive(async () => {
      const reader = await this.#connection.runAndReadAll(
        `SELECT DISTINCT function_name, function_type, coalesce(return_type, ''),
           array_to_string(list_transform(range(len(parameter_types)), lambda i: coalesce(parameter_types[i + 1], 'ANY')), ', ')
         FROM duckdb_functions()
         WHERE function_type IN ('scalar', 'aggregate', 'macro') AND function_name ~ '^[a-z][a-z0-9_]*$'
           AND schema_name = 'main'
         ORDER BY ALL`,
      )
      return reader.getRows().map((row) => row.map(String))
    })
  }

  async #setTimeZone(name: string): Promise<void> {
    await this.#connection.run(`SET TimeZone = ${quoteLiteral(name)}`)
  }

  async #load(
    key: string,
    columns: readonly ColumnRecord[],
    partitions: readonly (readonly (string | null)[])[],
  ): Promise<void> {
    const table = partitionTable(key)
    const definitions = columns.map((c) => `${quoteIdentifier(c.name)} ${c.type}`)
    await this.#connection.run(
      `CREATE OR REPLACE TABLE ${table} ("$ordinal" INTEGER, ${definitions.join(', ')})`,
    )
    for (let first = 0; first < partitions.length; first += INSERT_ROWS) {
      const rows = partitions.slice(first, first + INSERT_ROWS).map((values, i) => {
        const cells = values.map((v) => (v === null ? 'NULL' : quoteLiteral(v)))
        return `(${[first + i, ...cells].join(', ')})`
      })
      try {
        await this.#connection.run(`INSERT INTO ${table} VALUES ${rows.join(', ')}`)
      } catch (error) {
        const cause = kernelError(error)
        const names = columns.map((c) => `"${c.name}" ${c.type}`).join(', ')
        throw new SqlError(
          'schema_mismatch',
          `a partition value does not fit its column (${names}): ${cause.message}`,
          {
            hint: 'declare the partition column with the type of its values, for example STRING',
            cause,
          },
        )
      }
    }
  }

  async #ensure(relation: MirroredRelation): Promise<void> {
    const key = `${foldName(relation.database)}\u0000${foldName(relation.name)}`
    // A view, as a table of the kernel has columns that one of ours has not, such as `rowid`.
    const columns = relation.columns
      .map((c) => `CAST(NULL AS ${c.type}) AS ${quoteIdentifier(c.name)}`)
      .join(', ')
    if (this.#relations.get(key) === columns) return
    await this.#ensureDatabase(relation.database)
    const name = `${quoteIdentifier(relation.database)}.${quoteIdentifier(relation.name)}`
    this.#relations.delete(key)
    try {
      await this.#connection.run(`CREATE OR REPLACE VIEW ${name} AS SELECT ${columns}`)
    } catch (error) {
      throw kernelError(error)
    }
    this.#relations.set(key, columns)
    const oldest = this.#relations.keys().next()
    if (this.#relations.size > RELATIONS_MAX && oldest.done !== true) {
      this.#relations.delete(oldest.value)
      const path = oldest.value.split('\u0000').map(quoteIdentifier).join('.')
      await this.#connection.run(`DROP VIEW IF EXISTS ${path}`)
    }
  }

  async #ensureDatabase(database: string): Promise<void> {
    const key = foldName(database)
    const making =
      this.#databases.get(key) ??
      this.#connection.run(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(database)}`)
    this.#databases.set(key, making)
    try {
      await making
    } catch (error) {
      this.#databases.delete(key)
      throw error
    }
  }

  async #use(session: MirrorSession, database: string): Promise<void> {
    if (session.database === database) return
    await this.#ensureDatabase(database)
    await session.use(database)
  }

  #exclusive<T>(action: () => Promise<T>): Promise<T> {
    return this.#binding.exclusive(action)
  }
}

/** A connection to the mirror's instance, on which one operation runs at a time. */
class MirrorSession {
  readonly #connection: DuckDBConnection
  #database: string | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(connection: DuckDBConnection) {
    this.#connection = connection
  }

  /** Where names without a database are looked up. */
  get database(): string | undefined {
    return this.#database
  }

  async use(database: string): Promise<void> {
    // The value is a list of quoted names inside a text: both levels of quotes are needed.
    const path = `${CATALOG_NAME}.${quoteIdentifier(database)}`
    await this.#connection.run(`SET schema = ${quoteLiteral(path)}`)
    this.#database = database
  }

  exclusive<T>(action: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const run = this.#last.then(() => action(this.#connection))
    this.#last = run.catch(() => undefined)
    return run
  }

  close(): void {
    this.#connection.closeSync()
  }
}

const partitionTable = (key: string): string => `"$partitions".${quoteIdentifier(key)}`

/** A type as DuckDB prints it; an alias such as JSON stands for the type it names. */
function typeName(type: { toString(): string; readonly alias?: string | undefined }): string {
  return type.alias ?? type.toString()
}
