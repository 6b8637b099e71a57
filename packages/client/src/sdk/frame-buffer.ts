import { deferred, type Deferred } from '../base/deferred.ts'
import { SqlError } from '../protocol/errors.ts'
import type { FinishedMessage, TaskEnd, TaskPlace, TaskSoFar } from '../protocol/messages.ts'
import { rowsOf } from '../wire/arrow-envelope.ts'
import { chainCrc, type Crc32 } from '../wire/crc32.ts'
import { FRAME_HEADER_BYTES, type Frame } from '../wire/frames.ts'
import { unpackBatch } from '../wire/packed-batch.ts'

/** A data frame as it waits for its reader. */
export interface HeldFrame {
  readonly task: number
  /** Within its task. */
  readonly sequence: number
  /** An encapsulated Arrow IPC message, or where `packed` says so a packed batch that holds one. */
  readonly payload: Uint8Array
  readonly packed: boolean
  /** Rows in it; 0 for a schema or a dictionary. */
  readonly rows: number
}

/** The Arrow message of a frame; a packed one is unpacked here, when it is read, so that less waits in memory. */
export function messageOf({ task, sequence, payload, packed }: HeldFrame): Uint8Array {
  if (!packed) return payload
  try {
    return unpackBatch(payload)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new SqlError(
      'protocol_violation',
      `frame ${sequence} of task ${task}: ${error.message}`,
      {
        cause: error,
      },
    )
  }
}

/** Credit is given back when this part of the window has been consumed, not for each frame; so for what has come. */
const CREDIT_BACK_PART = 4

export interface FrameBufferOptions {
  readonly crc32: Crc32
  /** Bytes that may be on their way or held here; the sender has been granted them at the start. */
  readonly windowBytes: number
  /** Grants `bytes` more, which may be none; `acknowledged` are the tasks of which more has come since the last time. */
  readonly grant: (bytes: number, acknowledged: readonly TaskPlace[]) => void
}

/** What has come of one task. */
interface TaskStream {
  readonly task: number
  /** The one that the last frame was of: another may have gone on where that was lost. */
  attempt: number
  /** Those before it. */
  readonly former: Set<number>
  /** Rows of each frame but the schema: another attempt that goes on must cut its frames alike. */
  readonly frameRows: number[]
  next: number
  rows: number
  crc: number
  acknowledged: number
}

/** What a client says of its place when it goes on elsewhere. */
export interface Place {
  readonly place: readonly TaskSoFar[]
  readonly ended: readonly TaskEnd[]
  /** What may be sent before more is granted. */
  readonly creditBytes: number
}

/**
 * The frames of a result, between the socket and the reader. It checks that every frame is whole, the next one of its
 * task and within the credit given, and that the ends agree with what came: a cut stream never looks complete. The
 * order among tasks means nothing. A frame that has come before, as it may after the sender has changed, is dropped.
 * Another attempt of a task may go on where one was lost: its checksum at the end is that of all frames, so one that
 * would have made other frames before is found out here too.
 *
 * ```
 *   closed: what comes is held ──open──► open: what comes is handed out ──finish, fail──► ended
 * ```
 *
 * A sender may send while its credit is above zero, so that one frame larger than the window does not block it; hence
 * at most the window and one frame are held.
 */
export class FrameBuffer {
  readonly #options: FrameBufferOptions
  readonly #held: HeldFrame[] = []
  readonly #streams = new Map<number, TaskStream>()
  readonly #ends = new Map<number, TaskEnd>()
  #creditBytes: number
  #consumedBytes = 0
  /** Bytes that have come since it was last said what has. */
  #unacknowledgedBytes = 0
  /** Bytes that have come and that the reader has not given back. */
  #unreleasedBytes = 0
  #hasSchema = false
  #isOpen = false
  #started = false
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

  /** From now on frames are handed out as they come. Idempotent. */
  open(): void {
    if (this.#isOpen) return
    this.#isOpen = true
    const waiter = this.#waiter
    const frame = waiter === undefined ? undefined : this.#held.shift()
    if (waiter === undefined || frame === undefined) return
    this.#waiter = undefined
    this.#started = true
    waiter.resolve(frame)
  }

  /** Takes a frame from the socket. A sentence comes back when the stream is broken; nothing after it counts. */
  push(frame: Frame): string | undefined {
    if (this.#end !== undefined) return undefined
    const { sequence, payload, task, attempt } = frame
    const name = `frame ${sequence} of task ${task}`
    if (frame.kind === 'segment') return `${name} is not arrow data`
    if (this.#options.crc32(payload) !== frame.crc) return `${name} has a wrong checksum`
    if (this.#creditBytes <= 0) return `${name} came without credit`
    // Only the first schema is sent on, as all tasks have the same.
    const due = this.#streamOf(task, attempt)?.next ?? (this.#hasSchema ? 1 : 0)
    if (sequence > due) return `${name} came where ${due} was due`
    const bytes = FRAME_HEADER_BYTES + payload.byteLength
    this.#creditBytes -= bytes
    if (sequence < due) {
      this.#consume(bytes)
      return undefined
    }
    const stream = this.#streamOf(task, attempt) ?? this.#newStream(task, attempt)
    if (stream.former.has(attempt)) {
      return `${name} is of attempt ${attempt}, those before it were of attempt ${stream.attempt}`
    }
    goOnAs(stream, attempt)
    if (this.#ends.has(task)) return `${name} came after the end of its task`
    stream.next = sequence + 1
    if (sequence > 0) stream.crc = chainCrc(this.#options.crc32, stream.crc, frame.crc)
    this.#hasSchema = true
    return this.#hold(stream, sequence, frame)
  }

  /** A task that has given no rows may be run again, under another attempt. */
  #streamOf(task: number, attempt: number): TaskStream | undefined {
    const stream = this.#streams.get(task)
    return stream === undefined || (stream.attempt !== attempt && stream.next <= 1)
      ? undefined
      : stream
  }

  #newStream(task: number, attempt: number): TaskStream {
    const known = this.#streams.get(task)
    const stream: TaskStream = {
      task,
      attempt,
      former: new Set(known === undefined ? [] : [...known.former, known.attempt]),
      frameRows: [],
      next: 0,
      rows: 0,
      crc: 0,
      acknowledged: 0,
    }
    this.#streams.set(task, stream)
    return stream
  }

  #hold(stream: TaskStream, sequence: number, { payload, kind }: Frame): string | undefined {
    const packed = kind === 'packed'
    try {
      const rows = rowsOf({ kind, payload })
      stream.rows += rows
      if (sequence > 0) stream.frameRows.push(rows)
      const bytes = FRAME_HEADER_BYTES + payload.byteLength
      this.#unreleasedBytes += bytes
      this.#unacknowledgedBytes += bytes
      this.#deliver({ task: stream.task, sequence, payload, packed, rows })
      // Of what nobody has begun to read, another process may want to be the reader.
      const isMuch = this.#unacknowledgedBytes * CREDIT_BACK_PART >= this.#options.windowBytes
      if (isMuch && this.#started) this.#options.grant(0, this.#acknowledge())
      return undefined
    } catch (error) {
      if (error instanceof SqlError) {
        return `frame ${sequence} of task ${stream.task}: ${error.message}`
      }
      throw error
    }
  }

  #deliver(frame: HeldFrame): void {
    const waiter = this.#waiter
    if (waiter === undefined || !this.#isOpen) {
      this.#held.push(frame)
      return
    }
    this.#waiter = undefined
    this.#started = true
    waiter.resolve(frame)
  }

  /** The sender says that all of a task has been sent. A sentence comes back when that is not what came. */
  endTask(end: TaskEnd): string | undefined {
    if (this.#end !== undefined) return undefined
    const stream = this.#streamOf(end.task, end.attempt)
    const wrong =
      stream === undefined
        ? // Of a task without rows not even the schema need have been sent.
          differing('frames', Math.max(end.frames, 1), 1)
        : ((stream.former.has(end.attempt)
            ? differing('attempt', end.attempt, stream.attempt)
            : undefined) ?? differing('frames', end.frames, stream.next))
    const disagrees =
      wrong ??
      differing('rows', end.rows, stream?.rows ?? 0) ??
      differing('checksum', end.crc, stream?.crc ?? 0) ??
      differing('attempt', end.attempt, this.#ends.get(end.task)?.attempt ?? end.attempt)
    if (disagrees !== undefined) return `task ${end.task}: ${disagrees}`
    this.#ends.set(end.task, end)
    return undefined
  }

  /** The sender says that all has been sent. A sentence comes back when that is not what came. */
  finish(finished: FinishedMessage): string | undefined {
    for (const end of finished.tasks) {
      const wrong = this.endTask(end)
      if (wrong !== undefined) return wrong
    }
    for (const { task } of this.#streams.values()) {
      if (!this.#ends.has(task)) return `the result ends, but the end of task ${task} did not come`
    }
    let rows = 0
    for (const end of this.#ends.values()) rows += end.rows
    // Without frames they are the rows that the statement changed.
    const wrong = this.#ends.size === 0 ? undefined : differing('rows', finished.rows, rows)
    if (wrong !== undefined) return wrong
    this.open()
    this.#finish({})
    return undefined
  }

  /** Where to go on at another sender, which has not been granted anything yet. */
  moved(): Place {
    this.#consumedBytes = 0
    this.#unacknowledgedBytes = 0
    this.#creditBytes = Math.max(0, this.#options.windowBytes - this.#unreleasedBytes)
    const place = [...this.#streams.values()]
      .filter(({ task }) => !this.#ends.has(task))
      .map((stream) => soFarOf(stream))
    return { place, ended: [...this.#ends.values()], creditBytes: this.#creditBytes }
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
    const frame = this.#isOpen ? this.#held.shift() : undefined
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
    const bytes = FRAME_HEADER_BYTES + frame.payload.byteLength
    this.#unreleasedBytes -= bytes
    this.#consume(bytes)
  }

  #consume(bytes: number): void {
    this.#consumedBytes += bytes
    if (this.#consumedBytes * CREDIT_BACK_PART < this.#options.windowBytes) return
    if (this.#end !== undefined) return
    const granted = this.#consumedBytes
    this.#consumedBytes = 0
    this.#creditBytes += granted
    this.#options.grant(granted, this.#acknowledge())
  }

  /** What is here need not be kept elsewhere: this process asks for it only once. */
  #acknowledge(): readonly TaskPlace[] {
    this.#unacknowledgedBytes = 0
    const more = [...this.#streams.values()].filter((s) => s.acknowledged < s.next)
    for (const stream of more) stream.acknowledged = stream.next
    return more.map((stream) => placeOf(stream))
  }
}

const placeOf = ({ task, attempt, next }: TaskStream): TaskPlace => ({
  task,
  attempt,
  frames: next,
})

const soFarOf = (stream: TaskStream): TaskSoFar => ({
  ...placeOf(stream),
  crc: stream.crc,
  frameRows: [...stream.frameRows],
})

/** Another attempt goes on with the frames of a task. */
function goOnAs(stream: TaskStream, attempt: number): void {
  if (stream.attempt === attempt) return
  stream.former.add(stream.attempt)
  stream.attempt = attempt
}

const differing = (what: string, said: number, came: number): string | undefined =>
  said === came ? undefined : `the result ends with ${what} ${said}, but ${came} came`
