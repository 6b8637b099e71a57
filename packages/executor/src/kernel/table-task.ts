import { mkdir, open, realpath, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import duckdb, { type Connection } from '@duckdb/node-bindings'
import { assert, failpoint } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { fileError, isWithin } from '../storage/roots.ts'
import { columnsOf, withoutSemicolon } from './columns.ts'
import { checksum, type ExchangeTaskContext } from './exchange-task.ts'
import { toColumnError } from './kernel-errors.ts'
import { quoteText } from './kernel-instance.ts'
import type { KernelOutput, WrittenFile } from './kernel-protocol.ts'
import { keysOf, withKeys } from './partition-keys.ts'
import { readResult } from './read-rows.ts'

/** Zstandard takes a third more time to write than Snappy, and a quarter fewer bytes, which are read many times. */
const FORMAT = ['FORMAT parquet', 'COMPRESSION zstd', 'COMPRESSION_LEVEL 1', 'RETURN_STATS']

/** A file that is not more than so many times as large as it should be is left as it is. */
const OVERSIZE = 2

const { StatementType } = duckdb

type TableOutput = Extract<KernelOutput, { kind: 'table' }>

export interface TableTaskContext extends ExchangeTaskContext {
  /** Real paths, one of which the directory of the table must lie in. */
  readonly directories: readonly string[]
}

/**
 * Writes the rows of one statement to data files of a table. They grow in a directory of the attempt alone, and get
 * their names in the table's when they are whole and on disk; a task that fails takes them away again. Names end in the
 * checksum of the file, so that whoever reads it later needs no other record of that.
 */
export async function runTableTask(
  sql: string,
  output: TableOutput,
  context: TableTaskContext,
): Promise<readonly WrittenFile[]> {
  const { connection, typeNames, onColumns, throwIfCanceled } = context
  const directory = await existingDirectory(output.directory, context.directories)
  assert(/^[0-9A-Za-z_-]+$/.test(output.name), () => `${output.name} is no part of a file's name`)
  const staging = join(directory, `.${output.name}`)
  const published: WrittenFile[] = []
  try {
    await mkdir(staging)
    throwIfCanceled()
    const statement = await duckdb.prepare(connection, sql)
    if (duckdb.prepared_statement_type(statement) !== StatementType.SELECT) {
      throw new SqlError('insufficient_privilege', 'a task may only read')
    }
    const columns = columnsOf(statement, typeNames).map(({ name, type }) => ({ name, type }))
    onColumns(columns)
    throwIfCanceled()
    failpoint('stage.writing')
    const place = { staging, connection, columns }
    for await (const { path, rows, bytes, keys } of writeFiles(sql, output, place)) {
      throwIfCanceled()
      const crc = await checksum(path, bytes)
      failpoint('stage.syncing')
      await sync(path)
      failpoint('stage.renaming')
      const name = `${output.name}-${published.length}-${hex(crc)}.parquet`
      await rename(path, join(directory, name))
      // As the table's own paths begin, also where a link is on the way: whoever compares them looks for that.
      const file = { path: join(output.directory, name), partition: 0, rows, bytes, crc }
      published.push(keys === undefined ? file : { ...file, keys })
    }
    failpoint('stage.named')
    // The names must be on disk, too, before anybody is told of them.
    if (published.length > 0) await sync(directory)
    throwIfCanceled()
    return published
  } catch (error) {
    for (const { path } of published) await rm(path, { force: true }).catch(() => undefined)
    throw error
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined)
  }
}

interface CopiedFile {
  readonly path: string
  readonly rows: number
  readonly bytes: number
  readonly keys?: readonly (string | null)[]
}

interface CopyPlace {
  readonly connection: Connection
  /** Of the statement's rows. */
  readonly columns: readonly Column[]
  /** A directory of the attempt alone. */
  readonly staging: string
}

/**
 * Writes the rows to files. Those that the kernel divides by keys are in no order and of any size, so they are written once
 * more where they are to be in one, or are much too large.
 */
async function* writeFiles(
  sql: string,
  output: TableOutput,
  { staging, connection, columns }: CopyPlace,
): AsyncGenerator<CopiedFile> {
  const { keys = [], orderBy = [], fileBytesMax } = output
  const rows = withoutSemicolon(sql)
  const target = join(staging, 'files')
  if (keys.length === 0) {
    yield* copied(connection, wholeSql(rows, output, target), columns)
    return
  }
  const divided = withKeys(rows, keys)
  const options = [...optionsOf(output), `PARTITION_BY (${divided.columns.join(', ')})`]
  const copy = `COPY (${divided.sql}) TO ${quoteText(target)} (${options.join(', ')})`
  let again = 0
  for await (const file of copied(connection, copy, columns)) {
    const values = { keys: await keysOf(file.path, keys, connection) }
    if (orderBy.length === 0 && file.bytes <= fileBytesMax * OVERSIZE) yield { ...file, ...values }
    else {
      const source = `SELECT * FROM read_parquet(${quoteText(file.path)}, hive_partitioning = false)`
      const place = join(staging, `again-${again++}`)
      for await (const part of copied(connection, wholeSql(source, output, place), columns))
        yield { ...part, ...values }
      await rm(file.path)
    }
  }
}

/** Rows in one file in their order, or in files of the size that is wanted: the kernel does not do both. */
function wholeSql(rows: string, output: TableOutput, target: string): string {
  const { orderBy = [], fileBytesMax } = output
  const options = optionsOf(output)
  if (orderBy.length === 0) {
    options.push(`FILE_SIZE_BYTES ${fileBytesMax}`)
    return `COPY (${rows}\n) TO ${quoteText(target)} (${options.join(', ')})`
  }
  const sorted = `SELECT * FROM (${rows}\n) ORDER BY ${orderBy.join(', ')}`
  return `COPY (${sorted}) TO ${quoteText(`${target}.parquet`)} (${options.join(', ')})`
}

function optionsOf({ fieldIds, schema }: TableOutput): string[] {
  const options = [...FORMAT, `FIELD_IDS ${fieldIds}`]
  if (schema !== undefined) options.push(`KV_METADATA {'iceberg.schema': ${quoteText(schema)}}`)
  return options
}

async function* copied(
  connection: Connection,
  copy: string,
  columns: readonly Column[],
): AsyncGenerator<CopiedFile> {
  const result = await duckdb.query(connection, copy).catch((error: unknown) => {
    throw toColumnError(error, copy, columns)
  })
  for (const [path, rows, bytes] of readResult(result)) {
    assert(typeof path === 'string', 'COPY returns paths')
    assert(typeof rows === 'number' && typeof bytes === 'number', 'COPY returns counts')
    if (rows > 0) yield { path, rows, bytes }
  }
}

const hex = (crc: number): string => crc.toString(16).padStart(8, '0')

async function existingDirectory(path: string, roots: readonly string[]): Promise<string> {
  let real: string
  try {
    real = await realpath(path)
  } catch (cause) {
    throw fileError(path, cause)
  }
  if (roots.some((root) => isWithin(real, root))) return real
  throw new SqlError('insufficient_privilege', `directory "${path}" lies outside the roots`, {
    hint: 'start the executors with a --root that the table lies in',
  })
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
