import { assert, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'

/** What a task's result may occupy here: the kernel is given credit only for what fits. */
export const RESULT_BUFFER_BYTES_MAX: number = 8 * 1024 * 1024
/** Below this much outstanding credit, frames that the client has make room for new ones. */
const KERNEL_CREDIT_BYTES_MIN: number = 4 * 1024 * 1024

/** Takes the frames of one result in order, from the frame it asked for on. One of `ended` and `failed` comes last. */
export interface ResultConsumer {
  /** True while it has credit and its socket takes more. */
  readonly wantsMore: boolean
  /** Frames of it that have left this process; the memory of those before may be used again. */
  readonly framesGone: number
  /** The frame must not be changed but for its call, which is the consumer's. */
  frame(frame: Buffer): void
  ended(frames: number): void
  failed(error: SqlError): void
}

type End = { readonly kind: 'complete' } | { readonly kind: 'failed'; readonly error: SqlError }

/**
 * The frames of one result between the kernel and its consumer.
 *
 *   dropped │ acknowledged │ sent, held for a consumer that comes back │ not sent │ (credit of the kernel)
 *           first                                                     next       end
 *
 * Bytes held and bytes of credit together never pass {@link RESULT_BUFFER_BYTES_MAX}. Only what the client has is
 * dropped, when room is needed or the result has ended, so that whoever takes the query over can go on with it.
 */
export class ResultBuffer {
  readonly #grant: (bytes: number) => void
  readonly #recycle: (frame: Buffer) => void
  readonly #frames: Buffer[] = []
  #first: number
  #next: number
  /** The client has the frames below this number. */
  #acknowledged: number
  #heldBytes = 0
  #unsentBytes = 0
  #creditBytes = RESULT_BUFFER_BYTES_MAX
  #end: End | undefined
  #consumer: ResultConsumer | undefined
  /** The frame that the consumer began with. */
  #attachedAt = 0
  /** Frames before this one may still be on their way to an earlier consumer. */
  #recyclableFrom = 0

  /**
   * `grant` gives the kernel credit beyond the first {@link RESULT_BUFFER_BYTES_MAX}; `recycle` takes the memory of a
   * frame that was dropped and has left the process. The frames below `first` are with the client already.
   */
  constructor(
    grant: (bytes: number) => void,
    recycle: (frame: Buffer) => void = () => undefined,
    first = 0,
  ) {
    this.#grant = grant
    this.#recycle = recycle
    this.#first = first
    this.#next = first
    this.#acknowledged = first
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Bytes that no consumer has been given yet. */
  get unsentBytes(): number {
    return this.#unsentBytes
  }

  /** Number of the first frame that is still here. */
  get firstFrame(): number {
    return this.#first
  }

  /** Frames made so far. */
  get frames(): number {
    return this.#first + this.#frames.length
  }

  push(frame: Buffer): void {
    assert(this.#end === undefined, 'a result goes on after its end')
    this.#frames.push(frame)
    this.#heldBytes += frame.byteLength
    this.#unsentBytes += frame.byteLength
    this.#creditBytes -= frame.byteLength
    this.#pump()
    this.#makeRoom()
  }

  complete(): void {
    this.#finish({ kind: 'complete' })
    this.#makeRoom()
  }

  /** The client has the frames below `frames`; it says so late, twice, or not in order. */
  acknowledge(frames: number): void {
    this.#acknowledged = Math.min(Math.max(this.#acknowledged, frames), this.frames)
    this.#makeRoom()
  }

  fail(error: SqlError): void {
    this.#finish({ kind: 'failed', error })
  }

  /**
   * Gives a result up that nobody will ask for any more: its frames go, and a consumer that has not been given all of
   * them is told why. Of a result that has not ended the end is still to come.
   */
  drop(reason: SqlError): void {
    const consumer = this.#consumer
    this.#consumer = undefined
    this.#recyclableFrom = this.frames
    if (this.#end !== undefined) {
      this.#first = this.frames
      this.#frames.length = 0
      this.#heldBytes = 0
      this.#unsentBytes = 0
      this.#next = this.#first
      this.#end = { kind: 'failed', error: reason }
    }
    consumer?.failed(reason)
  }

  /**
   * Sends to this consumer from frame `from` on, and to no other any more. False when frames from there on have been
   * dropped.
   */
  attach(consumer: ResultConsumer, from: number): boolean {
    if (from < this.#first || from > this.frames) return false
    const previous = this.#consumer
    this.#consumer = consumer
    this.#attachedAt = from
    // Frames on their way to the previous one are left to the collector.
    if (previous !== undefined) this.#recyclableFrom = this.frames
    previous?.failed(new SqlError('task_superseded', 'the result is read by another consumer now'))
    this.#next = from
    const unsent = this.#frames.slice(from - this.#first)
    this.#unsentBytes = unsent.reduce((sum, frame) => sum + frame.byteLength, 0)
    this.pump()
    return true
  }

  /** The consumer has gone; what was not sent waits for the next one. */
  detach(consumer: ResultConsumer): void {
    if (this.#consumer !== consumer) return
    this.#consumer = undefined
    this.#recyclableFrom = this.frames
  }

  /** Called when the consumer wants more again. */
  pump(): void {
    this.#pump()
    this.#makeRoom()
  }

  /** The frames that are held, where they are all of the result. */
  whole(): readonly Buffer[] | undefined {
    return this.#end?.kind === 'complete' && this.#first === 0 ? this.#frames : undefined
  }

  #hasLeft(sequence: number): boolean {
    const consumer = this.#consumer
    if (consumer === undefined || sequence < this.#recyclableFrom) return false
    return sequence < this.#attachedAt + consumer.framesGone
  }

  #finish(end: End): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#pump()
  }

  #pump(): void {
    const consumer = this.#consumer
    if (consumer === undefined) return
    while (this.#next < this.frames && consumer.wantsMore) {
      const frame = this.#frames[this.#next - this.#first]
      assert(frame !== undefined, 'a frame that was not sent is held')
      this.#next++
      this.#unsentBytes -= frame.byteLength
      // One that may still be on its way to an earlier consumer bears that one's call.
      const isShared = this.#next <= this.#recyclableFrom
      consumer.frame(isShared ? Buffer.from(frame) : frame)
    }
    if (this.#end?.kind === 'failed') {
      this.#consumer = undefined
      return consumer.failed(this.#end.error)
    }
    if (this.#end === undefined || this.#next < this.frames) return
    this.#consumer = undefined
    consumer.ended(this.frames)
  }

  #makeRoom(): void {
    let granted = 0
    while (
      this.#first <
        Math.min(this.#next, isMutant('no-kept-frames') ? Infinity : this.#acknowledged) &&
      (this.#end !== undefined || this.#creditBytes < KERNEL_CREDIT_BYTES_MIN)
    ) {
      const frame = this.#frames.shift()
      assert(frame !== undefined, 'a frame that was sent is held')
      if (this.#hasLeft(this.#first)) this.#recycle(frame)
      this.#first++
      this.#heldBytes -= frame.byteLength
      this.#creditBytes += frame.byteLength
      granted += frame.byteLength
    }
    if (granted > 0 && this.#end === undefined) this.#grant(granted)
  }
}
