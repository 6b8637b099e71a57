import t from 'tap'
import { Prng } from '../base/prng.ts'
import {
  PACKED_DESCRIPTOR_BYTES,
  PACKED_HEADER_BYTES,
  packedRows,
  PACKING,
  unpackBatch,
} from './packed-batch.ts'

interface Part {
  readonly encoding: number
  readonly width?: number
  readonly packedWidth?: number
  readonly count: number
  readonly parameter?: number
  readonly bytes: ArrayBufferView
}

const HEAD = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const padded = (bytes: number): number => (bytes + 7) & ~7

/** A packed batch laid out by hand, as the table in `packed-batch.ts` says. */
function packed(rows: number, bodyBytes: number, parts: readonly Part[]): Uint8Array {
  const dataAt = PACKED_HEADER_BYTES + parts.length * PACKED_DESCRIPTOR_BYTES + HEAD.byteLength
  const size = parts.reduce((sum, { bytes }) => sum + padded(bytes.byteLength), dataAt)
  const payload = new Uint8Array(size)
  const view = new DataView(payload.buffer)
  ;[rows, HEAD.byteLength, bodyBytes, parts.length].forEach((n, i) => {
    view.setUint32(4 * i, n, true)
  })
  payload.set(HEAD, dataAt - HEAD.byteLength)
  let at = dataAt
  parts.forEach((part, i) => {
    const { bytes } = part
    const descriptor = PACKED_HEADER_BYTES + i * PACKED_DESCRIPTOR_BYTES
    view.setUint8(descriptor, part.encoding)
    view.setUint8(descriptor + 1, part.width ?? 1)
    view.setUint8(descriptor + 2, part.packedWidth ?? 1)
    view.setUint32(descriptor + 4, part.count, true)
    view.setInt32(descriptor + 8, part.parameter ?? 0, true)
    view.setUint32(descriptor + 12, bytes.byteLength, true)
    payload.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), at)
    at += padded(bytes.byteLength)
  })
  return payload
}

/** The one buffer of a batch, behind the head. */
function bodyOf(part: Part, bodyBytes: number): ArrayBuffer {
  const message = unpackBatch(packed(part.count, bodyBytes, [part]))
  return message.slice(HEAD.byteLength).buffer
}

const { plain, integers, lengths, words } = PACKING

t.test('plain bytes come as they are, behind the head and padded with zeros', async (t) => {
  const bytes = Uint8Array.of(9, 8, 7)
  const payload = packed(3, 8, [{ encoding: plain, count: 3, bytes }])
  t.equal(packedRows(payload), 3)
  t.strictSame([...unpackBatch(payload)], [...HEAD, 9, 8, 7, 0, 0, 0, 0, 0])
})

t.test('whole numbers are sign extended above their base', async (t) => {
  const base = -3
  const narrow = { encoding: integers, packedWidth: 1, count: 2, parameter: base }
  const bytes = Uint8Array.of(0, 255)
  t.strictSame([...new Int32Array(bodyOf({ ...narrow, width: 4, bytes }, 8))], [-3, 252])
  t.strictSame([...new BigInt64Array(bodyOf({ ...narrow, width: 8, bytes }, 16))], [-3n, 252n])
  t.strictSame(
    [...new BigInt64Array(bodyOf({ ...narrow, width: 16, bytes }, 32))],
    [-3n, -1n, 252n, 0n],
  )
  const shorts = { ...narrow, packedWidth: 2, bytes: Uint16Array.of(1, 65_535) }
  t.strictSame([...new BigInt64Array(bodyOf({ ...shorts, width: 8 }, 16))], [-2n, 65_532n])
  const ints = { ...narrow, packedWidth: 4, bytes: Int32Array.of(-(2 ** 31), 7), parameter: 0 }
  t.strictSame([...new BigInt64Array(bodyOf({ ...ints, width: 8 }, 16))], [-(2n ** 31n), 7n])
  const longs = { ...narrow, packedWidth: 8, bytes: BigInt64Array.of(-(2n ** 63n), 7n) }
  t.strictSame(
    [...new BigInt64Array(bodyOf({ ...longs, width: 16, parameter: 0 }, 32))],
    [-(2n ** 63n), -1n, 7n, 0n],
  )
})

t.test('lengths become offsets', async (t) => {
  const part = { encoding: lengths, packedWidth: 1, count: 3, bytes: Uint8Array.of(2, 0, 255) }
  t.strictSame([...new Int32Array(bodyOf(part, 16))], [0, 2, 2, 257])
  const wide = { ...part, packedWidth: 2, bytes: Uint16Array.of(2, 0, 65_535) }
  t.strictSame([...new Int32Array(bodyOf(wide, 16))], [0, 2, 2, 65_537])
})

/** Entries, their ends, their text and the indexes of the values. */
function dictionary(entries: readonly string[], indexes: readonly number[]): Uint8Array {
  const text = new TextEncoder().encode(entries.join(''))
  const ends: number[] = []
  for (const entry of entries) ends.push((ends.at(-1) ?? 0) + entry.length)
  const bytes = new Uint8Array(
    4 + 4 * entries.length + ((text.byteLength + 3) & ~3) + indexes.length,
  )
  bytes.set(new Uint8Array(Uint32Array.of(entries.length, ...ends).buffer))
  bytes.set(text, 4 + 4 * entries.length)
  bytes.set(indexes, bytes.byteLength - indexes.length)
  return bytes
}

t.test('indexes become offsets and text, of any length up to the last byte', async (t) => {
  const prng = new Prng(3)
  const entries = ['', 'A', 'REG AIR', 'DELIVER IN PERSON', 'x'.repeat(32), 'y'.repeat(100)]
  for (let last = 0; last < entries.length; last++) {
    const indexes = [...Array.from({ length: 200 }, () => prng.below(entries.length)), last]
    const expected = indexes.map((index) => entries[index] ?? '')
    const size = expected.join('').length
    const count = indexes.length
    const bytes = dictionary(entries, indexes)
    const offsetBytes = padded(4 * (count + 1))
    const body = bodyOf(
      { encoding: words, count, parameter: size, bytes },
      offsetBytes + padded(size),
    )
    const offsets = new Int32Array(body, 0, count + 1)
    const text = new TextDecoder().decode(new Uint8Array(body, offsetBytes))
    t.strictSame(
      indexes.map((_, i) => text.slice(offsets[i], offsets[i + 1])),
      expected,
    )
    t.match(text.slice(size), /^\0{0,7}$/)
  }
})

t.test('a payload is read where it lies in a larger buffer', async (t) => {
  const payload = packed(3, 8, [{ encoding: plain, count: 3, bytes: Uint8Array.of(9, 8, 7) }])
  const larger = new Uint8Array(payload.byteLength + 16)
  for (const shift of [1, 8]) {
    larger.set(payload, shift)
    const moved = larger.subarray(shift, shift + payload.byteLength)
    t.strictSame(unpackBatch(moved), unpackBatch(payload))
  }
})

t.test(
  'a damaged batch throws RangeError or unpacks within its size, whatever is damaged',
  async (t) => {
    const prng = new Prng(5)
    const payload = packed(3, 80, [
      { encoding: plain, count: 3, bytes: Uint8Array.of(9, 8, 7) },
      { encoding: integers, width: 8, count: 3, parameter: -1, bytes: Uint8Array.of(1, 2, 3) },
      { encoding: lengths, count: 3, bytes: Uint8Array.of(1, 2, 3) },
      {
        encoding: words,
        count: 3,
        parameter: 14,
        bytes: dictionary(['', 'ab', 'twelve'], [2, 1, 2]),
      },
    ])
    t.equal(unpackBatch(payload).byteLength, HEAD.byteLength + 80)
    let refused = 0
    for (let round = 0; round < 5_000; round++) {
      const damaged = payload.slice(
        0,
        prng.pick([payload.byteLength, prng.below(payload.byteLength)]),
      )
      for (let k = prng.below(3); k >= 0 && damaged.byteLength > 0; k--) {
        damaged[prng.below(damaged.byteLength)] = prng.below(256)
      }
      try {
        unpackBatch(damaged)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        refused++
      }
    }
    t.ok(refused > 1_000, `${refused} were refused`)
  },
)
