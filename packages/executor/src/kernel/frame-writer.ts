import { crc32 } from 'node:zlib'
import { deferred, type Deferred } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { chainCrc, FRAME_HEADER_BYTES, type FrameKind, writeFrameHeader } from '@nyala/client/wire'
import type { ResultSoFar } from '../protocol/fragment.ts'
import type { FramePool } from './frame-pool.ts'
import { type KernelPipe, PACKET_HEADER_BYTES } from './kernel-pipe.ts'

/** Room before a payload: the header of the packet on the pipe and that of the frame. A multiple of 8. */
export const FRAME_HEAD_BYTES: number = PACKET_HEADER_BYTES + FRAME_HEADER_BYTES

/**
 * The numbered frames of one task, sent while there is credit. Those that the client has of another attempt (`after`)
 * are only compared; the last of them fails with `result_lost` where they were others.
 */
export class FrameWriter {
  readonly #task: number
  readonly #pipe: Pick<KernelPipe, 'sendFrame'>
  readonly #pool: Pick<FramePool, 'allocate' | 'release'>
  #creditBytes: number
  #failed: Error | undefined
  #waiter: Deferred<void> | undefined
  #sequence = 0
  #bytes = 0
  readonly #after: ResultSoFar | undefined
  /** Of the frames that were made again. */
  #crc = 0

  constructor(
    task: number,
    how: { readonly creditBytes: number; readonly after: ResultSoFar | undefined },
    pipe: Pick<KernelPipe, 'sendFrame'>,
    pool: Pick<FramePool, 'allocate' | 'release'>,
  ) {
    this.#task = task
    this.#creditBytes = how.creditBytes
    this.#after = how.after
    this.#pipe = pipe
    this.#pool = pool
  }

  get frames(): number {
    return this.#sequence
  }

  get bytes(): number {
    return this.#bytes
  }

  get hasCredit(): boolean {
    return this.#creditBytes > 0
  }

  /** Frames are made again that the client has. */
  get isComparing(): boolean {
    return this.#after !== undefined && this.#sequence < this.#after.frames
  }

  /** Rows that the next frame must have; undefined where it is for the caller to say. */
  get rowsDue(): number | undefined {
    return this.isComparing ? this.#after?.frameRows[this.#sequence - 1] : undefined
  }

  allocate(bytes: number): Uint8Array {
    return this.#pool.allocate(bytes)
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes
    if (this.#creditBytes > 0) this.#wake()
  }

  /** Resolves when a frame may be sent, or rejects with what `fail` was called with. */
  async credit(): Promise<void> {
    while (this.#creditBytes <= 0 && !this.isComparing) {
      if (this.#failed !== undefined) throw this.#failed
      this.#waiter ??= deferred<void>()
      await this.#waiter.promise
    }
  }

  /** Ends a wait for credit, and every later one. */
  fail(error: Error): void {
    this.#failed = error
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.reject(error)
  }

  /** Sends a packet whose payload starts behind {@link FRAME_HEAD_BYTES}; one frame may overdraw the credit. */
  send(kind: FrameKind, packet: Uint8Array): void {
    const crc = crc32(packet.subarray(FRAME_HEAD_BYTES))
    if (this.isComparing) return this.#compare(crc, packet)
    const sequence = this.#sequence++
    const header = { kind, last: false, call: 0, sequence, crc }
    writeFrameHeader(packet, header, PACKET_HEADER_BYTES)
    const frameBytes = packet.byteLength - PACKET_HEADER_BYTES
    this.#creditBytes -= frameBytes
    this.#bytes += frameBytes
    this.#pipe.sendFrame(this.#task, packet, () => this.#pool.release(packet))
  }

  /** The result has ended. Fails with `result_lost` where the client has more of it. */
  end(): void {
    if (this.isComparing) throw otherRows()
  }

  #compare(crc: number, packet: Uint8Array): void {
    this.#pool.release(packet)
    // The schema is not in the chain.
    if (this.#sequence++ > 0) this.#crc = chainCrc(crc32, this.#crc, crc)
    if (!this.isComparing && this.#crc !== this.#after?.crc) throw otherRows()
  }

  #wake(): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.resolve()
  }
}

const otherRows = (): SqlError =>
  new SqlError(
    'result_lost',
    'part of the result was lost with an executor, and running its task again gave other rows, or in another order',
    { hint: 'run the statement again; with ORDER BY over a unique key its rows come in one order' },
  )
