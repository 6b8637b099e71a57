import duckdb, {
  type Connection,
  type Database,
  type PreparedStatement,
} from '@duckdb/node-bindings'
import { assert, type Clock } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import type { FrameKind } from '@nyala/client/wire'
import { ArrowEncoder } from './arrow-encoder.ts'
import { castColumns, columnsOf, wireFieldsOf } from './columns.ts'
import { toSqlError } from './kernel-errors.ts'
import { readRows } from './read-rows.ts'
import { TypeNames } from './sql-type-name.ts'

const { StatementType } = duckdb
const SEALED: Readonly<Record<string, string>> = {
  threads: '1',
  temp_directory: '',
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_persistent_secrets: 'false',
  enable_external_access: 'false',
  errors_as_json: 'true',
}

export interface ConstantOptions {
  readonly timeZone: string
  readonly timeoutMs: number
  /** The batch is Arrow as others read it, however large it is. */
  readonly plain?: boolean
}

/** The rows of a statement as an executor would send them. */
export interface ConstantRows {
  readonly columns: readonly Column[]
  readonly rows: number
  /** What frames would carry: the schema, then one batch where there are rows. */
  readonly payloads: readonly { readonly kind: FrameKind; readonly bytes: Uint8Array }[]
}

/**
 * A kernel in this process for statements of a few constants: no files, no network, no extensions, one thread, one
 * statement at a time, each with a time limit. Whoever calls it has seen to it that the statement is small and bounded;
 * names, types and bytes are those of a task on an executor.
 *
 * `open → run* → close`
 */
export class ConstantKernel {
  readonly #database: Database
  readonly #connection: Connection
  readonly #typeNames: TypeNames
  readonly #clock: Clock
  #timeZone = ''
  #last: Promise<unknown> = Promise.resolve()

  private constructor(parts: {
    readonly database: Database
    readonly connection: Connection
    readonly typeNames: TypeNames
    readonly clock: Clock
  }) {
    this.#database = parts.database
    this.#connection = parts.connection
    this.#typeNames = parts.typeNames
    this.#clock = parts.clock
  }

  static async open(options: {
    readonly clock: Clock
    readonly memoryLimitBytes: number
  }): Promise<ConstantKernel> {
    const config = duckdb.create_config()
    const settings = { ...SEALED, memory_limit: `${options.memoryLimitBytes}B` }
    for (const [name, value] of Object.entries(settings)) duckdb.set_config(config, name, value)
    const database = await duckdb.open(':memory:', config)
    const connection = await duckdb.connect(database)
    await duckdb.query(
      connection,
      "SET allowed_configs = ['TimeZone']; SET lock_configuration = true",
    )
    const words = await readRows(connection, 'SELECT keyword_name FROM duckdb_keywords()')
    const typeNames = new TypeNames(new Set(words.map((row) => String(row[0]))))
    return new ConstantKernel({ database, connection, typeNames, clock: options.clock })
  }

  close(): void {
    duckdb.disconnect_sync(this.#connection)
    duckdb.close_sync(this.#database)
  }

  /** Fails as a task of the statement would, and with `statement_timeout` after `timeoutMs`. */
  run(sql: string, options: ConstantOptions): Promise<ConstantRows> {
    const run = this.#last.then(() => this.#run(sql, options))
    this.#last = run.catch(() => undefined)
    return run
  }

  async #run(
    sql: string,
    { timeZone, timeoutMs, plain = false }: ConstantOptions,
  ): Promise<ConstantRows> {
    let late = false
    const stop = this.#clock.after(timeoutMs, () => {
      late = true
      duckdb.interrupt(this.#connection)
    })
    try {
      if (timeZone !== this.#timeZone) {
        await duckdb.query(this.#connection, `SET TimeZone = '${timeZone.replaceAll("'", "''")}'`)
        this.#timeZone = timeZone
      }
      return await this.#answer(sql, plain)
    } catch (error) {
      if (late) {
        throw new SqlError('statement_timeout', `constants took longer than ${timeoutMs} ms`, {
          cause: error,
        })
      }
      throw error instanceof SqlError ? error : toSqlError(error)
    } finally {
      stop()
    }
  }

  async #answer(sql: string, plain: boolean): Promise<ConstantRows> {
    const { statement, encoder, columns } = await this.#prepare(sql)
    const result = await duckdb.execute_prepared(statement)
    const chunks = duckdb.result_chunk_count(result)
    let rows = 0
    for (let i = 0; i < chunks; i++) {
      const chunk = duckdb.result_get_chunk(result, i)
      const count = duckdb.data_chunk_get_size(chunk)
      encoder.append(encoder.open(chunk, count), 0, count)
      rows += count
    }
    const payloads: ConstantRows['payloads'][number][] = [{ kind: 'arrow', bytes: encoder.schema }]
    if (rows > 0) payloads.push(encoder.finishBatch(0, (bytes) => new Uint8Array(bytes), plain))
    return { columns, rows, payloads }
  }

  async #prepare(sql: string): Promise<{
    readonly statement: PreparedStatement
    readonly encoder: ArrowEncoder
    readonly columns: readonly Column[]
  }> {
    const statement = await duckdb.prepare(this.#connection, sql)
    assert(
      duckdb.prepared_statement_type(statement) === StatementType.SELECT,
      () => `a constant is a SELECT: ${sql}`,
    )
    const found = columnsOf(statement, this.#typeNames)
    const columns = found.map(({ name, type }) => ({ name, type }))
    const fields = wireFieldsOf(found)
    if (fields !== undefined) return { statement, encoder: new ArrowEncoder(fields), columns }
    const cast = castColumns(sql, found, ({ logical }) => {
      const type = this.#typeNames.castTypeOf(logical)
      return type === this.#typeNames.nameOf(logical) ? undefined : type
    })
    const again = await duckdb.prepare(this.#connection, cast)
    const castFields = wireFieldsOf(columnsOf(again, this.#typeNames))
    assert(castFields !== undefined, () => `columns cannot be sent: ${cast}`)
    return { statement: again, encoder: new ArrowEncoder(castFields), columns }
  }
}
