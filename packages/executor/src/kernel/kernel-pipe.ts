import type { Duplex } from 'node:stream'
import { MESSAGE_BYTES_MAX } from '@nyala/client/wire'

/**
 * Packets on the pipe between executor and kernel:
 *
 *   offset  size  field
 *        0     4  bytes of the payload, little-endian
 *        4     4  type: 1 = JSON message, 2 = frame
 *        8     4  task of a frame, else 0
 *       12     4  reserved, 0; keeps payloads aligned to 8 bytes where the buffer is
 *       16     …  payload
 */
export const PACKET_HEADER_BYTES = 16
const TYPE_MESSAGE = 1
const TYPE_FRAME = 2
/** Room for a message or frame of the largest size and what describes it. */
const PACKET_BYTES_MAX = 2 * MESSAGE_BYTES_MAX

export interface PipeEvents {
  onMessage(message: unknown): void
  /** A whole frame in a buffer of its own, which the receiver may keep. */
  onFrame(task: number, frame: Buffer): void
  /** What comes is no packet: the other end has gone wrong. Nothing more is read. */
  onDamage(reason: string): void
  /** The other end is gone; called once. */
  onClose(): void
}

/** One end of the pipe. Writes are never dropped: whoever writes frames holds credits for them. */
export class KernelPipe {
  readonly #stream: Duplex
  readonly #events: PipeEvents
  readonly #reader: PacketReader
  #closed = false
  #corked = false

  /** `allocate` gives the buffers for what is received. */
  constructor(stream: Duplex, events: PipeEvents, allocate: (bytes: number) => Buffer) {
    this.#stream = stream
    this.#events = events
    this.#reader = new PacketReader(events, allocate)
    stream.on('data', (bytes: Buffer) => this.#reader.push(bytes))
    // An error is always followed by a close, which says all that matters to us.
    stream.on('error', () => undefined)
    stream.on('end', () => this.#onClose())
    stream.on('close', () => this.#onClose())
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength
  }

  send(message: object): void {
    if (this.#closed) return
    const text = JSON.stringify(message)
    const bytes = Buffer.byteLength(text)
    const packet = Buffer.allocUnsafe(PACKET_HEADER_BYTES + bytes)
    writePacketHeader(packet, { bytes, type: TYPE_MESSAGE, task: 0 })
    packet.write(text, PACKET_HEADER_BYTES, 'utf8')
    this.#write(packet)
  }

  /**
   * Sends a packet whose first {@link PACKET_HEADER_BYTES} are free for its header. `onWritten` is called when the
   * buffer may be used again.
   */
  sendFrame(task: number, packet: Uint8Array, onWritten: () => void): void {
    if (this.#closed) return onWritten()
    const bytes = packet.byteLength - PACKET_HEADER_BYTES
    writePacketHeader(packet, { bytes, type: TYPE_FRAME, task })
    this.#write(packet, onWritten)
  }

  close(): void {
    this.#stream.destroy()
  }

  /** What one turn of the event loop sends goes out in one write. */
  #write(packet: Uint8Array, onWritten?: () => void): void {
    if (!this.#corked) {
      this.#corked = true
      this.#stream.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#stream.uncork()
      })
    }
    this.#stream.write(packet, onWritten)
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#events.onClose()
  }
}

interface PacketHeader {
  readonly bytes: number
  readonly type: number
  readonly task: number
}

function writePacketHeader(target: Uint8Array, header: PacketHeader): void {
  const view = new DataView(target.buffer, target.byteOffset, PACKET_HEADER_BYTES)
  view.setUint32(0, header.bytes, true)
  view.setUint32(4, header.type, true)
  view.setUint32(8, header.task, true)
  view.setUint32(12, 0, true)
}

/** Puts packets together from whatever pieces the pipe delivers; each payload is copied once, into its own buffer. */
class PacketReader {
  readonly #events: PipeEvents
  readonly #header = Buffer.alloc(PACKET_HEADER_BYTES)
  #headerFilled = 0
  #payload: Buffer | undefined
  #payloadFilled = 0
  #broken = false
  readonly #allocate: (bytes: number) => Buffer

  constructor(events: PipeEvents, allocate: (bytes: number) => Buffer) {
    this.#events = events
    this.#allocate = allocate
  }

  push(bytes: Buffer): void {
    let at = 0
    while (at < bytes.byteLength && !this.#broken) {
      at = this.#payload === undefined ? this.#readHeader(bytes, at) : this.#readPayload(bytes, at)
    }
  }

  #readHeader(bytes: Buffer, at: number): number {
    const take = Math.min(PACKET_HEADER_BYTES - this.#headerFilled, bytes.byteLength - at)
    bytes.copy(this.#header, this.#headerFilled, at, at + take)
    this.#headerFilled += take
    if (this.#headerFilled < PACKET_HEADER_BYTES) return at + take
    const size = this.#header.readUInt32LE(0)
    if (size === 0 || size > PACKET_BYTES_MAX) return this.#damaged(`packet of ${size} bytes`)
    this.#payload = this.#allocate(size)
    this.#payloadFilled = 0
    return at + take
  }

  #readPayload(bytes: Buffer, at: number): number {
    const payload = this.#payload as Buffer
    const take = Math.min(payload.byteLength - this.#payloadFilled, bytes.byteLength - at)
    bytes.copy(payload, this.#payloadFilled, at, at + take)
    this.#payloadFilled += take
    if (this.#payloadFilled === payload.byteLength) {
      this.#payload = undefined
      this.#headerFilled = 0
      this.#deliver(payload)
    }
    return at + take
  }

  #deliver(payload: Buffer): void {
    const type = this.#header.readUInt32LE(4)
    if (type === TYPE_FRAME) return this.#events.onFrame(this.#header.readUInt32LE(8), payload)
    if (type !== TYPE_MESSAGE) return void this.#damaged(`packet of type ${type}`)
    const message = parseJson(payload.toString('utf8'))
    if (message === undefined) return void this.#damaged('message that is not JSON')
    this.#events.onMessage(message)
  }

  /** Skips everything from here on. */
  #damaged(reason: string): number {
    this.#broken = true
    this.#events.onDamage(reason)
    return Number.POSITIVE_INFINITY
  }
}

/** `undefined`, which JSON cannot say, for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
