import { type Deferred, deferred } from '@nyala/client/base'
import { SqlError, type TaskPlace } from '@nyala/client/protocol'
import { FrameBuffer } from '@nyala/client/testing'
import { crc32, decodeFrame } from '@nyala/client/wire'
import { rowsOfPayload } from './sim-kernel.ts'
import type { SimCoordinator, SimWorld } from './sim-members.ts'
import type { SimPlan } from './sim-plan.ts'
import { type SimRecords, SimServing, type Told } from './sim-query.ts'

/** More than what is sent in one go. */
const WINDOW_BYTES = 320 * 1024
const LATENCY_MS = 2
const RETRY_MS = 100
/** Times that a client asks for the rest of its result, or sends its statement. */
const TRIES_MAX = 12

export interface SimClientOptions {
  readonly world: SimWorld
  readonly plan: SimPlan
  readonly name: string
  readonly records: SimRecords
  /** Whom it can reach now. */
  readonly coordinators: () => readonly SimCoordinator[]
  readonly registered: () => readonly string[]
  /** For how long it thinks about a frame at most. */
  readonly thinkMs: number
  violation(sentence: string): void
}

/** What a client got: rows, and an error where they are not all. */
export interface SimResult {
  readonly rows: readonly number[]
  readonly error: SqlError | undefined
  /** Times that it had to turn to another coordinator. */
  readonly moves: number
}

interface Call {
  readonly coordinator: SimCoordinator
  readonly buffer: FrameBuffer
  serving: SimServing | undefined
  resumable: boolean
  isAccepted: boolean
  /** All that is to come has come. */
  isFinished: boolean
}

/**
 * A client as the SDK's `StatementRun` is one: with the connection lost it attaches to what is resumable, sends anew what
 * it has no row of, and tells its user of anything else.
 */
export class SimClient {
  readonly #options: SimClientOptions
  readonly #result: Deferred<SimResult> = deferred()
  readonly #rows: number[] = []
  #call: Call | undefined
  #queryId = ''
  #statements = 0
  #tries = 0
  #moves = 0
  #isEnded = false

  constructor(options: SimClientOptions) {
    this.#options = options
    this.#send()
  }

  get result(): Promise<SimResult> {
    return this.#result.promise
  }

  /** Who serves it. */
  get coordinator(): SimCoordinator | undefined {
    return this.#call?.coordinator
  }

  cancel(): void {
    const call = this.#call
    if (this.#isEnded) return
    if (call !== undefined) this.#toServing(call, (serving) => serving.cancel())
    this.#end(new SqlError('query_canceled', 'the statement was cancelled'))
  }

  /** A coordinator does not answer any more. */
  onLost(coordinator: SimCoordinator): void {
    const call = this.#call
    if (call?.coordinator !== coordinator) return
    this.#toServing(call, (serving) => serving.clientGone())
    this.#onLost(call, 'its coordinator was lost')
  }

  #onLost(call: Call, why: string): void {
    if (this.#isEnded || call.isFinished) return
    this.#options.world.tell(`${this.#queryId}: ${why}`)
    if (call.resumable) return this.#attachLater(call.buffer, call.coordinator)
    if (!call.buffer.started) return this.#sendLater(call)
    this.#end(new SqlError('connection_failure', why))
  }

  #send(): void {
    const { name } = this.#options
    this.#queryId = `${name}-${this.#statements++}`
    const buffer = this.#newBuffer()
    const coordinator = this.#reachable()
    if (coordinator === undefined) return this.#sendLater(undefined)
    this.#begin({ coordinator, buffer, ...NEW_CALL, isAccepted: true })
    void this.#read(buffer)
  }

  #sendLater(call: Call | undefined): void {
    this.#call = undefined
    call?.buffer.fail(SUPERSEDED)
    this.#later(() => this.#send())
  }

  #attachLater(buffer: FrameBuffer, from: SimCoordinator): void {
    this.#call = undefined
    this.#later(() => {
      const coordinator = this.#reachable(from)
      if (coordinator === undefined) return this.#attachLater(buffer, from)
      this.#begin({ coordinator, buffer, ...NEW_CALL, resumable: true })
    })
  }

  #later(then: () => void): void {
    this.#moves++
    if (++this.#tries > TRIES_MAX) {
      return this.#end(new SqlError('connection_failure', 'nobody could be reached'))
    }
    this.#options.world.clock.after(this.#tries > 1 ? RETRY_MS * this.#tries : 1, () => {
      if (!this.#isEnded) then()
    })
  }

  #reachable(other?: SimCoordinator): SimCoordinator | undefined {
    const all = this.#options.coordinators()
    const others = all.filter((one) => one !== other)
    const from = others.length > 0 ? others : all
    return from.length === 0 ? undefined : this.#options.world.prng.pick(from)
  }

  #newBuffer(): FrameBuffer {
    const buffer: FrameBuffer = new FrameBuffer({
      crc32,
      windowBytes: WINDOW_BYTES,
      grant: (bytes, acknowledged) => this.#grant(buffer, bytes, acknowledged),
    })
    return buffer
  }

  #grant(buffer: FrameBuffer, bytes: number, acknowledged: readonly TaskPlace[]): void {
    const call = this.#call
    if (call?.buffer !== buffer) return
    this.#toServing(call, (serving) => serving.grant(bytes, acknowledged))
  }

  #begin(call: Call): void {
    const { world, records, plan, registered } = this.#options
    const { coordinator, buffer, resumable } = call
    this.#call = call
    const from = resumable ? buffer.moved() : undefined
    world.tell(`${this.#queryId}: ${resumable ? 'attaches to' : 'is sent to'} ${coordinator.id}`)
    let dueMs = 0
    const tell = (told: Told): void => {
      if (!coordinator.process.isRunning) return
      dueMs = Math.max(dueMs, world.clock.now() + world.prng.below(LATENCY_MS))
      world.clock.after(dueMs - world.clock.now(), () => this.#onTold(call, told))
    }
    const queryId = this.#queryId
    world.clock.after(LATENCY_MS, () =>
      coordinator.process.run(() => {
        if (this.#call !== call) return
        call.serving = new SimServing(
          {
            world,
            coordinator,
            records,
            queryId,
            plan,
            creditBytes: WINDOW_BYTES,
            registered,
            tell,
          },
          from,
        )
      }),
    )
  }

  #toServing(call: Call, act: (serving: SimServing) => void): void {
    const { clock } = this.#options.world
    clock.after(LATENCY_MS, () =>
      call.coordinator.process.run(() => {
        if (call.serving !== undefined) act(call.serving)
      }),
    )
  }

  #onTold(call: Call, told: Told): void {
    if (this.#call !== call || this.#isEnded) return
    switch (told.kind) {
      case 'streaming':
        call.resumable = told.resumable
        call.isAccepted = true
        return call.buffer.open()
      case 'frame': {
        const frame = decodeFrame(told.message)
        if (typeof frame === 'string') return this.#onBroken(call, frame)
        this.#tries = 0
        return this.#onBroken(call, call.buffer.push(frame))
      }
      case 'taskEnded':
        return this.#onBroken(call, call.buffer.endTask(told.end))
      case 'finished':
        return this.#onFinished(call, told)
      case 'failed':
        return this.#onFailed(call, told.error)
    }
  }

  /** What came is not what can come: the same is asked for elsewhere. */
  #onBroken(call: Call, broken: string | undefined): void {
    if (broken === undefined) return
    this.#options.violation(`${this.#queryId}: ${broken}`)
    this.#toServing(call, (serving) => serving.clientGone())
    this.#onLost(call, broken)
  }

  #onFinished(call: Call, told: Extract<Told, { kind: 'finished' }>): void {
    const { rows, tasks } = told
    const finished = { rows, tasks } as Parameters<FrameBuffer['finish']>[0]
    const broken = call.buffer.finish(finished)
    if (broken !== undefined) return this.#onBroken(call, broken)
    call.isFinished = true
    this.#toServing(call, (serving) => serving.received())
  }

  #onFailed(call: Call, error: SqlError): void {
    const isHandedOver = error.error === 'cannot_connect_now'
    if (call.resumable && (isHandedOver || (!call.isAccepted && error.retryable))) {
      return this.#attachLater(call.buffer, call.coordinator)
    }
    if (isHandedOver && !call.buffer.started) return this.#sendLater(call)
    this.#end(error)
  }

  async #read(buffer: FrameBuffer): Promise<void> {
    const { world, thinkMs } = this.#options
    try {
      for (;;) {
        const frame = await buffer.take()
        if (frame === undefined) return this.#end(undefined)
        this.#rows.push(...rowsOfPayload(frame.payload))
        if (thinkMs > 0) await world.clock.sleep(world.prng.below(thinkMs))
        buffer.release(frame)
      }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      if (error !== SUPERSEDED) this.#end(error)
    }
  }

  #end(error: SqlError | undefined): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#result.resolve({ rows: this.#rows, error, moves: this.#moves })
  }
}

const NEW_CALL = {
  serving: undefined,
  resumable: false,
  isAccepted: false,
  isFinished: false,
} as const

const SUPERSEDED = new SqlError('query_canceled', 'sent anew')
