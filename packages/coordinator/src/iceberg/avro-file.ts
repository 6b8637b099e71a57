import { randomBytes } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import avro, { type Type } from 'avsc'

/**
 * Avro object container files, whole in memory: manifests are some megabytes at the most. Written here rather than with
 * the streams of `avsc`, which leave out of the header's schema the attributes (`field-id`) that Iceberg's readers need.
 */
const MAGIC = Buffer.from([0x4f, 0x62, 0x6a, 1])
const SYNC_BYTES = 16
/** Records of one block. */
const BLOCK_RECORDS = 1000

/** Longs are bigints: snapshot ids use all 64 bits. */
const long = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})

/** Values of an Avro type: records as objects, longs as bigints, bytes as buffers, options as the value or null. */
export function avroType(schema: unknown): Type {
  return avro.Type.forSchema(plainLongs(schema) as Parameters<typeof avro.Type.forSchema>[0], {
    registry: { long },
    wrapUnions: false,
  })
}

/** Without the logical types of longs, beside which `avsc` does not look for a type of ours. */
function plainLongs(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(plainLongs)
  if (typeof schema !== 'object' || schema === null) return schema
  if ('logicalType' in schema && 'type' in schema && schema.type === 'long') return 'long'
  return Object.fromEntries(Object.entries(schema).map(([key, item]) => [key, plainLongs(item)]))
}

/** Types by the text of their schema: to make one takes longer than to write a manifest with it. */
const types = new Map<string, Type>()
/** Tables have one or two schemas each, but for what they were partitioned by before. */
const TYPES_MAX = 500

function keptType(schemaText: string): Type {
  const known = types.get(schemaText)
  if (known !== undefined) return known
  const type = avroType(JSON.parse(schemaText))
  if (types.size >= TYPES_MAX) types.clear()
  types.set(schemaText, type)
  return type
}

const headerType = avro.Type.forSchema({ type: 'map', values: 'bytes' })

/** The bytes of a file with these records. `metadata` goes into its header. */
export function writeAvro(
  schema: unknown,
  records: readonly unknown[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const text = JSON.stringify(schema)
  const type = keptType(text)
  const sync = randomBytes(SYNC_BYTES)
  const header = { ...metadata, 'avro.schema': text, 'avro.codec': 'deflate' }
  const entries = Object.entries(header).map(([key, value]) => [key, Buffer.from(value)])
  const parts: Buffer[] = [MAGIC, headerType.toBuffer(Object.fromEntries(entries)), sync]
  for (let first = 0; first < records.length; first += BLOCK_RECORDS) {
    const block = records.slice(first, first + BLOCK_RECORDS)
    const bytes = deflateRawSync(Buffer.concat(block.map((record) => type.toBuffer(record))))
    parts.push(long.toBuffer(BigInt(block.length)), long.toBuffer(BigInt(bytes.length)))
    parts.push(bytes, sync)
  }
  return Buffer.concat(parts)
}

export interface AvroFile {
  /** The header's entries but those of Avro itself, as text. */
  readonly metadata: Readonly<Record<string, string>>
  readonly records: readonly unknown[]
}

/** Reads a whole file. Throws an Error that says what is wrong with its bytes. */
export function readAvro(bytes: Buffer): AvroFile {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it is no Avro file')
  const header = decode(headerType, bytes, MAGIC.length)
  const entries = header.value as Readonly<Record<string, Buffer>>
  const metadata = Object.fromEntries(Object.entries(entries).map(([k, v]) => [k, v.toString()]))
  const sync = bytes.subarray(header.end, header.end + SYNC_BYTES)
  const type = keptType(metadata['avro.schema'] ?? '')
  const codec = metadata['avro.codec'] ?? 'null'
  const records: unknown[] = []
  for (let at = header.end + SYNC_BYTES; at < bytes.length;) {
    const count = decode(long, bytes, at)
    const size = decode(long, bytes, count.end)
    const end = size.end + Number(size.value)
    const block = decompress(codec, bytes.subarray(size.end, end))
    if (!bytes.subarray(end, end + SYNC_BYTES).equals(sync)) throw new Error('a block is damaged')
    let offset = 0
    for (let i = 0n; i < (count.value as bigint); i++) {
      const record = decode(type, block, offset)
      records.push(record.value)
      offset = record.end
    }
    if (offset !== block.length) throw new Error('a block is longer than its records')
    at = end + SYNC_BYTES
  }
  return { metadata, records }
}

function decode(
  type: Type,
  bytes: Buffer,
  at: number,
): { readonly value: unknown; readonly end: number } {
  const { value, offset } = type.decode(bytes, at) as {
    readonly value: unknown
    readonly offset: number
  }
  if (offset < 0) throw new Error('it is cut off')
  return { value, end: offset }
}

function decompress(codec: string, block: Buffer): Buffer {
  if (codec === 'null') return block
  if (codec === 'deflate') return inflateRawSync(block)
  throw new Error(`its codec "${codec}" is not supported`)
}
