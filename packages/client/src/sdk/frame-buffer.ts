import { deferred, type Deferred } from '../base/deferred.ts'
import { SqlError } from '../protocol/errors.ts'
import type { FinishedMessage } from '../protocol/messages.ts'
import { chainCrc, type Crc32 } from '../wire/crc32.ts'
import { FRAME_HEADER_BYTES, type Frame } from '../wire/frames.ts'
import { packedRows, unpackBatch } from '../wire/packed-batch.ts'
import { countRows } from './arrow/message.ts'

/** A data frame as it waits for its reader. */
export interface HeldFrame {
  readonly sequence: number
  /** An encapsulated Arrow IPC message, or where `packed` says so a packed batch that holds one. */
  readonly payload: Uint8Array
  readonly packed: boolean
  /** Rows in it; 0 for a schema or a dictionary. */
  readonly rows: number
}

/** The Arrow message of a frame; a packed one is unpacked here, when it is read, so that less waits in memory. */
export function messageOf({ sequence, payload, packed }: HeldFrame): Uint8Array {
  if (!packed) return payload
  try {
    return unpackBatch(payload)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new SqlError('protocol_violation', `frame ${sequence}: ${error.message}`, {
      cause: error,
    })
  }
}

/** Credit is given back when this part of the window has been consumed, not for each frame. */
const CREDIT_BACK_PART = 4

export interface FrameBufferOptions {
  readonly crc32: Crc32
  /** Bytes that may be on their way or held here; the sender has been granted them at the start. */
  readonly windowBytes: number
  /** Grants `bytes` more; frames below `acknowledged` have been consumed. */
  readonly grant: (bytes: number, acknowledged: number) => void
}

/**
 * The frames of one attempt at a statement, between the socket and the reader. It checks that every frame is whole, in
 * order and within the credit given, and that the end agrees with what came: a cut stream never looks complete.
 * A sender may send while its credit is above zero, so that one frame larger than the window does not block it; hence
 * at most the window and one frame are held.
 */
export class FrameBuffer {
  readonly #options: FrameBufferOptions
  readonly #held: HeldFrame[] = []
  #creditBytes: number
  #consumedBytes = 0
  #started = false
  #nextSequence = 0
  #acknowledged = 0
  #rows = 0
  #crc = 0
  #end: { readonly error?: SqlError } | undefined
  #waiter: Deferred<HeldFrame | undefined> | undefined

  constructor(options: FrameBufferOptions) {
    this.#options = options
    this.#creditBytes = options.windowBytes
  }

  /** True once a frame has been handed to the reader, even if the reader has not run since. */
  get started(): boolean {
    return this.#started
  }

  /** Takes a frame from the socket. A sentence comes back when the stream is broken; nothing after it counts. */
  push(frame: Frame): string | undefined {
    if (this.#end !== undefined) return undefined
    const { sequence, payload } = frame
    if (frame.kind === 'segment') return `frame ${sequence} is not arrow data`
    if (sequence !== this.#nextSequence) {
      return `frame ${sequence} came where ${this.#nextSequence} was due`
    }
    if (this.#options.crc32(payload) !== frame.crc) return `frame ${sequence} has a wrong checksum`
    if (this.#creditBytes <= 0) return `frame ${sequence} came without credit`
    this.#nextSequence++
    this.#creditBytes -= FRAME_HEADER_BYTES + payload.byteLength
    this.#crc = chainCrc(this.#options.crc32, this.#crc, frame.crc)
    return this.#hold(sequence, payload, frame.kind === 'packed')
  }

  #hold(sequence: number, payload: Uint8Array, packed: boolean): string | undefined {
    try {
      const rows = packed ? packedRows(payload) : countRows(payload)
      this.#rows += rows
      this.#deliver({ sequence, payload, packed, rows })
      return undefined
    } catch (error) {
      if (error instanceof SqlError) return `frame ${sequence}: ${error.message}`
      throw error
    }
  }

  #deliver(frame: HeldFrame): void {
    const waiter = this.#waiter
    if (waiter === undefined) {
      this.#held.push(frame)
      return
    }
    this.#waiter = undefined
    this.#started = true
    waiter.resolve(frame)
  }

  /** The sender says that all has been sent. A sentence comes back when that is not what came. */
  finish(finished: FinishedMessage): string | undefined {
    const wrong =
      differing('frames', finished.frames, this.#nextSequence) ??
      differing('rows', finished.rows, this.#nextSequence === 0 ? finished.rows : this.#rows) ??
      differing('checksum', finished.crc, this.#crc)
    if (wrong === undefined) this.#finish({})
    return wrong
  }

  /** Ends the stream in an error, at once: frames that nobody has taken yet are dropped. */
  fail(error: SqlError): void {
    this.#held.length = 0
    this.#finish({ error })
  }

  #finish(end: { readonly error?: SqlError }): void {
    if (this.#end !== undefined) return
    this.#end = end
    const waiter = this.#waiter
    this.#waiter = undefined
    if (end.error === undefined) waiter?.resolve(undefined)
    else waiter?.reject(end.error)
  }

  /** The next frame; undefined after the last of a complete stream. One caller at a time. */
  take(): Promise<HeldFrame | undefined> {
    const frame = this.#held.shift()
    if (frame !== undefined) {
      this.#started = true
      return Promise.resolve(frame)
    }
    if (this.#end !== undefined) {
      return this.#end.error === undefined
        ? Promise.resolve(undefined)
        : Promise.reject(this.#end.error)
    }
    this.#waiter = deferred<HeldFrame | undefined>()
    return this.#waiter.promise
  }

  /** The reader is done with a frame: its bytes may be sent again. */
  release(frame: HeldFrame): void {
    this.#acknowledged = frame.sequence + 1
    this.#consumedBytes += FRAME_HEADER_BYTES + frame.payload.byteLength
    if (this.#consumedBytes * CREDIT_BACK_PART < this.#options.windowBytes) return
    if (this.#end !== undefined) return
    const bytes = this.#consumedBytes
    this.#consumedBytes = 0
    this.#creditBytes += bytes
    this.#options.grant(bytes, this.#acknowledged)
  }
}

const differing = (what: string, said: number, came: number): string | undefined =>
  said === came ? undefined : `the result ends with ${what} ${said}, but ${came} came`
