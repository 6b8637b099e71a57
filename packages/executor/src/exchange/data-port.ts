import { crc32 } from 'node:zlib'
import { type Clock, type Log, unreachable } from '@nyala/client/base'
import { PROTOCOL_VERSION, SqlError, toErrorBody } from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  FRAME_BYTES_TARGET,
  FRAME_HEADER_BYTES,
  setFrameCall,
  SOCKET_BUFFER_BYTES_MAX,
  type Transport,
  writeFrameHeader,
} from '@nyala/client/wire'
import { type FromDataPort, type ToDataPort, toDataPort } from '../protocol/index.ts'
import type { TaskManager, TaskReference } from '../task/task-manager.ts'
import type { ResultConsumer } from '../task/result-buffer.ts'
import { SeenCalls } from '../control/seen-calls.ts'
import { diskFiles, type SegmentFiles, type SegmentReader } from './segment-files.ts'
import type { SegmentStore } from './segment-store.ts'

/** Streams that one consumer may have open at once. */
const CALLS_MAX = 1_000

export interface DataPortOptions {
  readonly tasks: Pick<TaskManager, 'attach' | 'pump'>
  readonly store: SegmentStore
  readonly cluster: string
  readonly executor: string
  readonly clock: Clock
  readonly log: Log
  /** Where segments lie, if not on disk. */
  readonly files?: SegmentFiles | undefined
  /** Bytes of a segment in a frame. */
  readonly frameBytes?: number | undefined
}

/** A stream to the consumer: credit comes in, `stop` ends it without a word. */
interface Call {
  addCredit(bytes: number): void
  stop(): void
}

/**
 * One consumer's socket to this executor, a coordinator for results or an executor for segments. Frames go out while
 * the call has credit and the socket is not full; each call ends in exactly one `ended` or `failed`, or in `stop`.
 */
export class DataPortConnection {
  readonly #options: DataPortOptions
  readonly #connection: Connection<ToDataPort, FromDataPort>
  readonly #calls = new Map<number, Call>()
  readonly #seen = new SeenCalls()
  #welcomed = false
  #draining = false
  #sentBytes = 0

  constructor(transport: Transport, options: DataPortOptions) {
    this.#options = options
    this.#connection = new Connection(transport, {
      schema: toDataPort,
      clock: options.clock,
      log: options.log,
      onMessage: (message) => this.#onMessage(message),
      onClose: () => this.#stopAll(),
    })
  }

  close(reason: string): void {
    this.#connection.close(CLOSE.goingAway, reason)
  }

  #onMessage(message: ToDataPort): void {
    if (message.kind === 'hello') return this.#onHello(message)
    if (!this.#welcomed) {
      return this.#connection.close(CLOSE.protocolError, 'the first message must be hello')
    }
    switch (message.kind) {
      case 'fetchResult':
        return this.#fetchResult(message)
      case 'fetchSegment':
        return void this.#fetchSegment(message)
      case 'credit':
        return this.#calls.get(message.call)?.addCredit(message.bytes)
      case 'stop':
        return this.#stop(message.call)
      default:
        return unreachable(message)
    }
  }

  #onHello(hello: Extract<ToDataPort, { kind: 'hello' }>): void {
    const { cluster, executor } = this.#options
    if (hello.protocol !== PROTOCOL_VERSION) {
      const reason = `protocol ${hello.protocol} is not spoken here, ${PROTOCOL_VERSION} is`
      return this.#connection.close(CLOSE.versionRefused, reason)
    }
    if (hello.cluster !== cluster) {
      return this.#connection.close(
        CLOSE.notWelcome,
        `this is cluster ${cluster}, not ${hello.cluster}`,
      )
    }
    this.#welcomed = true
    this.#connection.send({ kind: 'welcome', protocol: PROTOCOL_VERSION, executor })
  }

  #fetchResult(request: Extract<ToDataPort, { kind: 'fetchResult' }>): void {
    const { call } = request
    if (!this.#admit(call)) return
    const consumer = new ResultCall(request, this)
    this.#calls.set(call, consumer)
    const attached = this.#options.tasks.attach(consumer.ref, request, consumer)
    if (attached instanceof SqlError) return consumer.failed(attached)
    consumer.detach = attached
  }

  async #fetchSegment(request: Extract<ToDataPort, { kind: 'fetchSegment' }>): Promise<void> {
    const { call, queryId, path, creditBytes } = request
    if (!this.#admit(call)) return
    const { store, files = diskFiles, frameBytes = FRAME_BYTES_TARGET } = this.#options
    const segment = new SegmentCall(call, { creditBytes, frameBytes }, this)
    this.#calls.set(call, segment)
    try {
      const real = await store.resolve(queryId, path)
      await segment.send(await files.open(real))
    } catch (error) {
      this.failed(call, error instanceof SqlError ? error : gone(path, error))
    }
  }

  #admit(call: number): boolean {
    // Come again it would take the result from whoever reads it now.
    if (!this.#seen.isNew(call)) return false
    if (this.#calls.size < CALLS_MAX) return true
    this.#connection.close(CLOSE.protocolError, `${CALLS_MAX} calls are open`)
    return false
  }

  #stop(call: number): void {
    this.#calls.get(call)?.stop()
    this.#calls.delete(call)
  }

  #stopAll(): void {
    for (const call of this.#calls.values()) call.stop()
    this.#calls.clear()
  }

  /** True while the socket takes more; where it does not, the calls go on by themselves once it does. */
  get roomy(): boolean {
    if (this.#connection.bufferedBytes < SOCKET_BUFFER_BYTES_MAX) return true
    void this.whenRoomy()
    return false
  }

  async whenRoomy(): Promise<void> {
    if (this.#connection.bufferedBytes < SOCKET_BUFFER_BYTES_MAX) return
    if (this.#draining) return await this.#connection.drained()
    this.#draining = true
    await this.#connection.drained()
    this.#draining = false
    for (const call of this.#calls.values()) call.addCredit(0)
  }

  pump(ref: TaskReference): void {
    this.#options.tasks.pump(ref)
  }

  /** Returns the place of the frame's end in all that was sent here; it has left once `goneBytes` reaches that. */
  sendFrame(frame: Uint8Array): number {
    this.#connection.sendFrame(frame)
    this.#sentBytes += frame.byteLength
    return this.#sentBytes
  }

  /** A lower bound: what is buffered has headers and messages in it that are not counted as sent. */
  get goneBytes(): number {
    return this.#sentBytes - this.#connection.bufferedBytes
  }

  ended(call: number, counts: { readonly frames: number; readonly bytes: number }): void {
    if (this.#calls.delete(call)) this.#connection.send({ kind: 'ended', call, ...counts })
  }

  failed(call: number, error: SqlError): void {
    if (this.#calls.delete(call)) {
      this.#connection.send({ kind: 'failed', call, error: toErrorBody(error) })
    }
  }
}

/** A result on its way; the buffer of the task pushes, this says when it may. */
class ResultCall implements Call, ResultConsumer {
  readonly ref: TaskReference
  readonly #call: number
  readonly #port: DataPortConnection
  #creditBytes: number
  #bytes = 0
  /** Where the frames that may still be in this process end, in order. */
  readonly #inFlight: number[] = []
  #gone = 0
  detach: () => void = () => undefined

  constructor(request: Extract<ToDataPort, { kind: 'fetchResult' }>, port: DataPortConnection) {
    const { call, queryId, task, attempt, creditBytes } = request
    this.ref = { queryId, task, attempt }
    this.#call = call
    this.#creditBytes = creditBytes
    this.#port = port
  }

  get wantsMore(): boolean {
    return this.#creditBytes > 0 && this.#port.roomy
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes
    this.#port.pump(this.ref)
  }

  stop(): void {
    this.detach()
  }

  get framesGone(): number {
    const { goneBytes } = this.#port
    while (this.#inFlight.length > 0 && (this.#inFlight[0] as number) <= goneBytes) {
      this.#inFlight.shift()
      this.#gone++
    }
    return this.#gone
  }

  frame(frame: Buffer): void {
    this.#creditBytes -= frame.byteLength
    this.#bytes += frame.byteLength
    setFrameCall(frame, this.#call)
    this.#inFlight.push(this.#port.sendFrame(frame))
  }

  ended(frames: number): void {
    this.#port.ended(this.#call, { frames, bytes: this.#bytes })
  }

  failed(error: SqlError): void {
    this.#port.failed(this.#call, error)
  }
}

/** A file on its way, read frame by frame while there is credit. */
class SegmentCall implements Call {
  readonly #call: number
  readonly #port: DataPortConnection
  readonly #frameBytes: number
  #creditBytes: number
  #wake: (() => void) | undefined
  #stopped = false

  constructor(
    call: number,
    how: { readonly creditBytes: number; readonly frameBytes: number },
    port: DataPortConnection,
  ) {
    this.#call = call
    this.#creditBytes = how.creditBytes
    this.#frameBytes = how.frameBytes
    this.#port = port
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes
    if (this.#creditBytes > 0) this.#wake?.()
  }

  stop(): void {
    this.#stopped = true
    this.#wake?.()
  }

  /** Sends all of a file, in frames of one size but for the last, and closes it. */
  async send(file: SegmentReader): Promise<void> {
    try {
      const counts = await this.#sendAll(file)
      if (!this.#stopped) this.#port.ended(this.#call, counts)
    } finally {
      await file.close()
    }
  }

  async #sendAll(
    file: SegmentReader,
  ): Promise<{ readonly frames: number; readonly bytes: number }> {
    let sequence = 0
    let bytes = 0
    for (;;) {
      await this.#credit()
      await this.#port.whenRoomy()
      if (this.#stopped) break
      const frame = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + this.#frameBytes)
      const bytesRead = await file.read(frame.subarray(FRAME_HEADER_BYTES), bytes)
      if (bytesRead === 0) break
      const used = frame.subarray(0, FRAME_HEADER_BYTES + bytesRead)
      const crc = crc32(used.subarray(FRAME_HEADER_BYTES))
      writeFrameHeader(used, { kind: 'segment', last: false, call: this.#call, sequence, crc })
      this.#port.sendFrame(used)
      sequence++
      bytes += bytesRead
      this.#creditBytes -= bytesRead
    }
    return { frames: sequence, bytes }
  }

  async #credit(): Promise<void> {
    while (this.#creditBytes <= 0 && !this.#stopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#wake = undefined
  }
}

const gone = (path: string, cause: unknown): SqlError =>
  new SqlError('executor_lost', `segment "${path}" cannot be read: ${(cause as Error).message}`, {
    cause,
  })
