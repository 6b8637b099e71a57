/** Types of the Thrift compact protocol, as in the field headers. */
export const THRIFT = {
  stop: 0,
  true: 1,
  false: 2,
  i8: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
} as const

const UTF8 = new TextDecoder()

/** Deeper nesting than this is damage, not data. */
const DEPTH_MAX = 32

export class ThriftError extends Error {
  override readonly name = 'ThriftError'
}

/** Reads the Thrift compact protocol, as far as Parquet footers need it. Throws {@link ThriftError} on damage. */
export class ThriftReader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get at(): number {
    return this.#at
  }

  /** Calls `onField` for each field of a struct; it must read or skip the value. */
  struct(onField: (id: number, type: number) => void): void {
    let id = 0
    for (;;) {
      const header = this.byte()
      const type = header & 15
      if (type === THRIFT.stop) return
      const delta = header >> 4
      id = delta === 0 ? this.int() : id + delta
      onField(id, type)
    }
  }

  /** Calls `onItem` for each item of a list. */
  list(onItem: (type: number) => void): void {
    const { size, type } = this.#listHeader()
    for (let i = 0; i < size; i++) onItem(type)
  }

  /** A zigzag number; exact up to 2^53. */
  int(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 128
    }
    throw new ThriftError('number is too long')
  }

  text(): string {
    return UTF8.decode(this.bytes())
  }

  /** A view of the bytes, not a copy. */
  bytes(): Uint8Array {
    const size = this.#size()
    const end = this.#at + size
    if (end > this.#bytes.byteLength) throw new ThriftError('text reaches beyond the end')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  skip(type: number, depth = 0): void {
    if (depth > DEPTH_MAX) throw new ThriftError('nested too deeply')
    switch (type) {
      case THRIFT.true:
      case THRIFT.false:
        return
      case THRIFT.i8:
        return this.#advance(1)
      case THRIFT.i16:
      case THRIFT.i32:
      case THRIFT.i64:
        return this.#skipNumber()
      case THRIFT.double:
        return this.#advance(8)
      case THRIFT.binary:
        return this.#advance(this.#size())
      case THRIFT.list:
      case THRIFT.set:
        return this.#skipList(depth)
      case THRIFT.map:
        return this.#skipMap(depth)
      case THRIFT.struct:
        return this.struct((_id, fieldType) => this.skip(fieldType, depth + 1))
    }
    throw new ThriftError(`type ${type} is not known`)
  }

  byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new ThriftError('the end came too early')
    return byte
  }

  #skipNumber(): void {
    while (this.byte() >= 128);
  }

  #skipList(depth: number): void {
    const { size, type } = this.#listHeader()
    // Booleans take a byte each in a list, unlike in a struct.
    if (type === THRIFT.true || type === THRIFT.false) return this.#advance(size)
    for (let i = 0; i < size; i++) this.skip(type, depth + 1)
  }

  #skipMap(depth: number): void {
    const size = this.#size()
    if (size === 0) return
    const types = this.byte()
    for (let i = 0; i < size; i++) {
      this.skip(types >> 4, depth + 1)
      this.skip(types & 15, depth + 1)
    }
  }

  #listHeader(): { readonly size: number; readonly type: number } {
    const header = this.byte()
    const short = header >> 4
    return { size: short === 15 ? this.#size() : short, type: header & 15 }
  }

  #size(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 5; i++) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    throw new ThriftError('size is too long')
  }

  #advance(bytes: number): void {
    this.#at += bytes
    if (this.#at > this.#bytes.byteLength) throw new ThriftError('a value reaches beyond the end')
  }
}
