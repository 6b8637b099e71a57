import type { RecordBatch, Table } from 'apache-arrow'
import type { Clock } from '../base/clock.ts'
import { SqlError } from '../protocol/errors.ts'
import type { Column, ProgressMessage, QueryStatistics } from '../protocol/messages.ts'
import type { Converters } from './arrow/converters.ts'
import { BatchDecoder, type ColumnBatch, type Row, rowMaker } from './batch-decoder.ts'
import { CanceledError } from './errors.ts'
import { type HeldFrame, messageOf } from './frame-buffer.ts'
import type { LatestValue } from './latest-value.ts'
import type { ParquetCodec, ParquetWriteOptions } from './parquet.ts'
import type { StatementRun } from './statement-run.ts'

/** How far a statement is. */
export interface Progress extends Omit<ProgressMessage, 'kind' | 'call'> {
  readonly rowsPerSecond: number
  readonly bytesPerSecond: number
}

/** How a statement ended. */
export interface Outcome {
  /** Command tag, for example `SELECT` or `CREATE TABLE`. */
  readonly command: string
  /** Rows of the result; for a statement without one, the rows that it changed. */
  readonly rowCount: number
  readonly notices: readonly string[]
  readonly stats: QueryStatistics
  readonly queryId: string
}

export interface StreamContext {
  readonly clock: Clock
  readonly converters: Converters
  readonly profile: (queryId: string) => Promise<unknown>
  readonly loadParquet: () => Promise<ParquetCodec>
}

/**
 * A reader that never waits for anything else keeps the event loop to itself while frames are at hand, and pings with it:
 * coordinators would take this process for dead.
 */
const TURN_MS = 25

/** The end of an Arrow IPC stream. */
const END_OF_STREAM = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)

/**
 * A running statement and its result, which can be read once, in one of the forms: rows (`for await`), Arrow batches,
 * a table, IPC bytes or Parquet. Reading is what gives credit to the coordinator, so an unread result waits there.
 * Leaving a loop early cancels the statement.
 */
export class QueryStream<R = Row> implements AsyncIterable<R>, AsyncDisposable {
  readonly #run: StatementRun
  readonly #context: StreamContext
  readonly #progress: LatestValue<Progress>
  #reader: string | undefined

  constructor(run: StatementRun, progress: LatestValue<Progress>, context: StreamContext) {
    this.#run = run
    this.#progress = progress
    this.#context = context
  }

  /** Id of the query, once a coordinator has accepted it. */
  get id(): string | undefined {
    return this.#run.queryId
  }

  /** Id of the coordinator that serves the query now. */
  get coordinator(): string | undefined {
    return this.#run.coordinator
  }

  /** Names and SQL types of the result; empty for a statement that has none. */
  get columns(): Promise<readonly Column[]> {
    return this.#run.columns
  }

  /** Resolves when the whole result is here and proved complete, which takes that it is being read. */
  get finished(): Promise<Outcome> {
    return this.#run.finished.then((message) => ({
      command: message.command,
      rowCount: message.rows,
      notices: message.notices,
      stats: message.statistics,
      queryId: message.queryId,
    }))
  }

  /** Row objects, decoded a batch at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    let make: ((batch: ColumnBatch, row: number) => Row) | undefined
    for await (const batch of this.#columnBatches('rows')) {
      make ??= rowMaker(await this.columns)
      for (let row = 0; row < batch.length; row++) yield make(batch, row) as R
    }
  }

  /** Decoded columns of each batch: for consumers that want values but no objects. */
  columnBatches(): AsyncGenerator<ColumnBatch, void, undefined> {
    return this.#columnBatches('columnBatches()')
  }

  /** Arrow record batches over the received bytes. Loads apache-arrow on first use. */
  async *batches(): AsyncGenerator<RecordBatch, void, undefined> {
    const { RecordBatchReader } = await import('apache-arrow')
    const reader = await RecordBatchReader.from(this.#messages('batches()'))
    yield* reader
  }

  /** The whole result as one Arrow table. */
  async table(): Promise<Table> {
    const { RecordBatchReader, Table } = await import('apache-arrow')
    const reader = await RecordBatchReader.from(this.#messages('table()'))
    await reader.open()
    const batches: RecordBatch[] = []
    for await (const batch of reader) batches.push(batch)
    return new Table(reader.schema, batches)
  }

  /** The result as the bytes of an Arrow IPC stream. It ends with the end-of-stream marker only if it is complete. */
  ipc(): ReadableStream<Uint8Array> {
    const messages = this.#messages('ipc()')
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const next = await messages.next()
          if (next.done === true) controller.close()
          else controller.enqueue(next.value)
        },
        // First the statement: `return` alone waits for a read that is under way, and does nothing before the first.
        cancel: async () => {
          await this.cancel()
          await messages.return()
        },
      },
      // Credit is given for what is read, so nothing is pulled ahead of the reader.
      { highWaterMark: 0 },
    )
  }

  /** The whole result as the bytes of a Parquet file. Loads the codec on first use. */
  async parquet(options: ParquetWriteOptions = {}): Promise<Uint8Array> {
    const codec = await this.#context.loadParquet()
    const parts: Uint8Array[] = []
    for await (const part of this.#messages('parquet()')) parts.push(part)
    return codec.fromIpc(joined(parts), options)
  }

  /** The newest progress each time it is asked for, until the statement ends. */
  progress(): AsyncGenerator<Progress, void, undefined> {
    return this.#progress.values()
  }

  /** Profile of the query: operators, rows and times of its tasks, as the coordinator knows them. */
  async profile(): Promise<unknown> {
    const id = this.id
    if (id === undefined) {
      throw new SqlError('undefined_object', 'the statement has not been accepted yet', {
        hint: 'ask for the profile after the first row, or after finished',
      })
    }
    return this.#context.profile(id)
  }

  /** Stops the statement, here at once and on the cluster soon after. Whoever reads gets a `CanceledError`. */
  cancel(): Promise<void> {
    this.#run.cancel(new CanceledError('query_canceled', 'the statement was cancelled'))
    return Promise.resolve()
  }

  /** Reads the result to its end without decoding it. */
  async drain(): Promise<Outcome> {
    for await (const frame of this.#frames('drain()')) void frame
    return this.finished
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel()
  }

  async *#columnBatches(reader: string): AsyncGenerator<ColumnBatch, void, undefined> {
    let decoder: BatchDecoder | undefined
    for await (const frame of this.#frames(reader)) {
      decoder ??= new BatchDecoder(await this.columns, this.#context.converters)
      const batch = decoder.decode(messageOf(frame))
      if (batch !== undefined) yield batch
    }
  }

  async *#messages(reader: string): AsyncGenerator<Uint8Array, void, undefined> {
    let empty = true
    for await (const frame of this.#frames(reader)) {
      empty = false
      yield messageOf(frame)
    }
    if (empty) throw new SqlError('datatype_mismatch', 'the statement has no result to read')
    yield END_OF_STREAM
  }

  /** Every frame once. A frame's bytes are given back when the next one is asked for. */
  async *#frames(reader: string): AsyncGenerator<HeldFrame, void, undefined> {
    if (this.#reader !== undefined) {
      throw new SqlError(
        'invalid_parameter_value',
        `the result is already being read by ${this.#reader}`,
        { hint: 'a result can be read once; run the statement again, or keep its rows' },
      )
    }
    this.#reader = reader
    const { clock } = this.#context
    let turnedAt = clock.now()
    try {
      for (;;) {
        if (clock.now() - turnedAt > TURN_MS) {
          await clock.sleep(0)
          turnedAt = clock.now()
        }
        const frame = await this.#run.take()
        if (frame === undefined) break
        yield frame
        this.#run.release(frame)
      }
      await this.#run.finished
    } finally {
      this.#run.cancel()
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}
