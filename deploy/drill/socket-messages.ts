/** A run of bytes on its way; where it is a whole message of a WebSocket, it can be repeated or change places with another. */
export interface Piece {
  readonly bytes: Buffer
  readonly isMessage: boolean
}

/** A request or answer of HTTP that is longer is none that opens a WebSocket. */
const HEAD_BYTES_MAX = 16 * 1024
const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Cuts the bytes that pass one way into messages where they are those of a WebSocket (RFC 6455), and leaves them as they
 * come where they are anything else. What is not a whole message yet is kept until it is.
 */
export class SocketMessages {
  #state: 'head' | 'messages' | 'anything' = 'head'
  #head: Buffer = Buffer.alloc(0)
  #kept: Buffer[] = []
  #keptBytes = 0
  /** Of the message that has begun; unknown until its head is here. */
  #wantedBytes: number | undefined

  take(bytes: Buffer): readonly Piece[] {
    switch (this.#state) {
      case 'anything':
        return [{ bytes, isMessage: false }]
      case 'head':
        return this.#takeHead(bytes)
      case 'messages':
        return this.#takeMessages(bytes)
    }
  }

  /** What has come of a message that will not be whole: the connection ends. */
  rest(): readonly Piece[] {
    const kept = this.#kept.splice(0)
    this.#keptBytes = 0
    return kept.map((bytes) => ({ bytes, isMessage: false }))
  }

  #takeHead(bytes: Buffer): readonly Piece[] {
    const before = this.#head.byteLength
    this.#head = Buffer.concat([this.#head, bytes])
    const end = this.#head.indexOf(HEAD_END)
    const begins = this.#head.subarray(0, 4).toString('latin1')
    const isHttp = 'GET '.startsWith(begins) || 'HTTP'.startsWith(begins)
    if (!isHttp || (end < 0 && this.#head.byteLength > HEAD_BYTES_MAX)) {
      this.#state = 'anything'
    }
    if (end < 0 || this.#state === 'anything') return [{ bytes, isMessage: false }]
    const opens = /^upgrade: *websocket/im.test(this.#head.subarray(0, end).toString('latin1'))
    this.#state = opens ? 'messages' : 'anything'
    const left = end + HEAD_END.byteLength - before
    const head = { bytes: bytes.subarray(0, left), isMessage: false }
    const rest = bytes.subarray(left)
    return rest.byteLength === 0 ? [head] : [head, ...this.take(rest)]
  }

  #takeMessages(bytes: Buffer): readonly Piece[] {
    this.#kept.push(bytes)
    this.#keptBytes += bytes.byteLength
    const pieces: Piece[] = []
    for (;;) {
      this.#wantedBytes ??= messageBytes(this.#all(HEADER_BYTES_MAX))
      if (this.#wantedBytes === undefined || this.#keptBytes < this.#wantedBytes) return pieces
      const all = this.#all(this.#keptBytes)
      const whole = all.subarray(0, this.#wantedBytes)
      const rest = all.subarray(this.#wantedBytes)
      this.#kept = rest.byteLength === 0 ? [] : [rest]
      this.#keptBytes = rest.byteLength
      this.#wantedBytes = undefined
      pieces.push({ bytes: whole, isMessage: isMessage(whole) })
    }
  }

  /** The kept bytes as one, if so many are wanted of them and the first piece has not got them. */
  #all(wanted: number): Buffer {
    const [first] = this.#kept
    if (this.#kept.length > 1 && (first?.byteLength ?? 0) < wanted) {
      this.#kept = [Buffer.concat(this.#kept)]
    }
    return this.#kept[0] ?? Buffer.alloc(0)
  }
}

/** Flags, length of eight bytes at most, mask. */
const HEADER_BYTES_MAX = 14

/** Bytes of the message that begins here, its header included; undefined where the header is not whole. */
function messageBytes(bytes: Buffer): number | undefined {
  if (bytes.byteLength < 2) return undefined
  const second = bytes.readUInt8(1)
  const mask = (second & 0x80) === 0 ? 0 : 4
  const short = second & 0x7f
  if (short < 126) return 2 + mask + short
  if (short === 126) return bytes.byteLength < 4 ? undefined : 4 + mask + bytes.readUInt16BE(2)
  return bytes.byteLength < 10 ? undefined : 10 + mask + Number(bytes.readBigUInt64BE(2))
}

/** Text or bytes in one piece; control frames and parts of a message keep their places. */
function isMessage(bytes: Buffer): boolean {
  const first = bytes.readUInt8(0)
  return first === 0x81 || first === 0x82
}
