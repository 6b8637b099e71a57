/** Buffers kept for reuse; more are in use only while a reader is slow. */
const POOL_BUFFERS_MAX = 8
const POOLED_BYTES_MAX = 4 * 1024 * 1024
const POOLED_BYTES_MIN = 64 * 1024

/**
 * Buffers for frames, used again once their bytes have gone. Without it each frame is memory outside of V8's heap that
 * only a full collection frees, and those then take half of the processor.
 */
export class FramePool {
  readonly #free: ArrayBuffer[] = []

  allocate(bytes: number): Buffer<ArrayBuffer> {
    if (bytes < POOLED_BYTES_MIN) return Buffer.allocUnsafe(bytes) as Buffer<ArrayBuffer>
    const at = this.#free.findIndex((buffer) => buffer.byteLength >= bytes)
    const found = at < 0 ? undefined : this.#free.splice(at, 1)[0]
    return Buffer.from(found ?? new ArrayBuffer(roundUp(bytes)), 0, bytes)
  }

  /** Takes a buffer of `allocate` back; nobody may read it any more. */
  release(bytes: Uint8Array): void {
    const { buffer } = bytes
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < POOLED_BYTES_MIN) return
    if (buffer.byteLength > POOLED_BYTES_MAX || this.#free.length >= POOL_BUFFERS_MAX) return
    this.#free.push(buffer)
  }
}

/** To the next quarter MiB, so that frames of about the same size can share buffers. */
const roundUp = (bytes: number): number => (bytes + 0x3ffff) & ~0x3ffff
