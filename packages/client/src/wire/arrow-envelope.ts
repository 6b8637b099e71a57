import { SqlError } from '../protocol/errors.ts'
import { FlatTable } from './flatbuffer.ts'
import type { Frame } from './frames.ts'
import { packedRows } from './packed-batch.ts'

const CONTINUATION = 0xffffffff
/** Type of a message that is a record batch. */
const RECORD_BATCH = 3

/** The metadata of an encapsulated IPC message, and where its body begins. */
export interface Envelope {
  readonly message: FlatTable
  readonly bodyStart: number
}

/** Fails with `protocol_violation` where the payload is no such message; a damaged one may throw RangeError. */
export function openEnvelope(payload: Uint8Array): Envelope {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  if (payload.byteLength < 8 || view.getUint32(0, true) !== CONTINUATION) {
    throw new SqlError('protocol_violation', 'data frame does not hold an arrow message')
  }
  const metadataBytes = view.getUint32(4, true)
  const bodyStart = 8 + metadataBytes
  if (metadataBytes < 8 || bodyStart > payload.byteLength) {
    throw new SqlError('protocol_violation', `arrow message with ${metadataBytes} metadata bytes`)
  }
  return { message: FlatTable.root(payload.subarray(8, bodyStart)), bodyStart }
}

/**
 * Rows in a data frame, 0 for a schema or dictionary. Cheap: no column is looked at. Fails with `protocol_violation`
 * where the frame holds no arrow message.
 */
export function rowsOf({ kind, payload }: Pick<Frame, 'kind' | 'payload'>): number {
  if (kind === 'packed') return packedRows(payload)
  return guardedArrow(() => {
    const { message } = openEnvelope(payload)
    return message.byte(1) === RECORD_BATCH ? (message.table(2)?.int64(0) ?? 0) : 0
  })
}

/** A read beyond the end of a damaged message is the peer's fault, not a bug here. */
export function guardedArrow<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new SqlError('protocol_violation', 'arrow message is damaged', { cause: error })
  }
}
