import { crc32 } from 'node:zlib'
import { deferred, type Deferred } from '@nyala/client/base'
import { FRAME_HEADER_BYTES, type FrameKind, writeFrameHeader } from '@nyala/client/wire'
import type { FramePool } from './frame-pool.ts'
import { type KernelPipe, PACKET_HEADER_BYTES } from './kernel-pipe.ts'

/** Room before a payload: the header of the packet on the pipe and that of the frame. A multiple of 8. */
export const FRAME_HEAD_BYTES: number = PACKET_HEADER_BYTES + FRAME_HEADER_BYTES
/** The numbered frames of one task, sent while there is credit. */
export class FrameWriter {
  readonly #task: number
  readonly #pipe: KernelPipe
  readonly #pool: FramePool
  #creditBytes: number
  #failed: Error | undefined
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
    const payload = packet.subarray(FRAME_HEAD_BYTES)
    const sequence = this.#sequence++
    writeFrameHeader(
      packet,
      { kind, last: false, call: 0, sequence, crc: crc32(payload) },
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
