import type { Clock, Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  type Dial,
  FRAME_HEADER_BYTES,
  type Transport,
  type TransportEvents,
} from '@nyala/client/wire'
import type { SimProcess } from './sim-process.ts'

/** One life of a member, as its sockets know it. */
export interface SimHost {
  readonly id: string
  readonly process: SimProcess
}

/** How often what is sent meets with something, for each message. */
export interface Disorder {
  /** It comes twice, the second time at once or late. */
  readonly double: number
  /** It comes after the one that was sent behind it. */
  readonly swap: number
  /** So often at most, if not without end. */
  readonly swapsMax?: number
  /** A byte of a data frame's payload is another one. */
  readonly corrupt: number
  /** Only the first part of a data frame comes. */
  readonly truncate: number
}

const IN_ORDER: Disorder = { double: 0, swap: 0, corrupt: 0, truncate: 0 }
const LATENCY_MS = 3
/** The second time of a message that comes twice is at most so late. */
const DOUBLE_LATE_MS = 600
/** A message behind which none is sent is not held for longer. */
const SWAP_MS = 20
const CUT_RETRY_MS = 100
const DIAL_TIMEOUT_MS = 2_000
const BROKEN = 1006

type Message = string | Uint8Array
type Packet =
  | { readonly kind: 'data'; readonly data: Message; readonly dueMs: number }
  | {
      readonly kind: 'close'
      readonly code: number
      readonly reason: string
      readonly dueMs: number
    }

/**
 * Sockets between simulated processes. Messages come in order and after a while, unless there is disorder; those to a
 * process that is paused wait for it, those over a link that is cut wait for it to be whole again. What was sent stays
 * with the sender, by reference, until it leaves: memory that is used again too early is seen by the receiver.
 */
export class SimSockets {
  readonly clock: Clock
  readonly prng: Prng
  disorder: Disorder = IN_ORDER
  /** Messages that met with disorder. */
  disordered = 0
  swaps = 0
  readonly #listeners = new Map<
    string,
    { readonly host: SimHost; readonly accept: (transport: Transport) => void }
  >()
  readonly #ends = new Set<SimEnd>()
  readonly #cuts = new Set<string>()

  constructor(clock: Clock, prng: Prng) {
    this.clock = clock
    this.prng = prng
  }

  listen(address: string, host: SimHost, accept: (transport: Transport) => void): void {
    this.#listeners.set(address, { host, accept })
  }

  /** The dial of a process. */
  dialFrom(host: SimHost): Dial {
    return (address, _path, options = {}) =>
      new Promise((resolve, reject) => {
        const { signal, timeoutMs = DIAL_TIMEOUT_MS } = options
        if (signal?.aborted === true) return reject(signal.reason as Error)
        const refuse = (why: string): void =>
          host.process.run(() =>
            reject(new SqlError('connection_failure', `cannot connect to ${address}: ${why}`)),
          )
        this.clock.after(this.latency(), () => {
          const listener = this.#listeners.get(address)
          const isCut = listener !== undefined && this.isCut(host.id, listener.host.id)
          if (!isCut && (listener === undefined || listener.host.process.isDead))
            return refuse('refused')
          if (isCut || listener === undefined || listener.host.process.isPaused) {
            this.clock.after(timeoutMs, () => refuse('no answer'))
            return
          }
          if (signal?.aborted === true) return reject(signal.reason as Error)
          const [own, theirs] = this.#pair(host, listener.host)
          listener.host.process.run(() => listener.accept(theirs))
          host.process.run(() => resolve(own))
        })
      })
  }

  cut(one: string, other: string): void {
    this.#cuts.add(pairName(one, other))
  }

  heal(one: string, other: string): void {
    this.#cuts.delete(pairName(one, other))
  }

  healAll(): void {
    this.#cuts.clear()
    this.disorder = IN_ORDER
  }

  isCut(one: string, other: string): boolean {
    return this.#cuts.has(pairName(one, other))
  }

  /** A process has died: its sockets break, and what it had sent comes or does not. */
  onKilled(host: SimHost): void {
    for (const end of this.#ends)
      if (end.host.process === host.process) end.break(this.prng.chance(0.5))
  }

  /** Every socket between two members breaks. */
  reset(one: string, other: string): void {
    for (const end of this.#ends) {
      if (pairName(end.host.id, end.peer.host.id) === pairName(one, other)) end.reset()
    }
  }

  latency(): number {
    return 1 + this.prng.below(LATENCY_MS)
  }

  forget(end: SimEnd): void {
    this.#ends.delete(end)
  }

  #pair(one: SimHost, other: SimHost): readonly [SimEnd, SimEnd] {
    const [a, b] = [new SimEnd(this, one), new SimEnd(this, other)]
    a.peer = b
    b.peer = a
    this.#ends.add(a).add(b)
    return [a, b]
  }
}

/** One end of a socket. */
class SimEnd implements Transport {
  readonly host: SimHost
  peer: SimEnd = this
  bufferedBytes = 0
  readonly #sockets: SimSockets
  #events: TransportEvents | undefined
  readonly #outbox: Packet[] = []
  #lastDueMs = 0
  #isScheduled = false
  #held: Message | undefined
  #closed = false
  #drained: (() => void)[] = []

  constructor(sockets: SimSockets, host: SimHost) {
    this.#sockets = sockets
    this.host = host
  }

  start(events: TransportEvents): void {
    this.#events = events
  }

  send(data: Message): void {
    if (this.#closed || !this.host.process.isRunning) return
    const { prng, disorder, clock } = this.#sockets
    const { swap, swapsMax = Number.POSITIVE_INFINITY } = disorder
    // A conversation begins with its first message.
    const isFirst = this.#lastDueMs === 0
    const maySwap =
      !isFirst && this.#held === undefined && swap > 0 && this.#sockets.swaps < swapsMax
    if (maySwap && prng.chance(swap)) {
      this.#sockets.swaps++
      this.#sockets.disordered++
      this.#held = data
      clock.after(SWAP_MS, () => this.#sendHeld())
      return
    }
    this.#enqueue(data)
    this.#sendHeld()
    if (disorder.double === 0 || !prng.chance(disorder.double)) return
    this.#sockets.disordered++
    const copy = typeof data === 'string' ? data : Uint8Array.from(data)
    if (prng.chance(0.5)) this.#enqueue(copy)
    else clock.after(prng.below(DOUBLE_LATE_MS), () => this.#enqueue(copy))
  }

  drained(): Promise<void> {
    if (this.bufferedBytes === 0 || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  close(code: number, reason: string): void {
    if (this.#closed) return
    this.#sendHeld()
    this.#put({ kind: 'close', code, reason, dueMs: this.#due() })
  }

  terminate(): void {
    if (this.#closed) return
    this.break(true)
    this.#end(BROKEN, '')
  }

  /** The other end is told, if it can be, that there is nobody here any more. */
  break(isFlushed: boolean): void {
    const { clock } = this.#sockets
    if (!isFlushed) this.#outbox.length = 0
    clock.after(this.#sockets.latency() + DELIVERED_MS, () => {
      if (this.peer.#isCut) return
      this.peer.host.process.run(() => this.peer.#end(BROKEN, ''))
    })
    if (!this.host.process.isDead) return
    this.#closed = true
    this.#sockets.forget(this)
  }

  /** The socket breaks, for both ends. */
  reset(): void {
    this.#outbox.length = 0
    this.host.process.run(() => this.#end(BROKEN, ''))
  }

  get #isCut(): boolean {
    return this.#sockets.isCut(this.host.id, this.peer.host.id)
  }

  #sendHeld(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#enqueue(held)
  }

  #enqueue(data: Message): void {
    if (this.#closed) return
    this.bufferedBytes += data.length
    this.#put({ kind: 'data', data, dueMs: this.#due() })
  }

  #due(): number {
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#sockets.clock.now() + this.#sockets.latency())
    return this.#lastDueMs
  }

  #put(packet: Packet): void {
    this.#outbox.push(packet)
    this.#schedule(packet.dueMs - this.#sockets.clock.now())
  }

  #schedule(ms: number): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#sockets.clock.after(ms, () => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#isCut) {
      if (this.#outbox.length > 0 && !this.#closed) this.#schedule(CUT_RETRY_MS)
      return
    }
    const now = this.#sockets.clock.now()
    for (;;) {
      const [packet] = this.#outbox
      if (packet === undefined) break
      if (packet.dueMs > now) return this.#schedule(packet.dueMs - now)
      this.#outbox.shift()
      this.#pass(packet)
    }
    for (const resolve of this.#drained.splice(0)) this.host.process.run(resolve)
  }

  #pass(packet: Packet): void {
    const { process } = this.peer.host
    if (this.peer.#closed) return
    if (packet.kind === 'close') {
      const { code, reason } = packet
      process.run(() => {
        this.peer.#end(code, reason)
        this.#sockets.clock.after(1, () => this.host.process.run(() => this.#end(code, reason)))
      })
      return
    }
    const { data } = packet
    this.bufferedBytes -= data.length
    if (typeof data === 'string') return process.run(() => this.peer.#events?.onText(data))
    const bytes = this.#harm(Uint8Array.from(data))
    process.run(() => this.peer.#events?.onBinary(bytes))
  }

  #harm(bytes: Uint8Array): Uint8Array {
    const { disorder, prng } = this.#sockets
    if (disorder.corrupt > 0 && prng.chance(disorder.corrupt)) {
      this.#sockets.disordered++
      const at = FRAME_HEADER_BYTES + prng.below(bytes.length - FRAME_HEADER_BYTES)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.below(8))
    }
    if (disorder.truncate === 0 || !prng.chance(disorder.truncate)) return bytes
    this.#sockets.disordered++
    return bytes.subarray(0, prng.below(bytes.length))
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#outbox.length = 0
    this.bufferedBytes = 0
    this.#sockets.forget(this)
    for (const resolve of this.#drained.splice(0)) resolve()
    this.#events?.onClose(code, reason)
  }
}

/** By when what had been sent has come. */
const DELIVERED_MS = LATENCY_MS + 1

const pairName = (one: string, other: string): string => [one, other].sort().join('|')
