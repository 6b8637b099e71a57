import type { Data, DataType } from 'apache-arrow'
import { SqlError } from '../protocol/errors.ts'
import type { Column } from '../protocol/messages.ts'
import { nestedText, WrongValue } from './nested-text.ts'
import { isNestedType, nestedTypeOf } from './nested-type.ts'
import { decimalOf, numberOf, textOf } from './value-text.ts'

type Arrow = typeof import('apache-arrow')

/**
 * Values of one column, kept as Arrow has them: rows are not held until a part is full. Numbers travel as such, everything
 * else as the text that the kernel casts.
 */
export interface ColumnBuilder {
  /** What the values take now; of a row that is refused nothing is used. */
  readonly bytes: number
  /** The place of the first value that is none of the column's type; -1 where all were taken. */
  append(values: readonly unknown[]): number
  /** What is wrong with that value, where more can be said than that it is none of the type. */
  readonly wrong?: WrongValue | undefined
  finish(arrow: Arrow): Data
}

export function columnBuilder({ type }: Column): ColumnBuilder {
  if (/^U?(?:TINY|SMALL|BIG)INT$|^U?INTEGER$/.test(type)) return new IntegerBuilder()
  if (type === 'FLOAT' || type === 'DOUBLE') return new FloatBuilder()
  if (type === 'BOOLEAN') return new BooleanBuilder()
  if (isNestedType(type)) {
    const nested = nestedTypeOf(type)
    return new TextBuilder((value) => nestedText(value, nested))
  }
  return new TextBuilder(type.startsWith('DECIMAL(') ? decimalOf : textOf)
}

const CAPACITY = 1024

/** Which values are not NULL, a bit for each. */
class Bits {
  #bytes: Uint8Array = new Uint8Array(CAPACITY / 8)
  #length = 0
  #ones = 0

  get length(): number {
    return this.#length
  }

  get zeros(): number {
    return this.#length - this.#ones
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, (this.#length + 7) >> 3)
  }

  push(bit: boolean): void {
    const at = this.#length++
    if (at >> 3 === this.#bytes.length) this.#bytes = grown(this.#bytes, Uint8Array)
    if (!bit) return
    this.#ones++
    this.#bytes[at >> 3] = (this.#bytes[at >> 3] as number) | (1 << (at & 7))
  }
}

interface Elements<Self> {
  readonly length: number
  set(values: Self): void
}

function grown<T extends Elements<T>>(values: T, of: new (length: number) => T): T {
  const larger = new of(values.length * 2)
  larger.set(values)
  return larger
}

const nulls = (valid: Bits): { readonly length: number; readonly nullCount: number } & object => ({
  length: valid.length,
  nullCount: valid.zeros,
  ...(valid.zeros === 0 ? {} : { nullBitmap: valid.bytes }),
})

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n }
const INTEGER = /^\s*[-+]?\d{1,19}\s*$/
/** So many characters are a number that a double holds exactly. */
const SAFE_CHARACTERS = 15
const WORD = 4_294_967_296

class IntegerBuilder implements ColumnBuilder {
  readonly #valid = new Bits()
  #values = new BigInt64Array(CAPACITY)
  /** The same bytes: a number is written without a bigint for it. */
  #words = new Int32Array(this.#values.buffer)

  get bytes(): number {
    return this.#valid.length * 8
  }

  append(values: readonly unknown[]): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      const isNull = value === null || value === undefined
      if (!isNull && !this.#write(value)) return i
      this.#valid.push(!isNull)
    }
    return -1
  }

  #write(value: unknown): boolean {
    const at = this.#valid.length
    this.#reserve(at)
    if (typeof value === 'string') {
      if (!INTEGER.test(value)) return false
      return value.length <= SAFE_CHARACTERS
        ? this.#number(at, +value)
        : this.#big(at, BigInt(value))
    }
    if (typeof value === 'bigint') return this.#big(at, value)
    return typeof value === 'number' && Number.isSafeInteger(value) && this.#number(at, value)
  }

  #number(at: number, value: number): true {
    this.#words[at * 2] = value | 0
    this.#words[at * 2 + 1] = Math.floor(value / WORD)
    return true
  }

  #big(at: number, value: bigint): boolean {
    if (value < INT64.min || value > INT64.max) return false
    this.#values[at] = value
    return true
  }

  #reserve(at: number): void {
    if (at < this.#values.length) return
    this.#values = grown(this.#values, BigInt64Array)
    this.#words = new Int32Array(this.#values.buffer)
  }

  finish(arrow: Arrow): Data {
    // A NULL that is not the last may have grown nothing.
    this.#reserve(this.#valid.length)
    const data = this.#values.subarray(0, this.#valid.length)
    return arrow.makeData({ type: new arrow.Int64(), ...nulls(this.#valid), data })
  }
}

class FloatBuilder implements ColumnBuilder {
  readonly #valid = new Bits()
  #values = new Float64Array(CAPACITY)

  get bytes(): number {
    return this.#valid.length * 8
  }

  append(values: readonly unknown[]): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      const at = this.#valid.length
      if (at === this.#values.length) this.#values = grown(this.#values, Float64Array)
      if (value === null || value === undefined) {
        this.#valid.push(false)
        continue
      }
      const number = typeof value === 'bigint' ? Number(value) : numberOf(value)
      if (number === undefined) return i
      this.#values[at] = number
      this.#valid.push(true)
    }
    return -1
  }

  finish(arrow: Arrow): Data {
    const data = this.#values.subarray(0, this.#valid.length)
    return arrow.makeData({ type: new arrow.Float64(), ...nulls(this.#valid), data })
  }
}

class BooleanBuilder implements ColumnBuilder {
  readonly #valid = new Bits()
  readonly #values = new Bits()

  get bytes(): number {
    return this.#valid.length / 4
  }

  append(values: readonly unknown[]): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] ?? null
      if (value !== null && typeof value !== 'boolean') return i
      this.#values.push(value === true)
      this.#valid.push(value !== null)
    }
    return -1
  }

  finish(arrow: Arrow): Data {
    return arrow.makeData({
      ...{ type: new arrow.Bool(), ...nulls(this.#valid) },
      data: this.#values.bytes,
    })
  }
}

const ENCODER = new TextEncoder()
/** Texts are encoded together, which costs a call for each of these and not for each text. */
const ENCODED_CHARACTERS = 1 << 16
/** No character of a JavaScript string takes more in UTF-8. */
const BYTES_PER_CHARACTER = 3

class TextBuilder implements ColumnBuilder {
  readonly #of: (value: unknown) => string | undefined
  readonly #valid = new Bits()
  #offsets = new Int32Array(CAPACITY)
  #bytes: Uint8Array = new Uint8Array(CAPACITY * 16)
  #length = 0
  wrong: WrongValue | undefined

  constructor(of: (value: unknown) => string | undefined) {
    this.#of = of
  }

  get bytes(): number {
    return this.#length + this.#valid.length * 4
  }

  append(values: readonly unknown[]): number {
    let texts: string[] = []
    let characters = 0
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      const isNull = value === null || value === undefined
      const text = isNull ? '' : this.#textOf(value)
      if (text === undefined) return i
      this.#valid.push(!isNull)
      texts.push(text)
      characters += text.length
      if (characters < ENCODED_CHARACTERS) continue
      this.#encode(texts)
      texts = []
      characters = 0
    }
    this.#encode(texts)
    return -1
  }

  #textOf(value: unknown): string | undefined {
    try {
      return this.#of(value)
    } catch (error) {
      if (error instanceof WrongValue) this.wrong = error
      // What has no text at all is none of any type.
      else if (!(error instanceof SqlError)) throw error
      return undefined
    }
  }

  #encode(texts: readonly string[]): void {
    const all = texts.join('')
    const from = this.#valid.length - texts.length
    while (this.#valid.length >= this.#offsets.length)
      this.#offsets = grown(this.#offsets, Int32Array)
    while (this.#length + all.length * BYTES_PER_CHARACTER > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, Uint8Array)
    }
    const { written } = ENCODER.encodeInto(all, this.#bytes.subarray(this.#length))
    // Where each character is a byte, the lengths are known; where not, halves of one character may stand in two texts.
    const isAscii = written === all.length
    texts.forEach((text, i) => {
      this.#length += isAscii
        ? text.length
        : ENCODER.encodeInto(text, this.#bytes.subarray(this.#length)).written
      this.#offsets[from + i + 1] = this.#length
    })
  }

  finish(arrow: Arrow): Data {
    return arrow.makeData({
      ...{ type: new arrow.Utf8() as DataType as never, ...nulls(this.#valid) },
      valueOffsets: this.#offsets.subarray(0, this.#valid.length + 1),
      data: this.#bytes.subarray(0, this.#length),
    })
  }
}
