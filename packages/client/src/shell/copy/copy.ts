import { createReadStream } from 'node:fs'
import { readFile, rename, rm, stat } from 'node:fs/promises'
import { SqlError } from '../../protocol/errors.ts'
import type { Session } from '../../sdk/session.ts'
import { parquetToTable } from '../../sdk/index.ts'
import { sqlId } from '../../sdk/sql-template.ts'
import type { InsertRow } from '../../sdk/insert.ts'
import { csvFormatOf } from '../formats/csv.ts'
import { type Format, FORMATS, writeResult } from '../formats/format.ts'
import { openOutput } from '../output-file.ts'
import { type ShellIo, UsageError } from '../shell-io.ts'
import { type CopyCommand, parseCopy } from './copy-command.ts'
import { type CopyRow, copyRows, type CopySource, refusedRow, RowLines } from './copy-rows.ts'

export interface CopyContext {
  readonly session: Session
  readonly io: ShellIo
  readonly signal: AbortSignal
  readonly statementId?: string | undefined
  readonly onProgress?: (rows: number) => void
}

type CopyFrom = Extract<CopyCommand, { readonly kind: 'from' }>
type CopyTo = Extract<CopyCommand, { readonly kind: 'to' }>

/** Node reads no larger file at once, and Parquet is read from its end. */
const PARQUET_BYTES_MAX = 2 ** 31 - 1

/**
 * `\copy`: rows of a file of this machine into a table, in one commit, or those of a query into a file. Resolves with the
 * number of rows. Fails with a {@link SqlError}; of a bad file it says the line and, of a value, the column.
 */
export async function runCopy(line: string, context: CopyContext): Promise<number> {
  const command = parseCopy(line)
  return command.kind === 'to' ? copyTo(command, context) : copyFrom(command, context)
}

async function copyFrom(command: CopyFrom, context: CopyContext): Promise<number> {
  const { session, signal, statementId } = context
  const { table, columns } = command
  const options = {
    ...{ columns, signal, statementId },
    onProgress: ({ rows }: { readonly rows: number }) => context.onProgress?.(rows),
  }
  if (command.format === 'parquet') {
    const rows = await parquetToTable(await readParquet(command.file))
    return (await session.insert(table, rows, options)).rowCount
  }
  const target = sqlId(...table).text
  const names = columns?.map((name) => sqlId(name).text).join(', ') ?? '*'
  const found = await session.query(`SELECT ${names} FROM ${target} LIMIT 0`, [], { signal })
  const source: CopySource = { format: command.format, csv: command.csv, columns: found.columns }
  const lines = new RowLines()
  async function* rows(): AsyncGenerator<readonly InsertRow[]> {
    for await (const some of rowsOfFile(command.file, source, context)) {
      lines.add(some)
      yield some.map(({ row }) => row)
    }
  }
  try {
    const all = { ...options, rowName: (row: number) => lines.name(row) }
    return (await session.insert(table, rows(), all)).rowCount
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    throw withHeaderHint(await withLine(error, command, source, context), command)
  }
}

async function* rowsOfFile(
  file: string | undefined,
  source: CopySource,
  { io }: CopyContext,
): AsyncGenerator<readonly CopyRow[]> {
  const stream = file === undefined ? io.stdin : createReadStream(file)
  try {
    yield* copyRows(stream, source)
  } catch (error) {
    throw file === undefined ? error : fileError(file, error)
  }
}

/** What the cluster finds wrong with a value is looked for in the file where its row's line is not kept any more. */
async function withLine(
  error: SqlError,
  { file }: CopyFrom,
  source: CopySource,
  context: CopyContext,
): Promise<SqlError> {
  const isRefused = refusedRow(error)
  if (isRefused === undefined || file === undefined) return error
  for await (const rows of rowsOfFile(file, source, context)) {
    const found = rows.find(({ row }) => isRefused(row))
    if (found === undefined) continue
    const { detail, hint, queryId, coordinator } = error
    const options = { ...{ detail, hint, queryId, coordinator }, cause: error }
    const message = error.message.replace(/^row \d+, /, '')
    return new SqlError(error.error, `line ${found.line}, ${message}`, options)
  }
  return error
}

/** A first line of names is what is most often not said. */
function withHeaderHint(error: SqlError, { format, csv }: CopyFrom): SqlError {
  const isFirst = format === 'csv' && csv.header === 'no' && error.message.startsWith('line 1, ')
  if (!isFirst) return error
  const hint = 'say CSV HEADER where the first line has the names of the columns'
  return new SqlError(error.error, error.message, { hint, queryId: error.queryId, cause: error })
}

async function readParquet(file: string | undefined): Promise<Uint8Array> {
  if (file === undefined) {
    throw new SqlError('feature_not_supported', 'Parquet is read from files only')
  }
  try {
    if ((await stat(file)).size <= PARQUET_BYTES_MAX) return await readFile(file)
  } catch (error) {
    throw fileError(file, error)
  }
  throw new SqlError('program_limit_exceeded', `"${file}" is larger than 2 GiB`, {
    hint: 'put it below a root of the cluster: CREATE EXTERNAL TABLE … STORED AS PARQUET, and INSERT … SELECT',
  })
}

function fileError(file: string, error: unknown): unknown {
  if (error instanceof SqlError || !(error instanceof Error) || !('code' in error)) return error
  const name = error.code === 'ENOENT' ? 'undefined_file' : 'io_error'
  return new SqlError(name, `cannot read "${file}": ${error.message}`, {
    hint: 'the file is read by this shell, on this machine',
    cause: error,
  })
}

/** A file is there whole, or as it was before. */
async function copyTo(command: CopyTo, context: CopyContext): Promise<number> {
  const { file } = command
  const isNew = file !== undefined && (await isReplaceable(file))
  const path = isNew ? `${file}.${process.pid}.part` : file
  try {
    const count = await writeTo(path, command, context)
    if (isNew) await rename(path ?? '', file)
    return count
  } catch (error) {
    if (isNew) await rm(path ?? '', { force: true }).catch(() => undefined)
    if (!(error instanceof UsageError)) throw error
    throw new SqlError('io_error', error.message.replace(path ?? '', file ?? ''), { cause: error })
  }
}

/** Pipes and devices are written as they are. */
async function isReplaceable(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined)
  return found === undefined || found.isFile()
}

async function writeTo(
  path: string | undefined,
  command: CopyTo,
  { session, io, signal }: CopyContext,
): Promise<number> {
  const { format, csv } = command
  const target = await openOutput(path, io)
  try {
    if (format === 'parquet') {
      const stream = session.stream(command.sql, [], { signal })
      await target.output.write(await stream.parquet({ compression: 'zstd' }))
      return (await stream.finished).rowCount
    }
    const chosen: Format =
      format === 'csv' ? csvFormatOf({ ...csv, header: csv.header !== 'no' }) : FORMATS[format]
    const stream = session.stream(command.sql, [], { signal, types: chosen.types })
    return (await writeResult(stream, chosen, target.output, { color: false })).rowCount
  } finally {
    await target[Symbol.asyncDispose]()
  }
}
