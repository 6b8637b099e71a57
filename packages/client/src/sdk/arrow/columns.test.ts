import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  DateMillisecond,
  Decimal,
  Dictionary,
  Field,
  FixedSizeBinary,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  LargeUtf8,
  List,
  makeData,
  makeVector,
  Map_,
  Null,
  Struct,
  Table,
  TimeMicrosecond,
  TimestampMicrosecond,
  TimestampNanosecond,
  TimestampSecond,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import t from 'tap'
import { Prng } from '../../base/prng.ts'
import { SqlError } from '../../protocol/errors.ts'
import { messagesOf } from '../../testing/arrow-messages.ts'
import { BatchDecoder } from '../batch-decoder.ts'
import { convertersOf, type TypeOptions } from './converters.ts'
import { rowsOf } from '../../wire/arrow-envelope.ts'
import { decodeMessage } from './message.ts'

/** The values of a one-column table as our reader gives them. */
function read(vector: Vector, sqlType = 'X', types: TypeOptions = {}): unknown[] {
  const decoder = new BatchDecoder([{ name: 'c', type: sqlType }], convertersOf(types))
  return messagesOf(new Table({ c: vector })).flatMap((message) => [
    ...(decoder.decode(message)?.columns[0] ?? []),
  ])
}

const vector = (values: readonly unknown[], type: DataType): Vector => vectorFromArray(values, type)

t.test('whole numbers of every width keep every digit', async (t) => {
  t.strictSame(read(vector([-128, null, 127], new Int8())), [-128, null, 127])
  t.strictSame(read(vector([-32768, 32767], new Int16())), [-32768, 32767])
  t.strictSame(read(vector([-(2 ** 31), 2 ** 31 - 1, null], new Int32())), [
    -(2 ** 31),
    2 ** 31 - 1,
    null,
  ])
  t.strictSame(read(vector([255, 0], new Uint8())), [255, 0])
  t.strictSame(read(vector([65535], new Uint16())), [65535])
  t.strictSame(read(vector([2 ** 32 - 1], new Uint32())), [2 ** 32 - 1])
  const big = [-(2n ** 63n), 2n ** 63n - 1n, null, 0n, 2n ** 53n + 1n]
  t.strictSame(read(vector(big, new Int64())), big)
  t.strictSame(read(vector([2n ** 64n - 1n], new Uint64())), [2n ** 64n - 1n])
})

t.test('an int64 may be wanted as a number, a text or something of one’s own', async (t) => {
  const values = vector([1n, null, -5n], new Int64())
  t.strictSame(read(values, 'BIGINT', { int64: 'number' }), [1, null, -5])
  t.strictSame(read(values, 'BIGINT', { int64: 'string' }), ['1', null, '-5'])
  t.strictSame(read(values, 'BIGINT', { int64: (n) => n * 2n }), [2n, null, -10n])
  t.throws(() => read(vector([2n ** 53n], new Int64()), 'BIGINT', { int64: 'number' }), {
    code: '22003',
    message: /9007199254740992 does not fit/,
  })
})

t.test('floating-point numbers come as they are', async (t) => {
  const values = [0, -0, 1.5, Infinity, -Infinity, NaN, null]
  t.strictSame(read(vector(values, new Float64())), values)
  t.strictSame(read(vector([0.5, null], new Float32())), [0.5, null])
  const halves = makeVector(
    makeData({ type: new Float16(), data: Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0x0001, 0x7e00) }),
  )
  t.strictSame(read(halves), [1, -2, Infinity, 2 ** -24, NaN])
})

/** Decimals of 128 bits from their unscaled integers. */
function decimals(unscaled: readonly bigint[], scale: number): Vector {
  const words = new Uint32Array(unscaled.length * 4)
  for (const [row, value] of unscaled.entries()) {
    for (let i = 0; i < 4; i++) words[row * 4 + i] = Number((value >> BigInt(32 * i)) & 0xffffffffn)
  }
  return makeVector(
    makeData({ type: new Decimal(scale, 38), length: unscaled.length, nullCount: 0, data: words }),
  )
}

t.test('decimals are exact texts', async (t) => {
  const big = 10n ** 37n + 7n
  t.strictSame(read(decimals([0n, 5n, -5n, 12345n, -12345n, big, -big], 2)), [
    '0.00',
    '0.05',
    '-0.05',
    '123.45',
    '-123.45',
    '100000000000000000000000000000000000.07',
    '-100000000000000000000000000000000000.07',
  ])
  t.strictSame(read(decimals([42n, -1n], 0)), ['42', '-1'])
  t.strictSame(read(decimals([42n], 2), 'DECIMAL(4,2)', { decimal: 'number' }), [0.42])
})

t.test(
  'the fast way to read a small decimal agrees with the exact one at every edge',
  async (t) => {
    const edges: bigint[] = []
    for (const bits of [20n, 31n, 32n, 33n, 51n, 52n, 53n, 63n, 64n, 65n, 96n, 120n]) {
      for (const delta of [-1n, 0n, 1n]) edges.push(2n ** bits + delta, -(2n ** bits) + delta)
    }
    t.strictSame(read(decimals(edges, 0)), edges.map(String))
    const seed = 7
    const prng = new Prng(seed)
    const random = Array.from({ length: 2_000 }, () => {
      const bits = prng.below(126)
      let value = 0n
      for (let i = 0; i < bits; i++) value = (value << 1n) | BigInt(prng.below(2))
      return prng.chance(0.5) ? value : -value
    })
    t.strictSame(read(decimals(random, 0)), random.map(String), `seed ${seed}`)
  },
)

t.test('a HUGEINT travels as a decimal and comes out whole', async (t) => {
  const huge = [2n ** 120n, -(2n ** 120n), 0n]
  t.strictSame(read(decimals(huge, 0), 'HUGEINT'), huge)
  t.strictSame(read(vector(['12345678901234567890', null], new Utf8()), 'HUGEINT'), [
    12345678901234567890n,
    null,
  ])
  const list = vector([['1', '-5'], null], new List(new Field('item', new Utf8(), true)))
  t.strictSame(read(list, 'HUGEINT[]'), [[1n, -5n], null])
})

t.test('texts come whole, whether ASCII or not', async (t) => {
  const ascii = ['', 'a', null, 'longer than a few bytes', '\u0000\u007f']
  t.strictSame(read(vector(ascii, new Utf8())), ascii)
  const mixed = ['grün', null, '日本語', '😀', 'plain', '', '\ufeffmarked']
  t.strictSame(read(vector(mixed, new Utf8())), mixed)
  t.strictSame(read(vector(mixed, new LargeUtf8())), mixed)
  t.strictSame(read(vector([null, null], new Utf8())), [null, null])
  t.strictSame(read(vector([], new Utf8())), [])
})

t.test('bytes are copies of their own', async (t) => {
  const values = [Uint8Array.of(1, 2), null, Uint8Array.of()]
  const out = read(vector(values, new Binary()))
  t.strictSame(out, values)
  t.equal((out[0] as Uint8Array).buffer.byteLength, 2)
  t.strictSame(read(vector([Uint8Array.of(9, 8, 7)], new FixedSizeBinary(3))), [
    Uint8Array.of(9, 8, 7),
  ])
})

t.test('a UUID is its text', async (t) => {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i * 17)
  t.strictSame(read(vector([bytes], new FixedSizeBinary(16)), 'UUID'), [
    '00112233-4455-6677-8899-aabbccddeeff',
  ])
})

t.test('booleans and nulls', async (t) => {
  const many = Array.from({ length: 19 }, (_, i) => (i % 5 === 0 ? null : i % 2 === 0))
  t.strictSame(read(vector(many, new Bool())), many)
  t.strictSame(read(vector([null, null], new Null())), [null, null])
})

const days = (values: readonly number[]): Vector =>
  makeVector(makeData({ type: new DateDay(), data: Int32Array.from(values) }))

t.test('a DATE is midnight UTC, or its text', async (t) => {
  const values = days([0, 10_471, -1, -141_427, 11_016])
  t.strictSame(read(values), [
    new Date('1970-01-01'),
    new Date('1998-09-02'),
    new Date('1969-12-31'),
    new Date('1582-10-15'),
    new Date('2000-02-29'),
  ])
  t.strictSame(read(values, 'DATE', { date: 'string' }), [
    '1970-01-01',
    '1998-09-02',
    '1969-12-31',
    '1582-10-15',
    '2000-02-29',
  ])
  t.strictSame(
    read(vector([new Date('2024-02-29')], new DateMillisecond()), 'DATE', { date: 'string' }),
    ['2024-02-29'],
  )
})

t.test('dates that Date cannot hold are texts, and infinities are infinite', async (t) => {
  const out = read(days([2_147_483_647, -2_147_483_647, 200_000_000, -719_529, -2_147_483_640]))
  t.strictSame(out.slice(0, 3), [Infinity, -Infinity, '549551-05-28'])
  t.strictSame(read(days([2_147_483_647, -719_528, -719_529]), 'DATE', { date: 'string' }), [
    'infinity',
    '0001-01-01 (BC)',
    '0002-12-31 (BC)',
  ])
})

t.test('every day of four thousand years has the text that Date gives it', async (t) => {
  const values = Array.from({ length: 1_461_000 / 7 }, (_, i) => -719_162 + i * 7)
  const wrong = read(days(values), 'DATE', { date: 'string' }).findIndex((text, i) => {
    const day = new Date((values[i] as number) * 86_400_000)
    return day.toISOString().slice(0, 10) !== text
  })
  t.equal(wrong, -1)
})

const micros = (values: readonly bigint[], zone?: string): Vector =>
  makeVector(
    makeData({ type: new TimestampMicrosecond(zone ?? null), data: BigInt64Array.from(values) }),
  )

t.test('a time stamp is a Date to the millisecond, or a text to the last digit', async (t) => {
  const values = micros([
    0n,
    -1n,
    904_694_400_000_001n,
    1_795_000_000_123_456n,
    -2_208_988_800_000_001n,
  ])
  t.strictSame(
    read(values).map((date) => (date as Date).toISOString()),
    [
      '1970-01-01T00:00:00.000Z',
      '1969-12-31T23:59:59.999Z',
      '1998-09-02T00:00:00.000Z',
      '2026-11-18T11:06:40.123Z',
      '1899-12-31T23:59:59.999Z',
    ],
  )
  t.strictSame(read(values, 'TIMESTAMP', { timestamp: 'string' }), [
    '1970-01-01T00:00:00',
    '1969-12-31T23:59:59.999999',
    '1998-09-02T00:00:00.000001',
    '2026-11-18T11:06:40.123456',
    '1899-12-31T23:59:59.999999',
  ])
  t.strictSame(read(micros([0n], 'UTC'), 'TIMESTAMPTZ', { timestamp: 'string' }), [
    '1970-01-01T00:00:00Z',
  ])
})

t.test('time stamps far from now and of other units', async (t) => {
  const far = 253_402_300_799_999_999n
  t.strictSame(read(micros([far, -far, 9_223_372_036_854_775_807n, -9_223_372_036_854_775_807n])), [
    new Date('9999-12-31T23:59:59.999Z'),
    new Date(Number(-far / 1000n) - 1),
    Infinity,
    -Infinity,
  ])
  t.strictSame(
    read(micros([9_223_372_036_854_775_807n, 9_223_372_036_854_775_806n]), 'T', {
      timestamp: 'string',
    }),
    ['infinity', '294247-01-10T04:00:54.775806'],
  )
  const nanos = makeVector(
    makeData({ type: new TimestampNanosecond(), data: BigInt64Array.of(1_000_000_001n, -1n) }),
  )
  t.strictSame(read(nanos, 'TIMESTAMP_NS', { timestamp: 'string' }), [
    '1970-01-01T00:00:01.000000001',
    '1969-12-31T23:59:59.999999999',
  ])
  const seconds = makeVector(
    makeData({ type: new TimestampSecond(), data: BigInt64Array.of(86_400n) }),
  )
  t.strictSame(read(seconds), [new Date('1970-01-02')])
})

t.test('a TIME is its text', async (t) => {
  const times = makeVector(
    makeData({
      type: new TimeMicrosecond(),
      data: BigInt64Array.of(0n, 86_399_999_999n, 3_600_500_000n),
    }),
  )
  t.strictSame(read(times), ['00:00:00', '23:59:59.999999', '01:00:00.5'])
})

t.test('lists, structs and maps are arrays, objects and maps', async (t) => {
  const lists = [[1n, 2n], null, [], [null, 3n]]
  t.strictSame(read(vector(lists, new List(new Field('item', new Int64(), true)))), lists)
  const fixed = [['a', 'b'], null, ['c', null]]
  t.strictSame(
    read(vector(fixed, new FixedSizeList(2, new Field('item', new Utf8(), true)))),
    fixed,
  )
  const struct = new Struct([
    new Field('a', new Int32(), true),
    new Field('b', new List(new Field('item', new Utf8(), true)), true),
  ])
  const objects = [{ a: 1, b: ['x'] }, null, { a: null, b: null }]
  t.strictSame(read(vector(objects, struct)), objects)
  const entries = new Field(
    'entries',
    new Struct([new Field('key', new Utf8()), new Field('value', new Int32(), true)]),
    false,
  )
  const maps = [
    new Map([
      ['x', 1],
      ['y', null],
    ]),
    null,
    new Map(),
  ]
  t.strictSame(read(vector(maps, new Map_(entries as never))), maps)
  const deep = [[[1], []], null, [[2, null], null]]
  const inner = new List(new Field('item', new Int32(), true))
  t.strictSame(read(vector(deep, new List(new Field('item', inner, true)))), deep)
})

t.test('a column of codes gives the values of its dictionary', async (t) => {
  const values = ['red', 'green', null, 'red', 'blue']
  const type = new Dictionary(new Utf8(), new Int32())
  t.strictSame(read(vector(values, type)), values)
})

t.test('a batch that lies at an odd address is read all the same', async (t) => {
  const messages = messagesOf(new Table({ c: vector([1n, 2n, null], new Int64()) }))
  for (let shift = 0; shift < 8; shift++) {
    const decoder = new BatchDecoder([{ name: 'c', type: 'BIGINT' }], convertersOf({}))
    for (const message of messages) {
      const moved = new Uint8Array(message.byteLength + 8)
      moved.set(message, shift)
      const batch = decoder.decode(moved.subarray(shift, shift + message.byteLength))
      if (batch !== undefined) t.strictSame(batch.columns, [[1n, 2n, null]], `shift ${shift}`)
    }
  }
})

t.test('every value agrees with apache-arrow’s own reading of random columns', async (t) => {
  const seed = 20_261_122
  const prng = new Prng(seed)
  const text = (): string =>
    Array.from({ length: prng.below(12) }, () => prng.pick(['a', 'Z', ' ', 'ü', '漢', '😀'])).join(
      '',
    )
  for (let round = 0; round < 60; round++) {
    const length = prng.below(200)
    const values = Array.from({ length }, () => (prng.chance(0.2) ? null : text()))
    const list = Array.from({ length }, () =>
      prng.chance(0.2) ? null : Array.from({ length: prng.below(4) }, () => prng.below(100)),
    )
    t.strictSame(read(vector(values, new Utf8())), values, `seed ${seed}, round ${round}`)
    const type = new List(new Field('item', new Int32(), true))
    t.strictSame(read(vector(list, type)), list, `seed ${seed}, round ${round}`)
  }
})

t.test('a damaged message gives an error, never a crash and never an endless read', async (t) => {
  const seed = 99
  const prng = new Prng(seed)
  const struct = new Struct([new Field('a', new Utf8(), true), new Field('b', new Int64(), true)])
  const messages = messagesOf(
    new Table({ c: vector([{ a: 'x', b: 1n }, null, { a: 'yy', b: 2n }], struct) }),
  )
  let refused = 0
  for (let round = 0; round < 3_000; round++) {
    const decoder = new BatchDecoder([{ name: 'c', type: 'STRUCT' }], convertersOf({}))
    try {
      for (const message of messages) {
        const damaged = new Uint8Array(message)
        // The metadata only: a changed value in the body is another value, which the frame's crc finds.
        const metadataBytes = new DataView(message.buffer, message.byteOffset).getUint32(4, true)
        damaged[8 + prng.below(metadataBytes)] = prng.below(256)
        rowsOf({ kind: 'arrow', payload: damaged })
        decoder.decode(damaged)
      }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      refused++
    }
  }
  t.ok(refused > 500, `seed ${seed}: ${refused} of 3000 were refused`)
})

t.test('a truncated message is refused', async (t) => {
  const [schema = new Uint8Array()] = messagesOf(new Table({ c: vector([1], new Int32()) }))
  for (let length = 0; length < schema.byteLength; length += 8) {
    t.throws(() => decodeMessage(schema.subarray(0, length)), { code: '08P01' }, `${length} bytes`)
  }
})
