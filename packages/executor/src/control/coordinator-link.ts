import { type Clock, type Log, type Prng, unreachable } from '@nyala/client/base'
import { PROTOCOL_VERSION, SqlError, toErrorBody } from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  dial as dialSocket,
  type Dial,
  MESSAGE_BYTES_MAX,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
} from '@nyala/client/wire'
import { type FromExecutor, type Listing, type ToExecutor, toExecutor } from '../protocol/index.ts'
import { isBusy, isWorthTelling, type Load } from './load-report.ts'
import { SeenCalls } from './seen-calls.ts'
import type { OwnerLink } from '../task/owner-link.ts'
import type { TaskManager } from '../task/task-manager.ts'

/** Pause before a dial after a failure; doubled each time, and spread so that executors do not dial in step. */
const REDIAL_MIN_MS = 50
const REDIAL_MAX_MS = 2_000
/** A coordinator that has not welcomed us by then is dialled again. */
const WELCOME_TIMEOUT_MS = 5_000
/** A coordinator that refuses us is asked again now and then: it may be replaced by one that does not. */
const REFUSED_PAUSE_MS = 10_000

/** Smaller listings are far from the limit of a message, and are not measured. */
const LARGE_LISTING_FILES = 5_000
const LISTING_BYTES_MAX = MESSAGE_BYTES_MAX - 1024

type Hello = Extract<FromExecutor, { kind: 'hello' }>

/** What coordinators ask of tasks. */
export type TaskCommands = Pick<
  TaskManager,
  | 'startTask'
  | 'cancelTask'
  | 'resumeTask'
  | 'acknowledge'
  | 'keepQuery'
  | 'takeQuery'
  | 'releaseQuery'
  | 'onLinkClosed'
>

export interface CoordinatorLinkOptions {
  readonly id: string
  readonly address: string
  readonly cluster: string
  readonly clock: Clock
  readonly log: Log
  readonly prng: Prng
  readonly dial?: Dial | undefined
  readonly tasks: TaskCommands
  /** False once the coordinator is no longer registered: its socket is kept then, but not dialled again. */
  readonly registered: () => boolean
  readonly hello: () => Hello
  /** The load as it is told to this owner of queries. */
  readonly load: (owner: OwnerLink) => Load
  /** It has welcomed us, and knows the load. */
  readonly onWelcome: () => void
  readonly inspect: (request: Extract<ToExecutor, { kind: 'inspect' }>) => Promise<Listing>
}

/**
 * The control socket to one coordinator.
 *
 * ```
 *   dialling ──open, hello──► greeting ──welcome──► open
 *      ▲                         │                    │
 *      └───────── pause ◄────────┴──── closed ────────┘          stop: final, from anywhere
 * ```
 *
 * Queries belong to a socket, not to a coordinator's id: when it closes they wait for whoever asks for them next.
 */
export class CoordinatorLink {
  readonly #options: CoordinatorLinkOptions
  readonly #stopped = new AbortController()
  #connection: Connection<ToExecutor, FromExecutor> | undefined
  #owner: OwnerLink | undefined
  #seen = new SeenCalls()
  #toldLoad: Load | undefined
  #welcomed = false
  #failures = 0
  #ended = false

  constructor(options: CoordinatorLinkOptions) {
    this.#options = options
    void this.#run()
  }

  get id(): string {
    return this.#options.id
  }

  get address(): string {
    return this.#options.address
  }

  /** True while the coordinator can give orders. */
  get open(): boolean {
    return this.#welcomed
  }

  /** True once it dials no more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Tells the load, unless the coordinator knows it well enough. */
  sendLoad(): { readonly sent: boolean; readonly busy: boolean } {
    const owner = this.#owner
    if (!this.#welcomed || owner === undefined) return { sent: false, busy: false }
    const load = this.#options.load(owner)
    const sent = isWorthTelling(this.#toldLoad, load)
    if (sent) {
      this.#toldLoad = load
      this.#connection?.send(load)
    }
    return { sent, busy: isBusy(load) }
  }

  /** Closes the socket and dials no more. */
  stop(reason: string): void {
    this.#stopped.abort()
    this.#connection?.close(CLOSE.goingAway, reason)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const refused = await this.#converse()
      if (signal.aborted || !this.#options.registered()) break
      await this.#pause(refused ? REFUSED_PAUSE_MS : this.#redialMs())
    }
    this.#ended = true
  }

  /** One life of the socket, from the dial to its close. True when the coordinator does not want us. */
  async #converse(): Promise<boolean> {
    const { address, clock, log, id, dial = dialSocket } = this.#options
    let transport
    try {
      transport = await dial(address, '/executor', { signal: this.#stopped.signal })
    } catch (error) {
      this.#failures++
      log.debug('coordinatorNotReached', { coordinator: id, address, error })
      return false
    }
    return await new Promise<boolean>((resolve) => {
      const connection = new Connection<ToExecutor, FromExecutor>(transport, {
        schema: toExecutor,
        clock,
        log,
        ping: { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX },
        onMessage: (message) => this.#onMessage(message),
        onClose: (code, reason) => resolve(this.#onClose(code, reason)),
      })
      this.#greet(connection)
    })
  }

  #greet(connection: Connection<ToExecutor, FromExecutor>): void {
    this.#connection = connection
    this.#seen = new SeenCalls()
    this.#toldLoad = undefined
    this.#owner = {
      send: (message) => connection.send(message),
      sendFrame: (frame) => connection.sendFrame(frame),
    }
    connection.send(this.#options.hello())
    if (this.#stopped.signal.aborted) return connection.close(CLOSE.goingAway)
    this.#options.clock.after(
      WELCOME_TIMEOUT_MS,
      () => {
        if (this.#connection !== connection || this.#welcomed) return
        connection.close(CLOSE.silent, `no welcome within ${WELCOME_TIMEOUT_MS} ms`)
      },
      { background: true },
    )
  }

  #onClose(code: number, reason: string): boolean {
    const { id, log, tasks } = this.#options
    log.info('coordinatorLinkClosed', { coordinator: id, code, reason })
    this.#failures = this.#welcomed ? 0 : this.#failures + 1
    this.#welcomed = false
    this.#connection = undefined
    if (this.#owner !== undefined) tasks.onLinkClosed(this.#owner)
    this.#owner = undefined
    const refused = code === CLOSE.versionRefused || code === CLOSE.notWelcome
    if (refused) log.warn('coordinatorRefusedUs', { coordinator: id, code, reason })
    return refused
  }

  #onMessage(message: ToExecutor): void {
    if (message.kind === 'welcome') return this.#onWelcome(message)
    const owner = this.#owner
    if (!this.#welcomed || owner === undefined) {
      return this.#connection?.close(CLOSE.protocolError, 'the first message must be welcome')
    }
    const { tasks } = this.#options
    switch (message.kind) {
      case 'startTask':
        // Its query may have ended since: it would be begun anew, and nobody would end it.
        if (this.#seen.isNew(message.call)) tasks.startTask(owner, message)
        return
      case 'cancelTask': {
        const { epoch, queryId, task, attempt } = message
        return tasks.cancelTask(owner, { epoch, ref: { queryId, task, attempt } })
      }
      case 'resumeTask': {
        const { epoch, call, queryId, task, attempt } = message
        return tasks.resumeTask(owner, { epoch, call, ref: { queryId, task, attempt } })
      }
      case 'acknowledge':
        return tasks.acknowledge(message, message)
      case 'keepQuery':
        return tasks.keepQuery(owner, message)
      case 'takeQuery':
        return tasks.takeQuery(owner, message)
      case 'releaseQuery':
        return tasks.releaseQuery(message.queryId, message.epoch)
      case 'inspect':
        return void this.#inspect(message, owner)
      default:
        return unreachable(message)
    }
  }

  #onWelcome(welcome: Extract<ToExecutor, { kind: 'welcome' }>): void {
    const { cluster, id, log } = this.#options
    if (welcome.protocol !== PROTOCOL_VERSION) {
      const reason = `protocol ${welcome.protocol} is not spoken here, ${PROTOCOL_VERSION} is`
      return this.#connection?.close(CLOSE.versionRefused, reason)
    }
    if (welcome.cluster !== cluster) {
      const reason = `this is an executor of cluster ${cluster}, not ${welcome.cluster}`
      return this.#connection?.close(CLOSE.notWelcome, reason)
    }
    this.#welcomed = true
    this.#failures = 0
    log.info('coordinatorLinked', { coordinator: id, address: this.address })
    this.sendLoad()
    this.#options.onWelcome()
  }

  async #inspect(
    request: Extract<ToExecutor, { kind: 'inspect' }>,
    owner: OwnerLink,
  ): Promise<void> {
    try {
      const listing = await this.#options.inspect(request)
      checkSize(listing)
      owner.send({ kind: 'inspected', request: request.request, listing })
    } catch (error) {
      if (!(error instanceof SqlError)) this.#options.log.error('inspectFailed', { error })
      owner.send({ kind: 'refused', request: request.request, error: toErrorBody(error) })
    }
  }

  #redialMs(): number {
    const step = Math.min(REDIAL_MAX_MS, REDIAL_MIN_MS * 2 ** Math.min(this.#failures, 10))
    return step * (0.5 + this.#options.prng.next())
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, { signal: this.#stopped.signal })
    } catch (error) {
      if (!this.#stopped.signal.aborted) throw error
    }
  }
}

/** A message that is too large would close the socket, and with it end every query. */
function checkSize(listing: Listing): void {
  if (listing.files.length < LARGE_LISTING_FILES) return
  const bytes = Buffer.byteLength(JSON.stringify(listing))
  if (bytes <= LISTING_BYTES_MAX) return
  throw new SqlError(
    'program_limit_exceeded',
    `the listing of ${listing.files.length} files takes ${bytes} bytes, more than ${LISTING_BYTES_MAX}`,
    { hint: 'write fewer files or larger row groups' },
  )
}
