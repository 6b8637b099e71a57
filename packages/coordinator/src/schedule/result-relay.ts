import { chainCrc, crc32, type Frame, FRAME_HEADER_BYTES } from '@nyala/client/wire'

/** What one task may have on its way to this coordinator: enough to keep a socket busy while the client thinks. */
export const TASK_WINDOW_BYTES = 2 * 1024 * 1024

interface Waiting {
  readonly message: Uint8Array
  readonly crc: number
  readonly sent: () => void
}

/**
 * Passes result frames of one or several tasks on to a client, in one numbering, never more bytes than the client has
 * given credit for. What the client has not asked for waits here, bounded by the window of each task, because a task
 * is granted more only when a frame of it has left.
 */
export class ResultRelay {
  readonly #call: number
  readonly #send: (message: Uint8Array) => void
  readonly #waiting: Waiting[] = []
  #credit: number
  #frames = 0
  #crc = 0
  #bytes = 0
  #schemaSent = false
  #onEmpty: (() => void) | undefined

  constructor(options: {
    readonly call: number
    readonly creditBytes: number
    send(message: Uint8Array): void
  }) {
    this.#call = options.call
    this.#credit = options.creditBytes
    this.#send = options.send
  }

  /** Frames passed on, the schema included. */
  get frames(): number {
    return this.#frames
  }
  get crc(): number {
    return this.#crc
  }
  get bytes(): number {
    return this.#bytes
  }
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, w) => sum + w.message.byteLength, 0)
  }

  /**
   * Takes a frame of a task; `sent` is called when it has left. The schema frame of every task but the first is
   * dropped, as all tasks of a fragment have the same. True when the frame carries rows.
   */
  push(frame: Frame, message: Uint8Array, sent: () => void): boolean {
    const isSchema = frame.sequence === 0
    if (isSchema && this.#schemaSent) {
      sent()
      return false
    }
    if (isSchema) this.#schemaSent = true
    this.#waiting.push({ message, crc: frame.crc, sent })
    this.#flush()
    return !isSchema
  }

  grant(bytes: number): void {
    this.#credit += bytes
    this.#flush()
  }

  /** Resolves when nothing waits any more. */
  empty(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Drops what waits; nothing is sent after this. */
  stop(): void {
    this.#waiting.length = 0
    this.#credit = Number.NEGATIVE_INFINITY
    this.#onEmpty?.()
  }

  #flush(): void {
    while (this.#credit > 0) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#credit -= next.message.byteLength
      this.#bytes += next.message.byteLength - FRAME_HEADER_BYTES
      this.#number(next)
      this.#send(next.message)
      next.sent()
    }
    if (this.#waiting.length === 0) this.#onEmpty?.()
  }

  #number({ message, crc }: Waiting): void {
    const header = new DataView(message.buffer, message.byteOffset, FRAME_HEADER_BYTES)
    header.setUint32(4, this.#call, true)
    header.setUint32(8, this.#frames++, true)
    this.#crc = chainCrc(crc32, this.#crc, crc)
  }
}
