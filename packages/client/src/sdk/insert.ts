import { SqlError } from '../protocol/errors.ts'
import { type StatementId, statementIdOf } from '../protocol/ids.ts'
import type { Column } from '../protocol/messages.ts'
import { encodeFrame } from '../wire/frames.ts'
import { FRAME_BYTES_TARGET } from '../wire/limits.ts'
import type { Coordinators } from './coordinators.ts'
import { abortError, asSqlError } from './errors.ts'
import type { ArrowPart } from './insert-parts.ts'
import type { Platform } from './platform.ts'
import { sqlId } from './sql-template.ts'

/** A row is an object whose keys are columns; what it does not have is NULL. */
export type InsertRow = Readonly<Record<string, unknown>>
/** An Arrow table or record batch, of whatever copy of the library. */
export interface ArrowRows {
  readonly schema: { readonly fields: readonly { readonly name: string }[] }
  readonly numRows: number
}
type InsertItem = InsertRow | readonly InsertRow[] | ArrowRows
export type InsertSource = ArrowRows | Iterable<InsertItem> | AsyncIterable<InsertItem>

export interface InsertProgress {
  /** On disk in the cluster, not committed yet. */
  readonly rows: number
  readonly bytes: number
}

export interface InsertOptions {
  /** The columns that objects are read for; default: all of the table. Arrow brings its own. */
  readonly columns?: readonly string[] | undefined
  /** Rows of a part; default 65,536. */
  readonly batchRows?: number | undefined
  /** What errors call a row, by its number from 1; default `row 7`. */
  readonly rowName?: ((row: number) => string) | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: InsertProgress) => void) | undefined
  /** As for any statement; the rows must be the same, in the same parts. */
  readonly statementId?: string | undefined
}

/** Parts on their way at once: one is made while another is sent. */
const PARTS_IN_FLIGHT = 2
/** Times that a part is sent; a cluster that loses it each time has another trouble. */
const SENDS_MAX = 6
const BATCH_ROWS = 65_536

interface Request {
  readonly table: string | readonly string[]
  readonly source: InsertSource
  readonly options: InsertOptions
}

interface Context {
  readonly coordinators: Coordinators
  readonly platform: Platform
}

/** What the session does for an insert. */
interface Statements<Result> {
  columns(sql: string): Promise<readonly Column[]>
  execute(id: StatementId, sql: string): Promise<Result>
}

/**
 * Sends rows as Parquet files to the cluster's shared directory, through any coordinators, and then one INSERT that reads
 * them, which is done once by its id. Until then nothing of it is in the table.
 */
export async function insertRows<Result>(
  { table, source, options }: Request,
  context: Context,
  statements: Statements<Result>,
): Promise<Result> {
  const path = typeof table === 'string' ? table.split('.') : table
  const target = sqlId(...path).text
  const columns = await wantedColumns(target, options, statements)
  const id = statementIdOf(options.statementId)
  const upload = new Upload(id, context, options)
  // How rows become Arrow is loaded by browsers that insert only.
  const { partsOf } = await import('./insert-parts.ts')
  try {
    const { batchRows = BATCH_ROWS, rowName = (row: number): string => `row ${row}` } = options
    let names: readonly string[] | undefined
    for await (const part of partsOf(source, columns, { batchRows, rowName })) {
      names ??= part.columns
      if (names.join('\u0000') !== part.columns.join('\u0000')) throw otherColumns(names, part)
      await upload.send(part)
    }
    const paths = await upload.finish()
    const list = (names ?? columns.map(({ name }) => name)).map((name) => sqlId(name).text)
    const files = paths.map((file) => `'${file.replaceAll(`'`, `''`)}'`).join(', ')
    const rows =
      paths.length === 0
        ? `SELECT ${list.join(', ')} FROM ${target} LIMIT 0`
        : `SELECT * FROM read_parquet([${files}])`
    return await statements
      .execute(id, `INSERT INTO ${target} (${list.join(', ')}) ${rows}`)
      .catch((error: unknown) => {
        throw ofRows(error, rowName)
      })
  } finally {
    await upload.end()
  }
}

/** The error of the INSERT as one of the rows: places in its text are none of the user's, who has a name for a row. */
function ofRows(error: unknown, rowName: (row: number) => string): unknown {
  if (!(error instanceof SqlError)) return error
  const [place, row] = /^row (\d+), /.exec(error.message) ?? []
  if (place === undefined && error.position === undefined) return error
  const rest = error.message.slice(place?.length ?? 0)
  const message = row === undefined ? rest : `${rowName(Number(row))}, ${rest}`
  const { detail, hint, queryId, coordinator } = error
  const told = new SqlError(error.error, message, {
    detail,
    hint,
    queryId,
    coordinator,
    cause: error,
  })
  told.statementId = error.statementId
  return told
}

async function wantedColumns(
  target: string,
  options: InsertOptions,
  statements: Pick<Statements<unknown>, 'columns'>,
): Promise<readonly Column[]> {
  const names = options.columns?.map((name) => sqlId(name).text).join(', ') ?? '*'
  return statements.columns(`SELECT ${names} FROM ${target} LIMIT 0`)
}

const otherColumns = (names: readonly string[], part: ArrowPart): SqlError =>
  new SqlError(
    'datatype_mismatch',
    `batches have different columns: ${names.join(', ')}, and ${part.columns.join(', ')}`,
    { hint: 'insert them one after the other, or in one transaction' },
  )

/** The parts of one insert on their way. */
class Upload {
  readonly #id: StatementId
  readonly #context: Context
  readonly #options: InsertOptions
  readonly #paths: string[] = []
  readonly #sending = new Set<Promise<void>>()
  #parts = 0
  #rows = 0
  #bytes = 0
  #failure: unknown

  constructor(id: StatementId, context: Context, options: InsertOptions) {
    this.#id = id
    this.#context = context
    this.#options = options
  }

  /** Resolves when there is room for the next part. */
  async send(part: ArrowPart): Promise<void> {
    this.#check()
    const codec = await this.#context.platform.loadParquet()
    const file = codec.fromIpc(part.stream, { compression: 'zstd' })
    const number = this.#parts++
    const sending = this.#sendPart(number, file).then(
      (path) => {
        this.#paths[number] = path
        this.#rows += part.rows
        this.#bytes += file.byteLength
        this.#options.onProgress?.({ rows: this.#rows, bytes: this.#bytes })
      },
      (error: unknown) => {
        this.#failure ??= error
      },
    )
    const tracked = sending.finally(() => this.#sending.delete(tracked))
    this.#sending.add(tracked)
    if (this.#sending.size >= PARTS_IN_FLIGHT) await Promise.race(this.#sending)
  }

  /** The files, in the order of the rows. */
  async finish(): Promise<readonly string[]> {
    await Promise.all(this.#sending)
    this.#check()
    return this.#paths
  }

  /** Has the files removed. Never rejects: what is left goes when it is old. */
  async end(): Promise<void> {
    await Promise.all(this.#sending)
    if (this.#parts === 0) return
    try {
      const link = await this.#context.coordinators.acquire()
      await link.request({ kind: 'uploadEnded', upload: this.#id })
    } catch {
      // The coordinators remove what is old.
    }
  }

  #check(): void {
    const { signal } = this.#options
    if (signal?.aborted === true) throw abortError(signal)
    if (this.#failure !== undefined) throw this.#failure as Error
  }

  /** To another coordinator where one is lost: all write to the same directory. */
  async #sendPart(part: number, file: Uint8Array): Promise<string> {
    const { coordinators, platform } = this.#context
    const { signal } = this.#options
    for (let sends = 1; ; sends++) {
      try {
        const link = await coordinators.acquire({ signal })
        const body = await link.request(
          { kind: 'upload', upload: this.#id, part, bytes: file.byteLength },
          signal,
          (call) => framesOf(call, file, platform),
        )
        return (body as { readonly path: string }).path
      } catch (error) {
        const failure = asSqlError(error)
        if (signal?.aborted === true) throw abortError(signal)
        const isLost = failure.code.startsWith('08')
        if (!isLost || sends === SENDS_MAX) throw failure
        await coordinators.backoff(sends)
      }
    }
  }
}

function* framesOf(call: number, file: Uint8Array, platform: Platform): Iterable<Uint8Array> {
  for (let at = 0, sequence = 0; at < file.byteLength; at += FRAME_BYTES_TARGET, sequence++) {
    const payload = file.subarray(at, at + FRAME_BYTES_TARGET)
    const last = at + payload.byteLength === file.byteLength
    const crc = platform.crc32(payload)
    yield encodeFrame({ kind: 'segment', last, call, sequence, crc, payload })
  }
}
