import { Prng, systemClock } from '@nyala/client/base'
import t from 'tap'
import { KernelWorld } from '../testing/kernel-world.ts'

const world = await KernelWorld.start()
t.teardown(() => world[Symbol.asyncDispose]())

const seed = Number(process.argv[2] ?? systemClock.wall() % 1_000_000)
t.comment(`seed ${seed}`)
const prng = new Prng(seed)

/** Columns of random content, each a function of the row number `i`, with NULLs. */
const COLUMNS = [
  'i',
  '(i * 7919) % 1000003',
  "repeat('ab', (hash(i) % 40)::INTEGER) || i",
  'CASE WHEN hash(i) % 3 = 0 THEN NULL ELSE left(md5(i::VARCHAR), (hash(i + 1) % 33)::INTEGER) END',
  'CASE WHEN hash(i) % 5 = 0 THEN NULL ELSE i % 2 = 0 END',
  'CASE WHEN hash(i) % 7 = 0 THEN NULL ELSE (i * 0.37)::DECIMAL(18, 4) END',
  'CASE WHEN hash(i) % 2 = 0 THEN NULL ELSE [i, NULL, i + 1] END',
  "CASE WHEN hash(i) % 4 = 0 THEN NULL ELSE {a: i, b: 'text of some length ' || i} END",
  "CASE WHEN i % 3 = 0 THEN MAP {} ELSE MAP {'key ' || i: i, 'another longer key': NULL} END",
  'list_transform(range((hash(i) % 6)::BIGINT), lambda x: repeat(chr(97 + x::INTEGER), (x * 5)::INTEGER))',
  '[i, CASE WHEN hash(i) % 3 = 1 THEN NULL ELSE i * 2 END]::BIGINT[2]',
  "DATE '2000-01-01' + (i % 5000)::INTEGER",
  // What the packing of batches tells apart: how far whole numbers spread, and how many distinct texts there are.
  '(i % 200)::BIGINT - 100',
  '(i % 3000)::BIGINT - 70000',
  '(i * 100003 - 1000000000)::BIGINT',
  'i * 4294967296 - 1',
  '(i % 300)::INTEGER - 5',
  '(i * 70001)::INTEGER',
  '((i % 50) / 10)::DECIMAL(4, 1)',
  '(i % 70000 - 35000)::DECIMAL(9, 2)',
  '(1000000 - i * 99991)::DECIMAL(18, 4)',
  '(i * 123456789)::DECIMAL(38, 3)',
  'i / 7.0::DOUBLE',
  "['', 'A', 'REG AIR', 'TWELVE CHARS'][1 + (hash(i) % 4)::BIGINT]",
  "CASE WHEN hash(i) % 5 = 0 THEN NULL ELSE ['no', 'DELIVER IN PERSON', repeat('forty ', 9), 'DELIVER AT ONCE!!'][1 + (hash(i + 1) % 4)::BIGINT] END",
  "'text ' || (i % 255)",
  "'text ' || (i % 256)",
  "'a longer text ' || CASE WHEN i < 5000 THEN 0 ELSE i END",
  "repeat('x', (i % 70)::INTEGER * 10)",
  '[(hash(i) % 9)::VARCHAR, NULL]',
]

/** The value as text, made from Arrow here and by the kernel itself there. */
const TEXT = (expression: string): string => {
  // Arrays are the one type that the kernel does not turn into JSON.
  const value = expression.includes('BIGINT[2]') ? `(${expression})::BIGINT[]` : expression
  return `to_json(${value})::VARCHAR`
}

for (let round = 0; round < 16; round++) {
  const picked = Array.from({ length: 1 + prng.below(7) }, () => prng.pick(COLUMNS))
  const rows = prng.pick([0, 1, 2047, 2048, 2049, 10_000, 30_000])
  const modulus = 1 + prng.below(4)
  t.test(
    `${rows} rows of ${picked.length} columns come as they are, filter % ${modulus}`,
    async (t) => {
      const from = `FROM range(${rows}) t(i) WHERE hash(i) % ${modulus} = 0 ORDER BY i`
      const values = picked.map((column, k) => `${column} AS c${k}`)
      const texts = picked.map((column, k) => `${TEXT(column)} AS c${k}`)
      const table = await world.table(`SELECT ${values.join(', ')} ${from}`)
      const expected = await world.table(`SELECT ${texts.join(', ')} ${from}`)
      t.equal(table.numRows, expected.numRows)
      let wrong: unknown
      for (let row = 0; row < table.numRows && wrong === undefined; row++) {
        picked.forEach((_, k) => {
          const got = normal(table.getChildAt(k)?.get(row), picked[k] ?? '')
          const want = JSON.parse(
            (expected.getChildAt(k)?.get(row) as string | null) ?? 'null',
          ) as unknown
          if (JSON.stringify(got) !== JSON.stringify(want))
            wrong ??= { row, column: picked[k], got, want }
        })
      }
      t.equal(wrong, undefined)
    },
  )
}

const decimal = (words: Uint32Array): number =>
  Number(
    BigInt.asIntN(
      128,
      words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n),
    ),
  )

const scaleOf = (column: string): number => Number(/DECIMAL\(\d+, (\d+)\)/.exec(column)?.[1] ?? 0)

/** What the kernel's `to_json` gives, made of an Arrow value. */
function normal(value: unknown, column: string): unknown {
  if (value === null || value === undefined) return null
  if (column.startsWith('DATE')) return new Date(value as number).toISOString().slice(0, 10)
  if (value instanceof Uint32Array) return decimal(value) / 10 ** scaleOf(column)
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object') return value
  const json = (value as { toJSON(): unknown }).toJSON()
  if (Array.isArray(json)) return json.map((item) => normal(item, ''))
  const entries = Object.entries(json as Record<string, unknown>)
  return Object.fromEntries(entries.map(([key, item]) => [key, normal(item, '')]))
}
