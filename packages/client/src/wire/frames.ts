/**
 * A data frame: the binary messages of every socket.
 *
 *   offset  size  field
 *        0     1  format, 0x4e ('N')
 *        1     1  kind: 1 = Arrow IPC message, 2 = bytes of a segment, 3 = packed record batch (`packed-batch.ts`)
 *        2     2  flags: bit 0 = last frame of its stream
 *        4     4  call, little-endian: the number the receiver gave to the stream
 *        8     4  sequence, little-endian: 0, 1, 2, … within the attempt of the task, or within a segment
 *       12     4  CRC-32 (ISO 3309, as in zlib) of the payload, little-endian
 *       16     4  task, little-endian: the number of the task of the query that made the frame; 0 for a segment
 *       20     4  attempt, little-endian: of that task
 *       24     …  payload
 *
 * The payloads of an Arrow stream are encapsulated IPC messages, frame 0 the schema, some of them packed; unpacked,
 * joined in order and closed with an end-of-stream marker they are an Arrow IPC stream. The crc is made where the payload is made and checked where
 * it is used; whoever relays a frame rewrites `call` and leaves the rest, so that a frame has the same name wherever it
 * passes, and a stream that moves to another coordinator goes on at the next frame of each task.
 */
export const FRAME_HEADER_BYTES = 24
const FORMAT = 0x4e

export type FrameKind = 'arrow' | 'segment' | 'packed'

const KIND_NUMBERS: Readonly<Record<FrameKind, number>> = { arrow: 1, segment: 2, packed: 3 }
const KINDS: readonly (FrameKind | undefined)[] = [undefined, 'arrow', 'segment', 'packed']

export interface Frame {
  readonly kind: FrameKind
  readonly last: boolean
  readonly call: number
  readonly sequence: number
  readonly crc: number
  readonly task: number
  readonly attempt: number
  /** A view of the received message; copy it before keeping it for long. */
  readonly payload: Uint8Array
}

/** What stands before a payload; a frame without an origin is of task 0, attempt 0. */
export type FrameHeader = Omit<Frame, 'payload' | 'task' | 'attempt'> &
  Partial<Pick<Frame, 'task' | 'attempt'>>

/** Writes the 24 bytes before a payload into `target` at `offset`. */
export function writeFrameHeader(target: Uint8Array, frame: FrameHeader, offset = 0): void {
  const view = new DataView(target.buffer, target.byteOffset + offset, FRAME_HEADER_BYTES)
  view.setUint8(0, FORMAT)
  view.setUint8(1, KIND_NUMBERS[frame.kind])
  view.setUint16(2, frame.last ? 1 : 0, true)
  view.setUint32(4, frame.call, true)
  view.setUint32(8, frame.sequence, true)
  view.setUint32(12, frame.crc, true)
  view.setUint32(16, frame.task ?? 0, true)
  view.setUint32(20, frame.attempt ?? 0, true)
}

/** Header and payload as one new buffer. Costs a copy; relays use {@link writeFrameHeader} in place. */
export function encodeFrame(frame: FrameHeader & { readonly payload: Uint8Array }): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + frame.payload.byteLength)
  writeFrameHeader(bytes, frame)
  bytes.set(frame.payload, FRAME_HEADER_BYTES)
  return bytes
}

/** The frame in a received message, or a sentence saying why it is none. The payload is a view, its crc unchecked. */
export function decodeFrame(message: Uint8Array): Frame | string {
  if (message.byteLength < FRAME_HEADER_BYTES) {
    return `frame of ${message.byteLength} bytes is shorter than its header`
  }
  const view = new DataView(message.buffer, message.byteOffset, FRAME_HEADER_BYTES)
  if (view.getUint8(0) !== FORMAT) return `frame format ${view.getUint8(0)} is not known`
  const kind = KINDS[view.getUint8(1)]
  if (kind === undefined) return `frame kind ${view.getUint8(1)} is not known`
  const flags = view.getUint16(2, true)
  if (flags > 1) return `frame flags ${flags} are not known`
  return {
    kind,
    last: flags === 1,
    call: view.getUint32(4, true),
    sequence: view.getUint32(8, true),
    crc: view.getUint32(12, true),
    task: view.getUint32(16, true),
    attempt: view.getUint32(20, true),
    payload: message.subarray(FRAME_HEADER_BYTES),
  }
}

/** The call of an encoded frame is replaced in place, as a relay does. */
export function setFrameCall(message: Uint8Array, call: number): void {
  new DataView(message.buffer, message.byteOffset, FRAME_HEADER_BYTES).setUint32(4, call, true)
}

/** The executor names the origin of a frame in place; the kernel that made it knows nothing of it. */
export function setFrameOrigin(
  message: Uint8Array,
  { task, attempt }: Pick<Frame, 'task' | 'attempt'>,
): void {
  const view = new DataView(message.buffer, message.byteOffset, FRAME_HEADER_BYTES)
  view.setUint32(16, task, true)
  view.setUint32(20, attempt, true)
}
