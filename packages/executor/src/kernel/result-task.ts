import duckdb, {
  type Connection,
  type DataChunk,
  type PreparedStatement,
  type Result,
} from '@duckdb/node-bindings'
import { assert, type Clock } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { FRAME_BYTES_TARGET, MESSAGE_BYTES_MAX } from '@nyala/client/wire'
import { ArrowEncoder } from './arrow-encoder.ts'
import { castColumns, columnsOf, type StatementColumn, wireFieldsOf } from './columns.ts'
import { FRAME_HEAD_BYTES, type FrameWriter } from './frame-writer.ts'
import { toSqlError } from './kernel-errors.ts'
import type { TypeNames } from './sql-type-name.ts'
import type { VectorView } from './vector-view.ts'

/** The first batch is sent with the first chunk; then batches grow, so that first rows come early and later ones cheap. */
const FIRST_BATCH_BYTES = 1
const BATCH_GROWTH = 8
const SECOND_BATCH_BYTES = 64 * 1024
/** What a reader unpacks at once, however well it packs. */
const PLAIN_BATCH_BYTES_MAX = 4 * FRAME_BYTES_TARGET
/** A batch is split before it passes this, so that wide rows do not make messages that nobody can take. */
const BATCH_BYTES_MAX = 8 * FRAME_BYTES_TARGET
/** Room for headers and metadata in a message. */
const ROW_BYTES_MAX = MESSAGE_BYTES_MAX - 1024 * 1024
/** Vectors that the collector has not freed yet hold the kernel's memory, which it does not see. */
const COLLECT_EVERY_CHUNKS = 16
/** How long a broken statement may run again to learn why it broke, at the least. */
const REASON_TIMEOUT_MIN_MS = 10_000

const { ResultType, StatementType } = duckdb

export interface ResultTaskContext {
  readonly connection: Connection
  /** So few rows that the result may be held whole: saves two turns of the pool, and errors come with their reason. */
  readonly small: boolean
  /** More rows fail the task. */
  readonly rowsLimit: number
  readonly typeNames: TypeNames
  readonly frames: FrameWriter
  readonly clock: Clock
  readonly onColumns: (columns: readonly Column[]) => void
  /** Throws when the task was cancelled. */
  readonly throwIfCanceled: () => void
}

/**
 * Streams the rows of one statement as Arrow frames.
 *
 * ```
 *   prepare ──► columns, schema frame ──► fetch a chunk ◄──► append, flush where large enough
 *                                             │ no more chunks
 *                                 result type known? ──no──► run again for the reason ──► throw
 *                                             │ yes
 *                                         last batch
 * ```
 *
 * A stream that fails or is interrupted just ends, without an exception. What tells the two ends apart is the type of
 * the result, which the binding reports as INVALID once the kernel has put an error into it.
 */
export class ResultTask {
  readonly #context: ResultTaskContext
  readonly #sql: string
  /** The chunk whose memory is being read, also across waits: the views do not hold it. */
  readonly #held: { chunk: DataChunk | undefined } = { chunk: undefined }
  #encoder: ArrowEncoder | undefined
  #flushBytes = FIRST_BATCH_BYTES
  #fetching = false
  rows = 0

  constructor(sql: string, context: ResultTaskContext) {
    this.#sql = sql
    this.#context = context
  }

  async run(): Promise<void> {
    const startedAt = this.#context.clock.now()
    const statement = await this.#prepare()
    await this.#sendSchema()
    await (this.#context.small ? this.#runWhole(statement) : this.#runStream(statement, startedAt))
    this.#context.frames.end()
  }

  async #runStream(statement: PreparedStatement, startedAt: number): Promise<void> {
    const result = await duckdb.execute_prepared_streaming(statement)
    await this.#drain(result)
    if (duckdb.result_return_type(result) === ResultType.INVALID) {
      throw await this.#reason(this.#context.clock.now() - startedAt)
    }
    await this.#flush()
  }

  async #runWhole(statement: PreparedStatement): Promise<void> {
    const result = await duckdb.execute_prepared(statement)
    const chunks = duckdb.result_chunk_count(result)
    for (let i = 0; i < chunks; i++) {
      this.#context.throwIfCanceled()
      const chunk = duckdb.result_get_chunk(result, i)
      await this.#append(chunk, duckdb.data_chunk_get_size(chunk))
    }
    await this.#flush()
  }

  /** Sends what has been waiting while the kernel looks for more; called from time to time. */
  flushIfIdle(): void {
    const { frames } = this.#context
    if (this.#fetching && frames.hasCredit && !frames.isComparing) this.#sendBatch()
  }

  async #prepare(): Promise<PreparedStatement> {
    const { connection, typeNames, onColumns, throwIfCanceled } = this.#context
    throwIfCanceled()
    const statement = await duckdb.prepare(connection, this.#sql)
    checkReadOnly(statement)
    const columns = columnsOf(statement, typeNames)
    onColumns(columns.map(({ name, type }) => ({ name, type })))
    const fields = wireFieldsOf(columns)
    if (fields !== undefined) {
      this.#encoder = new ArrowEncoder(fields)
      return statement
    }
    throwIfCanceled()
    return await this.#prepareCast(columns)
  }

  async #prepareCast(columns: readonly StatementColumn[]): Promise<PreparedStatement> {
    const { connection, typeNames } = this.#context
    const sql = castColumns(this.#sql, columns, ({ logical }) => {
      const type = typeNames.castTypeOf(logical)
      return type === typeNames.nameOf(logical) ? undefined : type
    })
    const statement = await duckdb.prepare(connection, sql)
    const fields = wireFieldsOf(columnsOf(statement, typeNames))
    assert(fields !== undefined, () => `columns cannot be sent: ${sql}`)
    this.#encoder = new ArrowEncoder(fields)
    return statement
  }

  async #sendSchema(): Promise<void> {
    const { frames } = this.#context
    const { schema } = this.#encoder as ArrowEncoder
    await frames.credit()
    const packet = frames.allocate(FRAME_HEAD_BYTES + schema.byteLength)
    packet.set(schema, FRAME_HEAD_BYTES)
    frames.send('arrow', packet)
  }

  /** Fetches to the end; the next chunk is made while the last one is encoded. */
  async #drain(result: Result): Promise<void> {
    let next: Promise<DataChunk | null> | undefined = duckdb.fetch_chunk(result)
    let chunks = 0
    try {
      for (;;) {
        this.#fetching = true
        const chunk: DataChunk | null = await next
        this.#fetching = false
        next = undefined
        const rows = chunk === null ? 0 : duckdb.data_chunk_get_size(chunk)
        this.#context.throwIfCanceled()
        if (chunk === null || rows === 0) return
        next = duckdb.fetch_chunk(result)
        await this.#append(chunk, rows)
        if (++chunks % COLLECT_EVERY_CHUNKS === 0) globalThis.gc?.({ type: 'minor' })
      }
    } finally {
      this.#fetching = false
      this.#held.chunk = undefined
      // The connection must be idle before it is used again or closed.
      if (next !== undefined) {
        duckdb.interrupt(this.#context.connection)
        await next
      }
    }
  }

  async #append(chunk: DataChunk, rows: number): Promise<void> {
    const encoder = this.#encoder as ArrowEncoder
    this.#held.chunk = chunk
    const views = encoder.open(chunk, rows)
    if (encoder.batchBytes + encoder.measure(views, 0, rows) > BATCH_BYTES_MAX) {
      await this.#appendInParts(views, rows)
    } else {
      encoder.append(views, 0, rows)
    }
    this.#held.chunk = undefined
    this.rows += rows
    const { rowsLimit } = this.#context
    if (this.rows > rowsLimit) throw tooManyRows(rowsLimit)
    if (this.#isFull(encoder)) await this.#flush()
  }

  /** Frames that are made again end where they did before, also where that was because the kernel was slow. */
  #isFull(encoder: ArrowEncoder): boolean {
    const { rowsDue } = this.#context.frames
    return rowsDue === undefined ? encoder.batchBytes >= this.#flushBytes : encoder.rows >= rowsDue
  }

  /** Appends as many rows at a time as make a batch of the usual size, and never less than one. */
  async #appendInParts(views: readonly VectorView[], rows: number): Promise<void> {
    const encoder = this.#encoder as ArrowEncoder
    let from = 0
    while (from < rows) {
      let count = rows - from
      while (count > 1 && encoder.measure(views, from, count) > FRAME_BYTES_TARGET) {
        count = (count + 1) >> 1
      }
      const bytes = encoder.measure(views, from, count)
      if (bytes > ROW_BYTES_MAX) throw rowTooLarge(bytes)
      if (encoder.rows > 0 && encoder.batchBytes + bytes > BATCH_BYTES_MAX) await this.#flush()
      encoder.append(views, from, count)
      if (encoder.batchBytes >= FRAME_BYTES_TARGET) await this.#flush()
      from += count
    }
  }

  async #flush(): Promise<void> {
    if ((this.#encoder as ArrowEncoder).rows === 0) return
    await this.#context.frames.credit()
    this.#sendBatch()
  }

  #sendBatch(): void {
    const encoder = this.#encoder as ArrowEncoder
    if (encoder.rows === 0) return
    const { frames } = this.#context
    const plainBytes = encoder.batchBytes
    const batch = encoder.finishBatch(FRAME_HEAD_BYTES, (bytes) => frames.allocate(bytes))
    frames.send(batch.kind, batch.bytes)
    const next = Math.max(SECOND_BATCH_BYTES, this.#flushBytes * BATCH_GROWTH)
    // So many plain bytes as will make a frame of the usual size, if they pack as well as the last ones.
    const target = FRAME_BYTES_TARGET * (plainBytes / batch.bytes.byteLength)
    this.#flushBytes = Math.min(Math.max(FRAME_BYTES_TARGET, target), PLAIN_BATCH_BYTES_MAX, next)
  }

  /**
   * The binding does not hand out the error of a stream, so the statement runs again, its rows thrown away, until it
   * fails in a call that rejects. Where it then succeeds the fault was a passing one and the query can be retried.
   */
  async #reason(elapsedMs: number): Promise<SqlError> {
    const { connection, clock, throwIfCanceled } = this.#context
    throwIfCanceled()
    const limitMs = Math.max(REASON_TIMEOUT_MIN_MS, 2 * elapsedMs)
    let late = false
    const stop = clock.after(limitMs, () => {
      late = true
      duckdb.interrupt(connection)
    })
    try {
      await duckdb.query(connection, `EXPLAIN ANALYZE ${this.#sql}`)
    } catch (error) {
      throwIfCanceled()
      if (!late) return toSqlError(error)
    } finally {
      stop()
    }
    return new SqlError('io_error', `the result broke off after ${this.rows} rows`, {
      detail: late
        ? `running the statement again for the reason took more than ${Math.round(limitMs)} ms`
        : 'running the statement again for the reason succeeded',
      hint: 'send the statement again',
    })
  }
}

function checkReadOnly(statement: PreparedStatement): void {
  const type = duckdb.prepared_statement_type(statement)
  // EXPLAIN ANALYZE would run whatever stands behind it.
  if (type === StatementType.SELECT) return
  throw new SqlError('insufficient_privilege', 'a task may only read', {
    detail: `statement type ${StatementType[type]}`,
  })
}

const tooManyRows = (limit: number): SqlError =>
  new SqlError('configuration_limit_exceeded', `the result has more than ${limit} rows`, {
    hint: 'add LIMIT, or raise the setting max_rows',
  })

const rowTooLarge = (bytes: number): SqlError =>
  new SqlError(
    'program_limit_exceeded',
    `a row of about ${bytes} bytes exceeds the limit of ${ROW_BYTES_MAX} bytes`,
    { hint: 'select fewer columns, or a part of the long value' },
  )
