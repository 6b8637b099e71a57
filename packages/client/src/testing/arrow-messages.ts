import { RecordBatchStreamWriter, type Table } from 'apache-arrow'
import { FlatTable } from '../wire/flatbuffer.ts'

/** Slot of `bodyLength` in Arrow's Message table. */
const BODY_LENGTH_SLOT = 3

/** The encapsulated IPC messages of a table: the schema, then dictionaries and batches. No end-of-stream marker. */
export function messagesOf(table: Table): Uint8Array[] {
  const writer = RecordBatchStreamWriter.writeAll(table)
  return splitMessages(writer.toUint8Array(true))
}

/** Cuts an IPC stream into its messages. */
export function splitMessages(stream: Uint8Array): Uint8Array[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength)
  const messages: Uint8Array[] = []
  let offset = 0
  while (offset + 8 <= stream.byteLength) {
    const metadataBytes = view.getUint32(offset + 4, true)
    if (metadataBytes === 0) break
    const metadata = stream.subarray(offset + 8, offset + 8 + metadataBytes)
    const bodyBytes = FlatTable.root(metadata).int64(BODY_LENGTH_SLOT)
    const end = offset + 8 + metadataBytes + bodyBytes
    messages.push(stream.slice(offset, end))
    offset = end
  }
  return messages
}
