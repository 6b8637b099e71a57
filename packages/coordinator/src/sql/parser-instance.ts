import {
  DuckDBInstance,
  type DuckDBConnection,
  type DuckDBPreparedStatement,
} from '@duckdb/node-api'
import { assert } from '@nyala/client/base'
import { EXPRESSION_DEPTH_MAX } from './limits.ts'

/** Memory of the instance: it holds no data, only the tree of one statement at a time. */
const PARSER_MEMORY_LIMIT = '256MB'

const SERIALIZE =
  'SELECT json_serialize_sql($1::VARCHAR, skip_null := false, skip_empty := false, skip_default := false, format := false)'

/**
 * A DuckDB instance with no data, no files, no network and no extensions: it is only asked what a
 * text means. Statements run one after the other, since a prepared statement has one set of bindings.
 *
 *   open → serialize* → close
 */
export class ParserInstance {
  readonly #instance: DuckDBInstance
  /** The raw connection, which tests look into; statements go through `serialize`, one at a time. */
  readonly connection: DuckDBConnection
  readonly #serialize: DuckDBPreparedStatement
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    serialize: DuckDBPreparedStatement,
  ) {
    this.#instance = instance
    this.connection = connection
    this.#serialize = serialize
  }

  static async open(): Promise<ParserInstance> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: PARSER_MEMORY_LIMIT,
      temp_directory: '',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      enable_external_access: 'false',
      max_expression_depth: String(EXPRESSION_DEPTH_MAX),
    })
    const connection = await instance.connect()
    await connection.run('SET lock_configuration = true')
    return new ParserInstance(instance, connection, await connection.prepare(SERIALIZE))
  }

  /** The JSON text of all statements in `sql`, or of the error, as DuckDB writes it. */
  async serialize(sql: string): Promise<string> {
    assert(!this.#closed, 'parser instance is closed')
    const run = this.#last.then(() => this.#run(sql))
    this.#last = run.catch(() => undefined)
    return run
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#serialize.destroySync()
    this.connection.closeSync()
    this.#instance.closeSync()
  }

  async #run(sql: string): Promise<string> {
    assert(!this.#closed, 'parser instance was closed while statements waited')
    this.#serialize.bindVarchar(1, sql)
    const result = await this.#serialize.run()
    const text = result.getChunk(0).getColumnVector(0).getItem(0)
    assert(typeof text === 'string', 'json_serialize_sql returned no text')
    return text
  }
}
