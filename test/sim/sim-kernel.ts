import { crc32 } from 'node:zlib'
import type { Clock, Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { PACKED_HEADER_BYTES } from '@nyala/client/wire'
import {
  FRAME_HEAD_BYTES,
  FrameWriter,
  type KernelListener,
  type Kernels,
  PACKET_HEADER_BYTES,
} from '@nyala/executor/testing'
import type { MemoryFiles } from './memory-files.ts'

/** Rows of each file of the one table; the rows of file n are n times this and the numbers that follow. */
export const FILE_ROWS = 40
/** Rows of files from this one on come in one frame, as those of small results do. */
export const SMALL_FROM_FILE = 5
/** A frame is large enough for a few of them to be more than what goes with the end of a task. */
const FRAME_BYTES = 36 * 1024
const ROW_BYTES = 4

type KernelTask = Parameters<Kernels['start']>[0]
type WrittenFile = Parameters<KernelListener['onFinished']>[0]['files'][number]

export interface SimKernelOptions {
  readonly clock: Clock
  readonly prng: Prng
  readonly files: MemoryFiles
  /** How many times longer its tasks take. */
  readonly slowness: number
  /** The error that the task which begins now is to fail with. */
  readonly nextFailure: () => SqlError | undefined
  /** Rows come in another order each time. */
  readonly isUnordered: boolean
}

/**
 * What a kernel does, without SQL: a statement names files of the table, or segments, by their paths, and gives their
 * rows, which are numbers. Memory that is given back is written over at once, so that nobody can use it unnoticed.
 */
export class SimKernel implements Kernels {
  readonly #options: SimKernelOptions

  constructor(options: SimKernelOptions) {
    this.#options = options
  }

  start(spec: KernelTask, listener: KernelListener): ReturnType<Kernels['start']> {
    const task = new SimTask(spec, listener, this.#options)
    void task.run()
    return { credit: (bytes) => task.addCredit(bytes), cancel: () => task.cancel() }
  }

  recycle(frame: Buffer): void {
    frame.fill(0xee)
  }
}

class SimTask {
  readonly #spec: KernelTask
  readonly #listener: KernelListener
  readonly #options: SimKernelOptions
  readonly #writer: FrameWriter | undefined
  #isCanceled = false

  constructor(spec: KernelTask, listener: KernelListener, options: SimKernelOptions) {
    this.#spec = spec
    this.#listener = listener
    this.#options = options
    const { output } = spec
    if (output.kind !== 'result') return
    const pipe = {
      sendFrame: (_task: number, packet: Uint8Array, sent: () => void): void => {
        const frame = Buffer.from(packet.subarray(PACKET_HEADER_BYTES))
        sent()
        listener.onFrame(frame)
      },
    }
    const pool = { allocate: (bytes: number) => Buffer.alloc(bytes), release: () => undefined }
    const how = { creditBytes: output.creditBytes, after: output.after }
    this.#writer = new FrameWriter(0, how, pipe, pool)
  }

  addCredit(bytes: number): void {
    this.#writer?.addCredit(bytes)
  }

  cancel(): void {
    if (this.#isCanceled) return
    this.#isCanceled = true
    this.#writer?.fail(canceled())
  }

  async run(): Promise<void> {
    const began = this.#options.clock.now()
    try {
      const failure = this.#options.nextFailure()
      await this.#work()
      if (failure !== undefined) throw failure
      const rows = this.#rows()
      const files = this.#writer === undefined ? await this.#writeSegments(rows) : []
      if (this.#writer !== undefined) await this.#sendFrames(this.#writer, rows)
      this.#listener.onFinished({
        rows: rows.length,
        frames: this.#writer?.frames ?? 0,
        bytes: this.#writer?.bytes ?? files.reduce((sum, { bytes }) => sum + bytes, 0),
        files,
        elapsedMs: this.#options.clock.now() - began,
        cpuMs: 0,
        peakMemoryBytes: 0,
        spillBytes: 0,
      })
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      this.#listener.onFailed(error)
    }
  }

  /** Time goes by. */
  async #work(): Promise<void> {
    const { clock, prng, slowness } = this.#options
    await clock.sleep((1 + prng.below(25)) * slowness)
    if (this.#isCanceled) throw canceled()
  }

  #rows(): readonly number[] {
    const { files, isUnordered, prng } = this.#options
    const rows: number[] = []
    for (const [, path = ''] of this.#spec.sql.matchAll(/'([^']+\.parquet)'/g)) {
      const file = /^\/t\/f(\d+)\.parquet$/.exec(path)
      if (file === null) rows.push(...rowsIn(path, files.get(path)))
      else for (let i = 0; i < FILE_ROWS; i++) rows.push(Number(file[1]) * FILE_ROWS + i)
    }
    return isUnordered ? prng.shuffle(rows) : rows.toSorted((a, b) => a - b)
  }

  async #writeSegments(rows: readonly number[]): Promise<readonly WrittenFile[]> {
    const { output } = this.#spec
    if (output.kind !== 'exchange') throw new Error('tables are not simulated')
    const { directory, partitions } = output
    const written: WrittenFile[] = []
    for (let partition = 0; partition < partitions; partition++) {
      await this.#work()
      const own = rows.filter((row) => row % partitions === partition)
      if (own.length === 0) continue
      const path = `${directory}/${written.length}-p${partition}.parquet`
      const bytes = bytesOf(own)
      this.#put(path, bytes)
      const crc = crc32(bytes)
      written.push({ path, partition, rows: own.length, bytes: bytes.length, crc })
    }
    return written
  }

  #put(path: string, bytes: Uint8Array): void {
    try {
      this.#options.files.put(path, bytes)
    } catch (error) {
      throw new SqlError('disk_full', (error as Error).message, { cause: error })
    }
  }

  async #sendFrames(writer: FrameWriter, rows: readonly number[]): Promise<void> {
    this.#listener.onColumns([{ name: 'n', type: 'BIGINT' }])
    this.#send(writer, [])
    for (let at = 0; at < rows.length;) {
      await writer.credit()
      if (!writer.isComparing) await this.#work()
      // As of a slow kernel, which sends what there is by the clock.
      const count = writer.rowsDue ?? this.#rowsOfFrame(rows)
      this.#send(writer, rows.slice(at, at + count))
      at += count
      this.#listener.onProgress({ fraction: at / rows.length, rowsRead: at, memoryBytes: 0 })
    }
    writer.end()
  }

  #rowsOfFrame(rows: readonly number[]): number {
    const isSmall = (rows[0] ?? 0) >= SMALL_FROM_FILE * FILE_ROWS
    return isSmall ? rows.length : 1 + this.#options.prng.below(FILE_ROWS)
  }

  #send(writer: FrameWriter, rows: readonly number[]): void {
    const packet = Buffer.alloc(FRAME_HEAD_BYTES + (rows.length === 0 ? 64 : FRAME_BYTES))
    packet.writeUInt32LE(rows.length, FRAME_HEAD_BYTES)
    packet.set(bytesOf(rows), FRAME_HEAD_BYTES + PACKED_HEADER_BYTES)
    writer.send('packed', packet)
  }
}

/** The rows in the payload of a frame. */
export function rowsOfPayload(payload: Uint8Array): readonly number[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  return Array.from({ length: view.getUint32(0, true) }, (_, i) =>
    view.getUint32(PACKED_HEADER_BYTES + i * ROW_BYTES, true),
  )
}

function rowsIn(path: string, bytes: Uint8Array | undefined): readonly number[] {
  if (bytes === undefined) throw new SqlError('undefined_file', `no file "${path}"`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / ROW_BYTES }, (_, i) =>
    view.getUint32(i * ROW_BYTES, true),
  )
}

function bytesOf(rows: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(rows.length * ROW_BYTES)
  rows.forEach((row, i) => bytes.writeUInt32LE(row, i * ROW_BYTES))
  return bytes
}

const canceled = (): SqlError => new SqlError('query_canceled', 'the task was canceled')
