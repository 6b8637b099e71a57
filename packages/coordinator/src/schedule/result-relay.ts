import { SqlError, type TaskEnd, type TaskPlace, type TaskSoFar } from '@nyala/client/protocol'
import {
  chainCrc,
  crc32,
  type Frame,
  FRAME_HEADER_BYTES,
  rowsOf,
  setFrameCall,
} from '@nyala/client/wire'
import type { ResultSoFar } from '@nyala/executor/protocol'

/** What one task may have on its way to this coordinator: enough to keep a socket busy while the client thinks. */
export const TASK_WINDOW_BYTES = 2 * 1024 * 1024

/** What is said between frames, at its place among them. */
export type Aside =
  | { readonly kind: 'streaming'; readonly resumable: boolean }
  | { readonly kind: 'taskEnded'; readonly end: TaskEnd }

/** Whoever gives frames to a relay. */
export interface FrameSource {
  /** Bytes of a frame have left, or are not wanted. */
  sent(bytes: number): void
  /** The client has the frames below this number. */
  acknowledged(frames: number): void
}

export interface ResultRelayOptions {
  readonly call: number
  readonly creditBytes: number
  send(message: Uint8Array): void
  /** Absent where nobody reads: then nothing is held, and what has left counts as acknowledged. */
  readonly say?: (aside: Aside) => void
  /** What the client has already. */
  readonly place?: readonly TaskSoFar[]
  readonly ended?: readonly TaskEnd[]
}

interface TaskStream {
  /** Undefined where one was lost, until the first frame of the next one comes. */
  attempt: number | undefined
  source: FrameSource | undefined
  /** The next frame to take, and the next to leave. */
  next: number
  toSend: number
  /** Of what was taken: chained, and rows of each frame but the schema. */
  crc: number
  readonly frameRows: number[]
}

type Waiting =
  | {
      readonly kind: 'frame'
      readonly message: Uint8Array
      readonly frame: Frame
      readonly source: FrameSource
    }
  | { readonly kind: 'end'; readonly end: TaskEnd }

/**
 * Passes result frames of one or several tasks on to a client, never more bytes than the client has given credit for.
 * What the client has not asked for waits here, bounded by the window of each task, because a task is granted more only
 * when a frame of it has left.
 *
 * ```
 *   held ──open──► open          held: nothing leaves, until it is settled what becomes of it without this process:
 *     └───empty─────►┘           it can go on elsewhere (open, resumable), or all of it is here (empty)
 * ```
 */
export class ResultRelay {
  readonly #options: ResultRelayOptions
  readonly #waiting: Waiting[] = []
  readonly #streams = new Map<number, TaskStream>()
  readonly #untold: TaskEnd[] = []
  #credit: number
  #bytes = 0
  #waitingBytes = 0
  #schemaSent: boolean
  /** The tasks of which not all has left, where the rows of one come before those of the next. */
  #order: number[] | undefined
  #isOpen: boolean
  #isResumable = false
  #onEmpty: (() => void) | undefined
  #onHeld: ((bytes: number) => void) | undefined

  constructor(options: ResultRelayOptions) {
    this.#options = options
    this.#credit = options.creditBytes
    this.#isOpen = options.say === undefined
    for (const { task, attempt, frames, crc } of options.ended ?? []) {
      const begun = newStream(attempt, frames)
      this.#streams.set(task, { ...begun, crc })
    }
    for (const { task, attempt, frames, crc, frameRows } of options.place ?? []) {
      const begun = newStream(attempt, frames)
      this.#streams.set(task, { ...begun, crc, frameRows: [...frameRows] })
    }
    this.#schemaSent = this.#streams.size > 0
  }

  /**
   * The rows of these tasks follow one another: nothing of one leaves before all of the one before has. What comes of
   * the later ones waits, within their windows.
   */
  inOrder(tasks: readonly number[]): void {
    const over = new Set(this.#options.ended?.map(({ task }) => task))
    this.#order = tasks.filter((task) => !over.has(task))
  }

  /** The ends that the client has not been told of. */
  get untoldEnds(): readonly TaskEnd[] {
    return this.#untold
  }
  get bytes(): number {
    return this.#bytes
  }
  get waitingBytes(): number {
    return this.#waitingBytes
  }
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** What waits may leave as soon as the client asks for more. */
  get isBlocked(): boolean {
    return this.#isOpen && this.#waiting.length > 0 && !(this.#credit > 0)
  }

  /** Called with the bytes that wait whenever a frame comes while nothing may leave. */
  onHeld(listener: (bytes: number) => void): void {
    this.#onHeld = listener
  }

  /**
   * Takes the next frame of a task. What the client has is dropped, and when its turn comes, so is every schema frame but
   * the first, as all tasks of a fragment have the same.
   */
  push(frame: Frame, message: Uint8Array, source: FrameSource): void {
    const { task, attempt, sequence } = frame
    const stream = this.#streams.get(task) ?? newStream(attempt, 0)
    const { next } = stream
    stream.attempt ??= attempt
    if (stream.attempt !== attempt) {
      throw new Error(`frame of attempt ${attempt} of task ${task} after attempt ${stream.attempt}`)
    }
    if (sequence > next) throw new Error(`frame ${sequence} of task ${task} came before ${next}`)
    this.#streams.set(task, stream)
    stream.source = source
    if (sequence < next) return source.sent(message.byteLength)
    stream.next = sequence + 1
    if (sequence > 0) {
      stream.crc = chainCrc(crc32, stream.crc, frame.crc)
      stream.frameRows.push(rowsIn(frame))
    }
    this.#waiting.push({ kind: 'frame', message, frame, source })
    this.#waitingBytes += message.byteLength
    if (this.#isOpen) this.#flush()
    else this.#onHeld?.(this.#waitingBytes)
  }

  /** All frames of a task have been pushed. */
  end(end: TaskEnd): void {
    this.#waiting.push({ kind: 'end', end })
    if (this.#isOpen) this.#flush()
  }

  /**
   * Fails with `protocol_violation` where what came of a task is not what its executor says that it has sent; a client that
   * is not told of ends looks for itself.
   */
  checkEnds(): void {
    for (const { task, frames, crc } of this.#untold) {
      const { next = 0, crc: came = 0 } = this.#streams.get(task) ?? {}
      if (next === frames && came === crc) continue
      const what = `${next} frames with the checksum ${came}`
      throw new SqlError(
        'protocol_violation',
        `of task ${task} came ${what}, not ${frames} with ${crc}`,
      )
    }
  }

  /** Something of the task has come. */
  hasBegun(task: number): boolean {
    return this.#streams.has(task)
  }

  /** True when a row of the task has left: it cannot be run again. */
  hasSentRows(task: number): boolean {
    return (this.#streams.get(task)?.toSend ?? 0) > 1
  }

  /**
   * Another attempt of a task begins. Where no row has left, what waits of it is dropped and it begins anew; else it is
   * to go on after what this says.
   */
  restart(task: number): ResultSoFar | undefined {
    const stream = this.#streams.get(task)
    if (stream === undefined || stream.toSend <= 1) {
      this.#discard(task)
      return undefined
    }
    stream.attempt = undefined
    stream.source = undefined
    const { next: frames, crc, frameRows } = stream
    return { frames, crc, frameRows: [...frameRows] }
  }

  #discard(task: number): void {
    const stream = this.#streams.get(task)
    if (stream === undefined) return
    const kept = this.#waiting.filter((w) => w.kind === 'end' || w.frame.task !== task)
    this.#waiting.splice(0, this.#waiting.length, ...kept)
    this.#waitingBytes = kept.reduce(
      (n, w) => n + (w.kind === 'frame' ? w.message.byteLength : 0),
      0,
    )
    this.#streams.delete(task)
  }

  grant(bytes: number, acknowledged: readonly TaskPlace[] = []): void {
    this.#credit += bytes
    for (const { task, attempt, frames } of acknowledged) {
      const stream = this.#streams.get(task)
      if (stream?.attempt === attempt) stream.source?.acknowledged(Math.min(frames, stream.toSend))
    }
    if (this.#isOpen) this.#flush()
  }

  /** What comes may leave. Told again when a result becomes resumable that was not. */
  open(resumable: boolean): void {
    if (this.#isOpen && (!resumable || this.#isResumable)) return
    this.#isOpen = true
    this.#isResumable = resumable
    this.#options.say?.({ kind: 'streaming', resumable })
    this.#flush()
  }

  /** All has been pushed: resolves when nothing waits any more. */
  empty(): Promise<void> {
    if (!this.#isOpen) {
      // The client holds the frames until it knows that these are all.
      if (this.#waitingBytes < this.#credit) this.#isOpen = true
      else this.open(false)
      this.#flush()
    }
    if (this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Drops what waits; nothing is sent after this. */
  stop(): void {
    this.#waiting.length = 0
    this.#waitingBytes = 0
    this.#credit = Number.NEGATIVE_INFINITY
    this.#isOpen = true
    this.#onEmpty?.()
  }

  #flush(): void {
    for (let at = this.#nextWaiting(); at !== undefined; at = this.#nextWaiting()) {
      const next = this.#waiting[at]
      if (next === undefined) break
      const isSpare = next.kind === 'frame' && next.frame.sequence === 0 && this.#schemaSent
      if (next.kind === 'frame' && !isSpare && !(this.#credit > 0)) break
      this.#waiting.splice(at, 1)
      if (next.kind === 'end' && this.#order?.[0] === next.end.task) this.#order.shift()
      if (isSpare) this.#drop(next)
      else if (next.kind === 'frame') this.#send(next)
      else if (this.#isResumable) this.#options.say?.({ kind: 'taskEnded', end: next.end })
      else this.#untold.push(next.end)
    }
    if (this.#waiting.length === 0) this.#onEmpty?.()
  }

  /** Where the next to leave waits. */
  #nextWaiting(): number | undefined {
    if (this.#order === undefined) return this.#waiting.length > 0 ? 0 : undefined
    const [first] = this.#order
    const at = this.#waiting.findIndex(
      (w) => (w.kind === 'frame' ? w.frame.task : w.end.task) === first,
    )
    return at < 0 ? undefined : at
  }

  #drop({ message, frame, source }: Extract<Waiting, { kind: 'frame' }>): void {
    this.#waitingBytes -= message.byteLength
    const stream = this.#streams.get(frame.task)
    if (stream === undefined) return
    stream.toSend = 1
    source.sent(message.byteLength)
  }

  #send({ message, frame, source }: Extract<Waiting, { kind: 'frame' }>): void {
    this.#schemaSent = true
    this.#credit -= message.byteLength
    this.#waitingBytes -= message.byteLength
    this.#bytes += message.byteLength - FRAME_HEADER_BYTES
    setFrameCall(message, this.#options.call)
    this.#options.send(message)
    const stream = this.#streams.get(frame.task)
    if (stream === undefined) return
    stream.toSend = frame.sequence + 1
    source.sent(message.byteLength)
    if (this.#options.say === undefined) source.acknowledged(stream.toSend)
  }
}

const newStream = (attempt: number, frames: number): TaskStream => ({
  attempt,
  source: undefined,
  next: frames,
  toSend: frames,
  crc: 0,
  frameRows: [],
})

/** One that is damaged is not told apart here, but by who reads it. */
function rowsIn(frame: Frame): number {
  try {
    return rowsOf(frame)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return 0
  }
}
