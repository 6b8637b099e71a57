import { refusedValue } from '@nyala/executor/protocol'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { PartitionValue, Transform } from './partition-transform.ts'
import type { IcebergField } from './types.ts'

/**
 * Partition fields as expressions of the kernel's SQL over a table's columns: texts that {@link parseKey} reads, NULL for
 * no value. They come to the same as `transformed`, which the tests hold them to.
 */
export function keySql(transform: Transform, column: IcebergField): string {
  const { name, type } = column
  const value = quoteIdentifier(name)
  const text = String(type)
  switch (transform.kind) {
    case 'identity':
      return plainSql(text, value)
    case 'truncate':
      return truncateSql(text, value, transform.width)
    case 'bucket':
      return asText(`(${hashSql(text, value)} & 2147483647) % ${transform.count}`)
    case 'year':
      return asText(finite(`date_part('year', ${utc(text, value)}) - 1970`, value))
    case 'month': {
      const at = utc(text, value)
      return asText(
        finite(`(date_part('year', ${at}) - 1970) * 12 + date_part('month', ${at}) - 1`, value),
      )
    }
    case 'day':
      return asText(
        finite(`date_diff('day', DATE '1970-01-01', CAST(${utc(text, value)} AS DATE))`, value),
      )
    case 'hour':
      return asText(finite(`date_diff('hour', TIMESTAMP '1970-01-01', ${utc(text, value)})`, value))
    case 'void':
    case 'unknown':
      return 'CAST(NULL AS VARCHAR)'
  }
}

/** The value that a key of {@link keySql} stands for. */
export const parseKey = (type: string, key: string | null): PartitionValue =>
  key === null || type === 'string' || type === 'uuid' || type === 'binary' ? key : BigInt(key)

const asText = (sql: string): string => `CAST(${sql} AS VARCHAR)`

/** No partition is that of `infinity`, which has no year and no day; `value` is the name of a column. */
function finite(sql: string, value: string): string {
  const refused = refusedValue('numeric_value_out_of_range')
  const before = quoteLiteral(`${refused}column ${value} cannot hold "`)
  const after = quoteLiteral(
    '": the table is partitioned by it, and no partition is that of infinity',
  )
  const error = `error(${before} || CAST(${value} AS VARCHAR) || ${after})`
  return `CASE WHEN isfinite(${value}) THEN ${sql} ELSE CASE WHEN ${value} IS NULL THEN NULL ELSE ${error} END END`
}

/** A TIMESTAMP is what it says; one with a zone is a moment, of which the specification takes the time in UTC. */
const utc = (type: string, value: string): string =>
  type === 'timestamptz' ? `make_timestamp(epoch_us(${value}))` : value

const unscaled = (value: string): string =>
  `CAST(replace(CAST(${value} AS VARCHAR), '.', '') AS HUGEINT)`

function plainSql(type: string, value: string): string {
  switch (type) {
    case 'string':
      return value
    case 'boolean':
      return asText(`CAST(${value} AS INTEGER)`)
    case 'int':
    case 'long':
      return asText(value)
    default:
      return asText(numberSql(type, value))
  }
}

/** A value as the whole number that the specification has for it. */
function numberSql(type: string, value: string): string {
  switch (type) {
    case 'date':
      return finite(`date_diff('day', DATE '1970-01-01', ${value})`, value)
    case 'time':
      return `epoch_us(${value})`
    case 'timestamp':
    case 'timestamptz':
      return finite(`epoch_us(${value})`, value)
    case 'int':
    case 'long':
      return value
    default:
      return unscaled(value)
  }
}

function truncateSql(type: string, value: string, width: number): string {
  if (type === 'string') return `left(${value}, ${width})`
  const number = `CAST(${numberSql(type, value)} AS HUGEINT)`
  return asText(`${number} - ((${number} % ${width}) + ${width}) % ${width}`)
}

// The hash: the steps of `murmur3`, with numbers of 64 bits of which the lower 32 are kept after each.

const MASK = 4_294_967_295n

const masked = (sql: string): string => `((${sql}) & ${MASK})`
const times = (sql: string, factor: number): string => masked(`${sql} * ${factor}`)

/** `body` with a name for a value that it uses more than once. */
const bind = (name: string, value: string, body: string): string =>
  `list_transform([${value}], lambda ${name}: ${body})[1]`

const rotated = (name: string, bits: number): string =>
  masked(`${name} * ${2 ** bits} + ${name} // ${2 ** (32 - bits)}`)

const mixed = (block: string): string =>
  bind('"m"', times(block, 0xcc9e2d51), times(rotated('"m"', 15), 0x1b873593))

const added = (hash: string, block: string): string =>
  bind('"x"', `xor(${hash}, ${mixed(block)})`, masked(`${rotated('"x"', 13)} * 5 + ${0xe6546b64}`))

function finished(hash: string, length: string): string {
  const shifted = (name: string, bits: number): string => `xor(${name}, ${name} // ${2 ** bits})`
  const third = bind('"f3"', times(shifted('"f2"', 13), 0xc2b2ae35), shifted('"f3"', 16))
  const second = bind('"f2"', times(shifted('"f1"', 16), 0x85ebca6b), third)
  return bind('"f1"', `xor(${hash}, ${length})`, second)
}

function hashSql(type: string, value: string): string {
  const hash =
    type === 'string' || type === 'binary' || type === 'uuid' || type.startsWith('decimal(')
      ? hashOfBytes(hexSql(type, value))
      : hashOfLong(numberSql(type, value))
  return `CASE WHEN ${value} IS NOT NULL THEN ${hash} END`
}

/** Eight bytes, the lowest first: two blocks. */
function hashOfLong(number: string): string {
  const low = `CAST("n" & ${MASK} AS UBIGINT)`
  const high = `CAST(("n" >> 32) & ${MASK} AS UBIGINT)`
  const blocks = added(added('CAST(0 AS UBIGINT)', low), high)
  return bind('"n"', `CAST(${number} AS BIGINT)`, finished(blocks, 'CAST(8 AS UBIGINT)'))
}

/** Any number of bytes, as hexadecimal digits. */
function hashOfBytes(hex: string): string {
  const digits = (from: string): string => `substr("b", ${from}, 2)`
  const block = (index: string): string =>
    number([7, 5, 3, 1].map((offset) => digits(`${index} * 8 + ${offset}`)))
  const blocks = `list_transform(range(CAST(length("b") // 8 AS BIGINT)), lambda "i": ${block('"i"')})`
  const whole = `list_reduce(${blocks}, lambda "h", "k": ${added('"h"', '"k"')}, CAST(0 AS UBIGINT))`
  const end = 'length("b") // 8 * 8'
  const tail = number([5, 3, 1].map((offset) => digits(`${end} + ${offset}`)))
  return bind(
    '"b"',
    hex,
    finished(`xor(${whole}, ${mixed(tail)})`, 'CAST(length("b") // 2 AS UBIGINT)'),
  )
}

const number = (digits: readonly string[]): string =>
  `CAST('0x0' || ${digits.join(' || ')} AS UBIGINT)`

function hexSql(type: string, value: string): string {
  switch (type) {
    case 'string':
      return `hex(encode(${value}))`
    case 'binary':
      return `hex(${value})`
    case 'uuid':
      return `replace(CAST(${value} AS VARCHAR), '-', '')`
    default:
      return bind('"u"', unscaled(value), decimalHexSql())
  }
}

/** The fewest bytes of a number's two's complement, the highest first. */
function decimalHexSql(): string {
  const cases = Array.from({ length: 16 }, (_, i) => {
    const bytes = i + 1
    const half = 2n ** BigInt(8 * bytes - 1)
    // Half is added twice, as the whole of 16 bytes is more than a HUGEINT holds.
    const wrapped = `CAST("u" + ${half - 1n} + 1 AS UHUGEINT) + CAST(${half - 1n} AS UHUGEINT) + 1`
    const positive = `CAST(greatest("u", 0) AS UHUGEINT)`
    const bits = `CASE WHEN "u" < 0 THEN ${wrapped} ELSE ${positive} END`
    const text = `lpad(hex(${bits}), ${2 * bytes}, '0')`
    return bytes === 16 ? `ELSE ${text}` : `WHEN "u" BETWEEN ${-half} AND ${half - 1n} THEN ${text}`
  })
  return `CASE ${cases.join(' ')} END`
}
