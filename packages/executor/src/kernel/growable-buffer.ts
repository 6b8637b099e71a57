/** Bytes that grow as they are appended to and keep their memory when they are reset. */
export class GrowableBuffer {
  bytes: Uint8Array
  int16: Int16Array
  int32: Int32Array
  uint32: Uint32Array
  view: DataView
  /** Bytes in use. */
  length = 0

  constructor(capacityBytes: number) {
    const buffer = new ArrayBuffer(roundUp(capacityBytes))
    this.bytes = new Uint8Array(buffer)
    this.int16 = new Int16Array(buffer)
    this.int32 = new Int32Array(buffer)
    this.uint32 = new Uint32Array(buffer)
    this.view = new DataView(buffer)
  }

  /** Makes room for `more` bytes behind those in use. */
  reserve(more: number): void {
    const wanted = this.length + more
    if (wanted <= this.bytes.byteLength) return
    const old = this.bytes
    const buffer = new ArrayBuffer(roundUp(Math.max(wanted, 2 * old.byteLength)))
    this.bytes = new Uint8Array(buffer)
    this.int16 = new Int16Array(buffer)
    this.int32 = new Int32Array(buffer)
    this.uint32 = new Uint32Array(buffer)
    this.view = new DataView(buffer)
    this.bytes.set(old.length === this.length ? old : old.subarray(0, this.length))
  }

  append(source: Uint8Array): void {
    this.reserve(source.byteLength)
    this.bytes.set(source, this.length)
    this.length += source.byteLength
  }

  /** Forgets the content, and the memory too where one batch made it larger than `keepBytes`. */
  reset(keepBytes: number): void {
    this.length = 0
    if (this.bytes.byteLength <= keepBytes) return
    const buffer = new ArrayBuffer(roundUp(keepBytes))
    this.bytes = new Uint8Array(buffer)
    this.int16 = new Int16Array(buffer)
    this.int32 = new Int32Array(buffer)
    this.uint32 = new Uint32Array(buffer)
    this.view = new DataView(buffer)
  }
}

const roundUp = (bytes: number): number => (bytes + 63) & ~63
