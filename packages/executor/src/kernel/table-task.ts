import { mkdir, open, realpath, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import duckdb from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { fileError, isWithin } from '../storage/roots.ts'
import { columnsOf, withoutSemicolon } from './columns.ts'
import { checksum, type ExchangeTaskContext } from './exchange-task.ts'
import { quoteText } from './kernel-instance.ts'
import type { KernelOutput, WrittenFile } from './kernel-protocol.ts'
import { keysOf, withKeys } from './partition-keys.ts'
import { readResult } from './read-rows.ts'

/** Zstandard takes a third more time to write than Snappy, and a quarter fewer bytes, which are read many times. */
const FORMAT = ['FORMAT parquet', 'COMPRESSION zstd', 'COMPRESSION_LEVEL 1', 'RETURN_STATS']

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
    onColumns(columnsOf(statement, typeNames).map(({ name, type }) => ({ name, type })))
    throwIfCanceled()
    const rows = readResult(await duckdb.query(connection, copySql(sql, output, staging)))
    for (const [path, count, bytes] of rows) {
      assert(typeof path === 'string', 'COPY returns paths')
      assert(typeof count === 'number' && typeof bytes === 'number', 'COPY returns counts')
      if (count === 0) continue
      throwIfCanceled()
      const { keys } = output
      const values = keys === undefined ? {} : { keys: await keysOf(path, keys, connection) }
      const crc = await checksum(path, bytes)
      await sync(path)
      const name = `${output.name}-${published.length}-${hex(crc)}.parquet`
      await rename(path, join(directory, name))
      const file = { path: join(directory, name), partition: 0, ...values }
      published.push({ ...file, rows: count, bytes, crc })
    }
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

/** The kernel cannot bound the size of files that it divides by keys. */
function copySql(sql: string, output: TableOutput, staging: string): string {
  const rows = withoutSemicolon(sql)
  const { keys = [], fieldIds, schema, fileBytesMax } = output
  const target = quoteText(join(staging, 'files'))
  const options = [...FORMAT, `FIELD_IDS ${fieldIds}`]
  if (schema !== undefined) options.push(`KV_METADATA {'iceberg.schema': ${quoteText(schema)}}`)
  if (keys.length === 0) {
    options.push(`FILE_SIZE_BYTES ${fileBytesMax}`)
    return `COPY (${rows}\n) TO ${target} (${options.join(', ')})`
  }
  const divided = withKeys(rows, keys)
  options.push(`PARTITION_BY (${divided.columns.join(', ')})`)
  return `COPY (${divided.sql}) TO ${target} (${options.join(', ')})`
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
