import { WORDS_MAX } from '@nyala/client/wire'

/** Distinct values longer than this together are not worth a dictionary in each batch. */
const TEXT_BYTES_MAX = 8 * 1024
/** Slots of the hash table; a power of two, with room to spare so that chains stay short. */
const SLOTS = 1024
const SLOT_SHIFT = 22
const SLOT_WORDS = 5
const MIX = 0x9e3779b1 | 0
const MIX_REST = 0x85ebca6b | 0
export const NOT_FOUND = -1

/** The distinct values of a column of text, while they are few. Entry 0 is the empty text, which also stands for NULL. */
export class TextDictionary {
  /** Five words a slot: entry or 0, length, and the 12 bytes of a short text as the kernel holds them. */
  readonly #slots = new Int32Array(SLOT_WORDS * SLOTS)
  readonly #ends = new Uint32Array(WORDS_MAX)
  readonly #text = new Uint8Array(TEXT_BYTES_MAX)
  #entries = 1

  /** Bytes that `write` takes; a multiple of 4. */
  get packedBytes(): number {
    return 4 + 4 * this.#entries + ((this.#textBytes + 3) & ~3)
  }

  lengthOf(entry: number): number {
    return (this.#ends[entry] as number) - this.#startOf(entry)
  }

  bytesOf(entry: number): Uint8Array {
    return this.#text.subarray(this.#startOf(entry), this.#ends[entry])
  }

  /** Text of at most 12 bytes, by the three words that hold it. NOT_FOUND when there is no room for one more. */
  short(length: number, first: number, second: number, third: number): number {
    const slots = this.#slots
    let at = slotOf(first, second + third)
    for (;;) {
      const entry = slots[at] as number
      if (entry === 0) break
      if (
        slots[at + 2] === first &&
        slots[at + 1] === length &&
        slots[at + 3] === second &&
        slots[at + 4] === third
      ) {
        return entry
      }
      at = nextSlot(at)
    }
    const bytes = new Uint8Array(Int32Array.of(first, second, third).buffer, 0, length)
    return this.#add(bytes, at, [length, first, second, third])
  }

  /** Text of more than 12 bytes at `start` of `source`, with its first four as a word. */
  long(source: Uint8Array, start: number, length: number, prefix: number): number {
    const slots = this.#slots
    let at = slotOf(prefix, length)
    for (;;) {
      const entry = slots[at] as number
      if (entry === 0) break
      if (
        slots[at + 2] === prefix &&
        slots[at + 1] === length &&
        this.#sameText(entry, source, start)
      ) {
        return entry
      }
      at = nextSlot(at)
    }
    return this.#add(source.subarray(start, start + length), at, [length, prefix])
  }

  /** Entries, their ends, their text; see `packed-batch.ts` in the client. */
  write(target: Uint8Array, at: number): void {
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
    view.setUint32(at, this.#entries, true)
    for (let i = 0; i < this.#entries; i++) {
      view.setUint32(at + 4 + 4 * i, this.#ends[i] as number, true)
    }
    const textAt = at + 4 + 4 * this.#entries
    target.set(this.#text.subarray(0, (this.#textBytes + 3) & ~3), textAt)
  }

  get #textBytes(): number {
    return this.#ends[this.#entries - 1] as number
  }

  #startOf(entry: number): number {
    return entry === 0 ? 0 : (this.#ends[entry - 1] as number)
  }

  #sameText(entry: number, source: Uint8Array, at: number): boolean {
    const text = this.#text
    const start = this.#startOf(entry)
    const end = this.#ends[entry] as number
    // The first four bytes were compared as a word.
    for (let i = start + 4, k = at + 4; i < end; i++, k++) if (text[i] !== source[k]) return false
    return true
  }

  #add(bytes: Uint8Array, slotAt: number, key: readonly number[]): number {
    const start = this.#textBytes
    if (this.#entries === WORDS_MAX || start + bytes.byteLength > TEXT_BYTES_MAX) return NOT_FOUND
    const entry = this.#entries++
    this.#slots[slotAt] = entry
    this.#slots.set(key, slotAt + 1)
    this.#text.set(bytes, start)
    this.#ends[entry] = start + bytes.byteLength
    return entry
  }
}

const slotOf = (first: number, rest: number): number =>
  SLOT_WORDS * (Math.imul(first + Math.imul(rest, MIX_REST), MIX) >>> SLOT_SHIFT)

const nextSlot = (at: number): number => (at === SLOT_WORDS * (SLOTS - 1) ? 0 : at + SLOT_WORDS)
