import type { PartitionSpec } from './metadata.ts'
import {
  parseTransform,
  type PartitionValue,
  resultType,
  type Transform,
} from './partition-transform.ts'
import { encodeBound, twosComplement } from './single-value.ts'
import type { IcebergField } from './types.ts'

/** A field of a partition spec with all that reading and writing its values takes. */
export interface PartitionField {
  readonly id: number
  readonly name: string
  readonly transform: Transform
  /** The column; undefined where the schema has it no more. */
  readonly source: IcebergField | undefined
  /** Of the field's values. */
  readonly type: string
}

export const partitionFields = (
  spec: PartitionSpec,
  columns: readonly IcebergField[],
): readonly PartitionField[] =>
  spec.fields.map((field) => {
    const transform = parseTransform(field.transform)
    const source = columns.find(({ id }) => id === field['source-id'])
    const type = resultType(transform, source?.type ?? 'string')
    return { id: field['field-id'], name: field.name, transform, source, type }
  })

/** A partition's value as Avro has it. */
export type RawValue = boolean | number | bigint | string | Buffer | null

/** How Avro has the values of a type. */
interface AvroForm {
  /** Of a whole number with its sign; absent where all values fit. */
  readonly bits?: number
  raw(value: bigint | string): RawValue
}

const TRUTH: AvroForm = { raw: (value) => value === 1n }
const INT: AvroForm = { bits: 32, raw: Number }
const LONG: AvroForm = { bits: 64, raw: BigInt }
const REAL: AvroForm = { raw: Number }
const TEXT: AvroForm = { raw: String }
const BYTES: AvroForm = { raw: (value) => Buffer.from(String(value), 'hex') }

const FORMS: ReadonlyMap<string, AvroForm> = new Map([
  ['boolean', TRUTH],
  ['int', INT],
  ['date', INT],
  ['long', LONG],
  ['time', LONG],
  ['timestamp', LONG],
  ['timestamptz', LONG],
  ['float', REAL],
  ['double', REAL],
  ['string', TEXT],
])

function formOf(type: string): AvroForm {
  const form = FORMS.get(type)
  if (form !== undefined) return form
  if (!type.startsWith('decimal(')) return BYTES
  const size = decimalSize(type)
  return { bits: 8 * size, raw: (value) => fixedOf(BigInt(value), size) }
}

/** The sign goes on to the left of the fewest bytes. */
function fixedOf(value: bigint, size: number): Buffer {
  const bytes = twosComplement(value)
  return Buffer.concat([Buffer.alloc(size - bytes.length, value < 0n ? 0xff : 0), bytes])
}

export const rawValue = (type: string, value: PartitionValue): RawValue =>
  value === null ? null : formOf(type).raw(value)

/** True where Avro's type, as {@link rawValue} writes it, holds the value. */
export function isHeld(type: string, value: PartitionValue): boolean {
  if (typeof value !== 'bigint') return true
  const { bits } = formOf(type)
  return bits === undefined || BigInt.asIntN(bits, value) === value
}

/** Bytes of Avro's `fixed` for a decimal: the fewest that hold all values of the precision. */
export function decimalSize(type: string): number {
  const precision = BigInt(/^decimal\((\d+)/.exec(type)?.[1] ?? 38)
  let size = 1
  while (2n ** BigInt(8 * size - 1) < 10n ** precision) size++
  return size
}

export function valueOfRaw(raw: RawValue | undefined, isDecimal: boolean): PartitionValue {
  if (raw === null || raw === undefined) return null
  if (typeof raw === 'boolean') return raw ? 1n : 0n
  if (typeof raw === 'number') return Number.isInteger(raw) ? BigInt(raw) : String(raw)
  if (!Buffer.isBuffer(raw)) return raw
  if (!isDecimal) return raw.toString('hex')
  return BigInt.asIntN(8 * raw.length, BigInt(`0x${raw.toString('hex')}`))
}

/** What a manifest list says of one partition field of a manifest's files. */
export interface FieldSummary {
  readonly containsNull: boolean
  /** Null where it is not known. */
  readonly containsNan: boolean | null
  /** Null where there is no value, or the type has no bounds here. */
  readonly lower: Buffer | null
  readonly upper: Buffer | null
}

export function summaryOf(type: string, values: readonly PartitionValue[]): FieldSummary {
  let lower: bigint | string | undefined
  let upper: bigint | string | undefined
  for (const value of values) {
    if (value === null) continue
    if (lower === undefined || compareValues(value, lower) < 0) lower = value
    if (upper === undefined || compareValues(value, upper) > 0) upper = value
  }
  const bound = (value: bigint | string | undefined): Buffer | null =>
    value === undefined ? null : (encodeBound(type, String(value)) ?? null)
  const containsNan = type === 'float' || type === 'double' ? null : false
  return {
    containsNull: values.includes(null),
    containsNan,
    lower: bound(lower),
    upper: bound(upper),
  }
}

function compareValues(a: bigint | string, b: bigint | string): number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
}
