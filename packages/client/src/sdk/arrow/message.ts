import { SqlError } from '../../protocol/errors.ts'
import { guardedArrow, openEnvelope } from '../../wire/arrow-envelope.ts'
import type { FlatTable } from '../../wire/flatbuffer.ts'
import { type ArrowSchema, decodeSchema } from './schema.ts'

/** A record batch as it came: where its buffers lie in `body`. Nothing is decoded before a column is read. */
export interface RawBatch {
  readonly length: number
  readonly nodes: readonly (readonly [length: number, nullCount: number])[]
  readonly buffers: readonly (readonly [offset: number, length: number])[]
  readonly body: Uint8Array
}

export type ArrowMessage =
  | { readonly kind: 'schema'; readonly schema: ArrowSchema }
  | { readonly kind: 'batch'; readonly batch: RawBatch }
  | {
      readonly kind: 'dictionary'
      readonly id: bigint
      readonly delta: boolean
      readonly batch: RawBatch
    }

/** Typed arrays over the body need this alignment; a payload that lies otherwise is copied once. */
const ALIGNMENT = 8

export function decodeMessage(payload: Uint8Array): ArrowMessage {
  return guardedArrow(() => decodeEnvelope(payload))
}

function decodeEnvelope(payload: Uint8Array): ArrowMessage {
  const { message, bodyStart } = openEnvelope(payload)
  const header = message.table(2)
  if (header === undefined) throw new SqlError('protocol_violation', 'arrow message is empty')
  const body = aligned(payload.subarray(bodyStart))
  const type = message.byte(1)
  switch (type) {
    case 1:
      return { kind: 'schema', schema: decodeSchema(header) }
    case 2: {
      const data = header.table(1)
      if (data === undefined) throw new SqlError('protocol_violation', 'dictionary without data')
      const batch = decodeBatch(data, body)
      return { kind: 'dictionary', id: header.bigint(0), delta: header.byte(2) !== 0, batch }
    }
    case 3:
      return { kind: 'batch', batch: decodeBatch(header, body) }
    default:
      throw new SqlError('protocol_violation', `arrow message of type ${type}`)
  }
}

function decodeBatch(table: FlatTable, body: Uint8Array): RawBatch {
  if (table.table(3) !== undefined) {
    throw new SqlError('feature_not_supported', 'the client cannot read compressed arrow batches')
  }
  return { length: table.int64(0), nodes: table.pairs(1), buffers: table.pairs(2), body }
}

const aligned = (bytes: Uint8Array): Uint8Array =>
  bytes.byteOffset % ALIGNMENT === 0 ? bytes : new Uint8Array(bytes)
