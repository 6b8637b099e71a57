import { assert } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import type { ConstantKernel, ConstantRows } from '@nyala/executor/kernel'
import type { TableFile } from '@nyala/executor/protocol'
import { writtenFactsOf } from '@nyala/executor/storage'
import type { IcebergField } from '../iceberg/types.ts'
import { quoteIdentifier } from '../sql/escape.ts'

/** The rows of one statement, rendered: `(CAST(1 AS BIGINT), CAST('a' AS VARCHAR))` each. */
export interface ConstantRowsText {
  readonly rows: readonly string[]
  readonly timeZone: string
}

/** A data file that is nowhere yet. */
export interface EncodedFile {
  readonly content: Uint8Array
  readonly facts: Omit<TableFile, 'path' | 'crc'>
}

/** A few rows are computed in no time; the limit is for what nobody has thought of. */
const TIMEOUT_MS = 2_000
/** What ends a stream of Arrow. */
const END_OF_STREAM_BYTES = 8
/** Where Parquet writers look for the id of a column. */
const FIELD_ID = 'PARQUET:field_id'
/** Types that the writer keeps as Iceberg wants them. */
const PRIMITIVES: ReadonlySet<string> = new Set([
  ...['boolean', 'int', 'long', 'float', 'double', 'date'],
  ...['timestamp', 'timestamptz', 'string', 'binary'],
])

/**
 * The writer's memory grows by 180 kB for each column, in steps of 64 kB, and never shrinks. Each step is new memory to V8,
 * as much as all there is; beyond 64 MB every one of them is a garbage collection. The first row of a table of 700 columns
 * held a coordinator up for 20 s. With so many columns it stays below that.
 */
export const ENCODED_COLUMNS_MAX = 128

/** Whether rows of a table with these columns can be written here; others are for executors. Pure. */
export const isEncodable = (fields: readonly IcebergField[]): boolean =>
  fields.length <= ENCODED_COLUMNS_MAX &&
  fields.every(
    ({ type }) => typeof type === 'string' && (PRIMITIVES.has(type) || type.startsWith('decimal(')),
  )

/**
 * Makes data files of constant rows in this process: computed by the constant kernel, as a task on an executor would
 * compute them, and written as Parquet from its Arrow batches.
 */
export class AppendEncoder {
  readonly #kernel: ConstantKernel
  #wasm: Promise<typeof import('parquet-wasm/node')> | undefined
  /** By the fields of a table, which stay the same object from commit to commit. */
  readonly #schemas = new WeakMap<readonly IcebergField[], Uint8Array>()

  constructor(kernel: ConstantKernel) {
    this.#kernel = kernel
  }

  /** Fails with the error of a value that does not fit its column. */
  async encode(
    fields: readonly IcebergField[],
    columns: readonly Column[],
    statements: readonly ConstantRowsText[],
  ): Promise<EncodedFile> {
    const names = columns.map(({ name }) => quoteIdentifier(name)).join(', ')
    const parts: Uint8Array[] = []
    for (const [timeZone, rows] of byTimeZone(statements)) {
      const sql = `SELECT * FROM (VALUES ${rows.join(', ')}) AS "source"(${names})`
      const found = await this.#kernel.run(sql, { timeZone, timeoutMs: TIMEOUT_MS, plain: true })
      checkTypes(found, columns)
      if (parts.length === 0) parts.push(await this.#schema(found, fields))
      parts.push(...found.payloads.slice(1).map(({ bytes }) => bytes))
    }
    const content = await this.#parquet(Buffer.concat(parts))
    return { content, facts: writtenFactsOf(content, columns) }
  }

  async #schema(found: ConstantRows, fields: readonly IcebergField[]): Promise<Uint8Array> {
    const known = this.#schemas.get(fields) ?? (await schemaWithIds(found, fields))
    this.#schemas.set(fields, known)
    return known
  }

  async #parquet(stream: Uint8Array): Promise<Uint8Array> {
    this.#wasm ??= import('parquet-wasm/node')
    const wasm = await this.#wasm
    const properties = new wasm.WriterPropertiesBuilder()
      .setCompression(wasm.Compression.ZSTD)
      .setCreatedBy('nyala')
      .build()
    return wasm.writeParquet(wasm.Table.fromIPCStream(stream), properties)
  }
}

/** What a text without a zone means depends on that of its session. */
function byTimeZone(
  statements: readonly ConstantRowsText[],
): ReadonlyMap<string, readonly string[]> {
  const zones = new Map<string, string[]>()
  for (const { rows, timeZone } of statements) {
    const zone = zones.get(timeZone)
    if (zone === undefined) zones.set(timeZone, [...rows])
    else zone.push(...rows)
  }
  return zones
}

function checkTypes(found: ConstantRows, columns: readonly Column[]): void {
  const isSame = columns.every(({ type }, i) => found.columns[i]?.type === type)
  assert(isSame, () => `${JSON.stringify(found.columns)} are not ${JSON.stringify(columns)}`)
}

/** The message of the schema that the batches have, with the ids of the fields. */
async function schemaWithIds(
  found: ConstantRows,
  fields: readonly IcebergField[],
): Promise<Uint8Array> {
  const { Field, Schema, Table, tableFromIPC, tableToIPC } = await import('apache-arrow')
  const { schema } = tableFromIPC(found.payloads.map(({ bytes }) => bytes))
  const marked = schema.fields.map(({ name, type }, i) => {
    return new Field(name, type, true, new Map([[FIELD_ID, String(fields[i]?.id)]]))
  })
  return tableToIPC(new Table(new Schema(marked)), 'stream').subarray(0, -END_OF_STREAM_BYTES)
}
