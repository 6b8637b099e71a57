import { crc32 } from 'node:zlib'
import { deferred, type Deferred } from '@nyala/client/base'
import { FRAME_HEADER_BYTES, writeFrameHeader } from '@nyala/client/wire'
import { type KernelPipe, PACKET_HEADER_BYTES } from './kernel-pipe.ts'

/** Room before a payload: the header of the packet on the pipe and that of the frame. A multiple of 8. */
export const FRAME_HEAD_BYTES: number = PACKET_HEADER_BYTES + FRAME_HEADER_BYTES
/** Buffers kept for reuse; more are in flight only while the pipe is slow. */
const POOL_BUFFERS_MAX = 4
const POOLED_BYTES_MAX = 4 * 1024 * 1024
const POOLED_BYTES_MIN = 64 * 1024

/** Buffers for frames, used again once the pipe has taken their bytes. Shared by the tasks of a kernel. */
export class FramePool {
  readonly #free: ArrayBuffer[] = []

  allocate(bytes: number): Uint8Array {
    if (bytes < POOLED_BYTES_MIN) return new Uint8Array(bytes)
    const at = this.#free.findIndex((buffer) => buffer.byteLength >= bytes)
    const found = at < 0 ? undefined : this.#free.splice(at, 1)[0]
    return new Uint8Array(found ?? new ArrayBuffer(roundUp(bytes)), 0, bytes)
  }

  release(bytes: Uint8Array): void {
    const { buffer } = bytes
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < POOLED_BYTES_MIN) return
    if (buffer.byteLength > POOLED_BYTES_MAX || this.#free.length >= POOL_BUFFERS_MAX) return
    this.#free.push(buffer)
  }
}

/** To the next quarter MiB, so that frames of about the same size can share buffers. */
const roundUp = (bytes: number): number => (bytes + 0x3ffff) & ~0x3ffff

/** The numbered frames of one task, sent while there is credit. */
export class FrameWriter {
  readonly #task: number
  readonly #pipe: KernelPipe
  readonly #pool: FramePool
  #creditBytes: number
  #waiter: Deferred<void> | undefined
  #sequence = 0
  #bytes = 0

  constructor(task: number, creditBytes: number, pipe: KernelPipe, pool: FramePool) {
    this.#task = task
    this.#creditBytes = creditBytes
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

  allocate(bytes: number): Uint8Array {
    return this.#pool.allocate(bytes)
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes
    if (this.#creditBytes > 0) this.#wake()
  }

  /** Resolves when a frame may be sent, or rejects with what `fail` was called with. */
  async credit(): Promise<void> {
    while (this.#creditBytes <= 0) {
      this.#waiter ??= deferred<void>()
      await this.#waiter.promise
    }
  }

  /** Ends a wait for credit. */
  fail(error: Error): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.reject(error)
  }

  /** Sends a packet whose payload starts behind {@link FRAME_HEAD_BYTES}; one frame may overdraw the credit. */
  send(packet: Uint8Array): void {
    const payload = packet.subarray(FRAME_HEAD_BYTES)
    const sequence = this.#sequence++
    writeFrameHeader(
      packet,
      { kind: 'arrow', last: false, call: 0, sequence, crc: crc32(payload) },
      PACKET_HEADER_BYTES,
    )
    const frameBytes = packet.byteLength - PACKET_HEADER_BYTES
    this.#creditBytes -= frameBytes
    this.#bytes += frameBytes
    this.#pipe.sendFrame(this.#task, packet, () => this.#pool.release(packet))
  }

  #wake(): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.resolve()
  }
}
