import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import duckdb, { type Connection, type Result } from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { castColumns, columnsOf, withoutSemicolon } from './columns.ts'
import { toSqlError } from './kernel-errors.ts'
import { quoteName, quoteText } from './kernel-instance.ts'
import type { KernelOutput, WrittenFile } from './kernel-protocol.ts'
import { type Cell, readResult } from './read-rows.ts'
import type { TypeNames } from './sql-type-name.ts'

/** Names the output partition while the kernel splits the rows; it is not written into the files. */
const PARTITION_COLUMN = '__nyala_partition'
/**
 * The cheapest to write and read together of what was measured. Version 2 packs numbers by their differences, which
 * needs no compression to be small; dictionaries pay for few values only, and trying them costs.
 */
const FORMAT = [
  'FORMAT parquet',
  'PARQUET_VERSION v2',
  'COMPRESSION uncompressed',
  'DICTIONARY_SIZE_LIMIT 256',
]
/** Files are read back in pieces of this size for their checksum. */
const CHECKSUM_BYTES = 1024 * 1024

const { StatementType } = duckdb

export interface ExchangeTaskContext {
  readonly connection: Connection
  readonly typeNames: TypeNames
  readonly onColumns: (columns: readonly Column[]) => void
  readonly throwIfCanceled: () => void
}

type ExchangeOutput = Extract<KernelOutput, { kind: 'exchange' }>

/**
 * Writes the rows of one statement to Parquet files, one or more for each output partition, in a directory of the
 * attempt alone. A failed COPY may leave files that look whole, so only those that it returns are published.
 */
export async function runExchangeTask(
  sql: string,
  output: ExchangeOutput,
  context: ExchangeTaskContext,
): Promise<readonly WrittenFile[]> {
  const { connection, throwIfCanceled } = context
  assert(output.partitions > 0, 'an exchange has at least one partition')
  await mkdir(output.directory, { recursive: true })
  throwIfCanceled()
  const columns = await writtenColumns(sql, output, context)
  throwIfCanceled()
  const target = join(output.directory, output.partitions === 1 ? 'all.parquet' : 'parts')
  const source =
    output.partitions === 1 ? wholeSql(sql, columns) : partitionedSql(sql, columns, output)
  const options = [...FORMAT, 'RETURN_STATS']
  if (output.partitions > 1) options.push(`PARTITION_BY (${PARTITION_COLUMN})`)
  const copy = `COPY (${source}\n) TO ${quoteText(target)} (${options.join(', ')})`
  const rows = readResult(await written(connection, copy, output.directory))
  return await publish(rows, output, throwIfCanceled)
}

/** A column and the type to write it with; none where that is its own. */
interface WrittenColumn {
  readonly name: string
  readonly writtenAs: string | undefined
}

/**
 * The columns as they are written. Of a statement whose columns are known only that it is one statement is looked at:
 * planning it takes milliseconds, and COPY does it again. It is written with just the types that were said, as they are
 * what readers go by; a COPY takes nothing but a query.
 */
async function writtenColumns(
  sql: string,
  output: ExchangeOutput,
  { connection, typeNames, onColumns }: ExchangeTaskContext,
): Promise<readonly WrittenColumn[]> {
  if (output.columns !== undefined) {
    const { extracted_statements, statement_count } = await duckdb.extract_statements(
      connection,
      sql,
    )
    if (statement_count === 0)
      throw new Error(duckdb.extract_statements_error(extracted_statements))
    if (statement_count !== 1) throw mayOnlyRead()
    return output.columns.map(({ name, type }) => ({
      name,
      writtenAs: segmentTypeOf(type) ?? type,
    }))
  }
  const statement = await duckdb.prepare(connection, sql)
  if (duckdb.prepared_statement_type(statement) !== StatementType.SELECT) throw mayOnlyRead()
  const columns = columnsOf(statement, typeNames).map(({ name, type }) => ({ name, type }))
  onColumns(columns)
  return columns.map(({ name, type }) => ({ name, writtenAs: segmentTypeOf(type) }))
}

const mayOnlyRead = (): SqlError => new SqlError('insufficient_privilege', 'a task may only read')

/** Where files cannot be written, that is the fault of this machine and not of a file that the statement names. */
async function written(connection: Connection, copy: string, directory: string): Promise<Result> {
  try {
    return await duckdb.query(connection, copy)
  } catch (error) {
    const known = toSqlError(error)
    if (known.error !== 'undefined_file' || !known.message.includes(directory)) throw error
    throw new SqlError('io_error', known.message, { cause: error })
  }
}

const wholeSql = (sql: string, columns: readonly WrittenColumn[]): string =>
  columns.some((column) => column.writtenAs !== undefined)
    ? castColumns(sql, columns, (column) => column.writtenAs)
    : withoutSemicolon(sql)

/** The keys are expressions over the statement's own columns, before any cast. */
function partitionedSql(
  sql: string,
  columns: readonly WrittenColumn[],
  output: ExchangeOutput,
): string {
  assert(output.keys.length > 0, 'a partitioned exchange has keys')
  const items = columns.map((column) => {
    const name = quoteName(column.name)
    const type = column.writtenAs
    return type === undefined ? name : `CAST(${name} AS ${type}) AS ${name}`
  })
  const bucket = `(hash(${output.keys.join(', ')}) % ${output.partitions})::INTEGER`
  return `SELECT ${items.join(', ')}, ${bucket} AS ${PARTITION_COLUMN} FROM (${withoutSemicolon(sql)}\n) AS t`
}

/**
 * The type to write where Parquet would not give the value back. HUGEINT would come back as a DOUBLE, and DECIMAL(38,0)
 * does not hold all of it; as text it is written as fast, and read seven times as fast.
 */
function segmentTypeOf(type: string): string | undefined {
  const isUnlike = /^(U?HUGEINT|TIME WITH TIME ZONE|TIMETZ|BIT|BIGNUM)$|^UNION\(/i.test(type)
  return isUnlike ? 'VARCHAR' : undefined
}

/** Renames the files to one level: a path with `key=value` in it would gain a column when it is read. */
async function publish(
  rows: readonly (readonly Cell[])[],
  output: ExchangeOutput,
  throwIfCanceled: () => void,
): Promise<readonly WrittenFile[]> {
  const buffer = Buffer.allocUnsafeSlow(CHECKSUM_BYTES)
  const files: WrittenFile[] = []
  for (const [path, count, bytes] of rows) {
    assert(typeof path === 'string', 'COPY returns paths')
    assert(typeof count === 'number' && typeof bytes === 'number', 'COPY returns counts')
    if (count === 0) continue
    const partition = output.partitions === 1 ? 0 : partitionOf(path)
    const published = join(output.directory, `${files.length}-p${partition}.parquet`)
    await rename(path, published)
    throwIfCanceled()
    const crc = await checksum(published, bytes, buffer)
    files.push({ path: published, partition, rows: count, bytes, crc })
  }
  return files
}

/** CRC-32 of a file of `bytes`, which is still in the memory of the system. */
export async function checksum(
  path: string,
  bytes: number,
  buffer: Buffer = Buffer.allocUnsafeSlow(CHECKSUM_BYTES),
): Promise<number> {
  const file = await open(path, 'r')
  try {
    let crc = 0
    for (let at = 0; ;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, at)
      if (bytesRead === 0) {
        assert(at === bytes, () => `${path} has ${at} bytes, COPY said ${bytes}`)
        return crc
      }
      crc = crc32(buffer.subarray(0, bytesRead), crc)
      at += bytesRead
    }
  } finally {
    await file.close()
  }
}

function partitionOf(path: string): number {
  const found = new RegExp(`/${PARTITION_COLUMN}=(\\d+)/[^/]+$`).exec(path)
  assert(found !== null, () => `no partition in the path ${path}`)
  return Number(found[1])
}
