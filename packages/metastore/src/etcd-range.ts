/** A key as etcd's messages have it: numbers of 64 bits as text. */
export interface RangeItem {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: string
  readonly mod_revision: string
  readonly version: string
  readonly lease: string
}

/** Of etcd's RangeResponse, what a read of one key needs. */
export interface RangeAnswer {
  readonly header: { readonly cluster_id: string; readonly revision: string }
  readonly kvs: readonly RangeItem[]
}

type Field = bigint | Buffer

const VARINT = 0
const BYTES = 2
const ZERO = 0n
const EMPTY = Buffer.alloc(0)

/** RangeRequest of one key: field 1, bytes. Linearizable, as etcd's reads are that do not say otherwise. */
export function encodeGet(key: Buffer): Buffer {
  const length: number[] = []
  for (let left = key.length; ; left >>>= 7) {
    if (left < 0x80) {
      length.push(left)
      break
    }
    length.push((left & 0x7f) | 0x80)
  }
  return Buffer.concat([Buffer.from([(1 << 3) | BYTES, ...length]), key])
}

/** Reads a RangeResponse. Fails with an Error where the bytes are none. */
export function decodeRange(message: Buffer): RangeAnswer {
  const fields = fieldsOf(message)
  const header = fieldsOf(bytes(fields, 1))
  return {
    header: { cluster_id: number(header, 1), revision: number(header, 3) },
    kvs: (fields.get(2) ?? []).map((item) => {
      if (typeof item === 'bigint') throw new Error('a key of etcd that is a number')
      const kv = fieldsOf(item)
      return {
        key: bytes(kv, 1),
        create_revision: number(kv, 2),
        mod_revision: number(kv, 3),
        version: number(kv, 4),
        value: bytes(kv, 5),
        lease: number(kv, 6),
      }
    }),
  }
}

/** All fields of a message by their numbers. */
function fieldsOf(message: Buffer): ReadonlyMap<number, readonly Field[]> {
  const fields = new Map<number, Field[]>()
  let at = 0
  const varint = (): bigint => {
    let value = ZERO
    for (let shift = ZERO; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined || shift > 63n) throw new Error('a message of etcd that is cut')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = Number(varint())
    const kind = tag & 7
    if (kind !== VARINT && kind !== BYTES) throw new Error(`a field of etcd of kind ${kind}`)
    let field: Field = varint()
    if (kind === BYTES) {
      const end = at + Number(field)
      if (end > message.length) throw new Error('a message of etcd that is cut')
      field = message.subarray(at, end)
      at = end
    }
    fields.set(tag >>> 3, [...(fields.get(tag >>> 3) ?? []), field])
  }
  return fields
}

/** A field that is absent is empty, or 0. */
function bytes(fields: ReadonlyMap<number, readonly Field[]>, field: number): Buffer {
  const value = fields.get(field)?.at(-1)
  if (typeof value === 'bigint') throw new Error(`field ${field} of etcd is a number`)
  return value ?? EMPTY
}

function number(fields: ReadonlyMap<number, readonly Field[]>, field: number): string {
  const value = fields.get(field)?.at(-1) ?? ZERO
  if (typeof value !== 'bigint') throw new Error(`field ${field} of etcd is no number`)
  return value.toString()
}
