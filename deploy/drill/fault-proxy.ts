import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '@nyala/client/base'
import { type Piece, SocketMessages } from './socket-messages.ts'

/** What happens to bytes on a link. `to` is the way from who dialled to who listens, `back` the other. */
export type Fault =
  /** They do not get through, and nobody is told; they come once the link is healed, as they do after a cut of a network. */
  | { readonly kind: 'blackhole'; readonly way: Way | 'both' }
  /** Connections are reset, and new ones at once. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** One byte of each of so many large pieces is another. */
  | { readonly kind: 'corrupt'; readonly way: Way; readonly pieces: number }
  /** Every message of a WebSocket comes twice, and one in so many once more after a while. */
  | {
      readonly kind: 'double'
      readonly way: Way
      readonly lateMs: number
      readonly lateEach: number
    }
  /** So many large messages of each WebSocket come after the one that was sent after them. */
  | { readonly kind: 'reorder'; readonly way: Way; readonly messages: number }

export type Way = 'to' | 'back'

/** Pieces below this are talk, not rows: what is to be corrupted are rows. */
const LARGE_BYTES = 16 * 1024
/** A message whose place is to be changed waits so long for another, and then goes on in its own. */
const PASSED_WITHIN_MS = 100

/** What is known of a connection: who dialled it. */
export interface Dialled {
  readonly from: string
}

/**
 * Stands between those who dial a member and the member: others are told its address. Which faults a connection has is
 * asked when it begins and whenever {@link update} is called.
 */
export class FaultProxy {
  readonly address: string
  readonly #server: Server
  readonly #pipes = new Set<Pipe>()
  /** On connections that have ended. */
  #spoiltBefore = 0
  readonly #options: ProxyOptions

  private constructor(server: Server, address: string, options: ProxyOptions) {
    this.#server = server
    this.address = address
    this.#options = options
    server.on('connection', (near) => {
      const pipe = new Pipe(near, options)
      this.#pipes.add(pipe)
      near.once('close', () => {
        if (this.#pipes.delete(pipe)) this.#spoiltBefore += pipe.spoilt
      })
      this.#begin(pipe)
    })
  }

  /** Nothing passes before it is known what is wrong. */
  #begin(pipe: Pipe): void {
    const { faultsOf, whenKnown } = this.#options
    const apply = (): void => {
      if (this.#pipes.has(pipe)) pipe.apply(faultsOf(pipe))
    }
    if (whenKnown === undefined) return apply()
    pipe.apply([{ kind: 'blackhole', way: 'both' }])
    whenKnown(apply, pipe.ports)
  }

  static async open(options: ProxyOptions): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    const place = server.address()
    if (place === null || typeof place === 'string') throw new Error('the proxy has no port')
    return new FaultProxy(server, `127.0.0.1:${place.port}`, options)
  }

  /** Pieces that were made to be others, or to come otherwise. */
  get spoilt(): number {
    return [...this.#pipes].reduce((sum, pipe) => sum + pipe.spoilt, this.#spoiltBefore)
  }

  /** Whether it can be said of each connection that still can say something who has dialled. */
  get areKnown(): boolean {
    return [...this.#pipes].every((pipe) => pipe.hasEnded || pipe.from !== '')
  }

  /** Pieces of rows that are on their way to who has dialled, and go nowhere before the link is healed. */
  get held(): number {
    return [...this.#pipes].reduce((sum, pipe) => sum + pipe.held, 0)
  }

  update(): void {
    for (const pipe of [...this.#pipes]) pipe.apply(this.#options.faultsOf(pipe))
  }

  async close(): Promise<void> {
    for (const pipe of [...this.#pipes]) pipe.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

export interface ProxyOptions {
  /** `host:port` of who listens. */
  readonly target: string
  readonly clock: Clock
  readonly faultsOf: (dialled: Dialled) => readonly Fault[]
  /** Calls back when it can be said who has dialled from the first port to the second; default: at once. */
  readonly whenKnown?: (apply: () => void, ports: readonly [number, number]) => void
  /** Who has dialled, by the port that it dialled from and the one that it dialled; undefined while it is not known. */
  readonly whoIs: (port: number, dialledPort: number) => string | undefined
}

/**
 * A socket whose end is under way cannot be reset: Node takes it for closed and never closes it, and the thread that it is
 * in does not end any more.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** One connection through a proxy: two flows of bytes, each of which can be held. */
class Pipe implements Dialled {
  /** That it was dialled from, and the one that was dialled. */
  readonly ports: readonly [number, number]
  #from: string | undefined
  readonly #whoIs: ProxyOptions['whoIs']
  readonly #near: Socket
  readonly #far: Socket
  readonly #flows: Readonly<Record<Way, Flow>>
  spoilt = 0

  constructor(near: Socket, { target, clock, whoIs }: ProxyOptions) {
    this.ports = [near.remotePort ?? 0, near.localPort ?? 0]
    this.#whoIs = whoIs
    const [host = '', port = ''] = target.split(':')
    this.#near = near
    this.#far = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true })
    near.setNoDelay(true)
    const onSpoilt = (): void => void this.spoilt++
    this.#flows = {
      to: new Flow(near, this.#far, { clock, onSpoilt }),
      back: new Flow(this.#far, near, { clock, onSpoilt }),
    }
  }

  /** Looked up when it matters: the process may not have been known when it dialled. */
  get from(): string {
    this.#from ??= this.#whoIs(...this.ports)
    return this.#from ?? ''
  }

  get hasEnded(): boolean {
    return this.#near.destroyed || this.#near.readableEnded
  }

  get held(): number {
    return this.#flows.back.held
  }

  apply(faults: readonly Fault[]): void {
    if (faults.some(({ kind }) => kind === 'cut')) return this.destroy()
    for (const way of ['to', 'back'] as const) {
      const flow = this.#flows[way]
      const isHeld = faults.some(
        (one) => one.kind === 'blackhole' && (one.way === way || one.way === 'both'),
      )
      const delay = faults.find((one) => one.kind === 'delay')
      const corrupt = faults.find((one) => one.kind === 'corrupt' && one.way === way)
      const double = faults.find((one) => one.kind === 'double' && one.way === way)
      const reorder = faults.find((one) => one.kind === 'reorder' && one.way === way)
      flow.set({
        isHeld,
        delayMs: delay?.kind === 'delay' ? delay.ms : 0,
        corruptPieces: corrupt?.kind === 'corrupt' ? corrupt.pieces : 0,
        double: double?.kind === 'double' ? double : undefined,
        reorderMessages: reorder?.kind === 'reorder' ? reorder.messages : 0,
      })
    }
  }

  destroy(): void {
    resetSocket(this.#near)
    resetSocket(this.#far)
  }
}

interface FlowState {
  readonly isHeld: boolean
  readonly delayMs: number
  readonly corruptPieces: number
  readonly double: { readonly lateMs: number; readonly lateEach: number } | undefined
  readonly reorderMessages: number
}

const SOUND: FlowState = {
  isHeld: false,
  delayMs: 0,
  corruptPieces: 0,
  double: undefined,
  reorderMessages: 0,
}

/** What is on its way: bytes, or the news that there are no more (`end`), or that the connection is broken. */
type Item = Buffer | 'end' | 'broken'

/** Bytes one way. Where no fault says otherwise they keep their order, whatever happens. */
class Flow {
  readonly #from: Socket
  readonly #to: Socket
  readonly #clock: Clock
  readonly #onSpoilt: () => void
  readonly #waiting: { readonly item: Item; readonly dueMs: number }[] = []
  readonly #messages = new SocketMessages()
  #state: FlowState = SOUND
  #corruptLeft = 0
  #reorderLeft = 0
  /** A message that waits for the next one to pass it. */
  #passed: Buffer | undefined
  #doubled = 0
  #isTimed = false
  #isOver = false

  constructor(
    from: Socket,
    to: Socket,
    options: { readonly clock: Clock; readonly onSpoilt: () => void },
  ) {
    this.#from = from
    this.#to = to
    this.#clock = options.clock
    this.#onSpoilt = options.onSpoilt
    from.on('data', (piece) => this.#take(piece))
    from.once('end', () => this.#take('end'))
    // An error is followed by the close.
    from.on('error', () => undefined)
    from.once('close', (hadError) => this.#take(hadError ? 'broken' : 'end'))
    to.on('drain', () => this.#flow())
  }

  /** Pieces that are large, and wait. */
  get held(): number {
    if (!this.#state.isHeld) return 0
    return this.#waiting.filter(({ item }) => Buffer.isBuffer(item) && item.length >= LARGE_BYTES)
      .length
  }

  set(state: FlowState): void {
    if (state.corruptPieces !== this.#state.corruptPieces) this.#corruptLeft = state.corruptPieces
    if (state.reorderMessages !== this.#state.reorderMessages) {
      this.#reorderLeft = state.reorderMessages
    }
    this.#state = state
    this.#flow()
  }

  #take(item: Item): void {
    if (item === 'end' || item === 'broken') {
      this.#letPass()
      for (const { bytes } of this.#messages.rest()) this.#put(bytes)
      this.#isOver = true
      return this.#put(item)
    }
    for (const piece of this.#messages.take(item)) this.#takePiece(piece)
    // All of it may be a part of a message that is still to come.
    this.#flow()
  }

  #takePiece({ bytes, isMessage }: Piece): void {
    if (!isMessage) return this.#put(bytes)
    const mayWait = this.#passed === undefined && bytes.byteLength >= LARGE_BYTES
    if (this.#reorderLeft > 0 && mayWait) {
      this.#passed = bytes
      this.#clock.after(PASSED_WITHIN_MS, () => this.#letPass(bytes))
      return
    }
    this.#put(bytes)
    if (this.#passed !== undefined) {
      this.#reorderLeft--
      this.#onSpoilt()
      this.#letPass()
    }
    this.#double(bytes)
  }

  /** Puts what waits to be passed where it is now; `only`: unless it is something else by now. */
  #letPass(only?: Buffer): void {
    const passed = this.#passed
    if (passed === undefined || (only !== undefined && only !== passed)) return
    this.#passed = undefined
    this.#put(passed)
  }

  #double(bytes: Buffer): void {
    const { double } = this.#state
    if (double === undefined) return
    this.#onSpoilt()
    this.#put(bytes)
    if (++this.#doubled % double.lateEach !== 0) return
    this.#clock.after(double.lateMs, () => {
      if (!this.#isOver) this.#put(bytes)
    })
  }

  #put(item: Item): void {
    this.#waiting.push({ item, dueMs: this.#clock.now() + this.#state.delayMs })
    this.#flow()
  }

  /** Passes on what is due, for as long as the other side takes it. */
  #flow(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#state.isHeld || this.#to.writableNeedDrain) break
      const leftMs = next.dueMs - this.#clock.now()
      if (leftMs > 0) return this.#flowIn(leftMs)
      this.#waiting.shift()
      this.#pass(next.item)
    }
    // No more is taken than fits: a link that is cut does not hold what a whole stream brings.
    if (this.#waiting.length > 0) this.#from.pause()
    else this.#from.resume()
  }

  #flowIn(ms: number): void {
    if (this.#isTimed) return
    this.#isTimed = true
    this.#clock.after(ms, () => {
      this.#isTimed = false
      this.#flow()
    })
  }

  #pass(item: Item): void {
    if (this.#to.destroyed) return
    if (item === 'end') this.#to.end()
    else if (item === 'broken') resetSocket(this.#to)
    else this.#to.write(this.#corrupt(item))
  }

  #corrupt(piece: Buffer): Buffer {
    if (this.#corruptLeft === 0 || piece.byteLength < LARGE_BYTES) return piece
    this.#corruptLeft--
    this.#onSpoilt()
    const at = piece.byteLength >> 1
    piece.writeUInt8(piece.readUInt8(at) ^ 0xff, at)
    return piece
  }
}
