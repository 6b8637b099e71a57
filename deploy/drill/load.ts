import { connect, type Database, SqlError } from '@nyala/client'
import { type Clock, deferred, type Deferred, Prng } from '@nyala/client/base'
import { Steps } from './steps.ts'
import {
  type Facts,
  judgeStream,
  type Question,
  SPILL_MEMORY,
  STREAM_SQL,
  StreamTally,
} from './facts.ts'
import type { Ledger } from './ledger.ts'

/**
 * What a client of the load does over and over: a small query, one that is divided among executors, one that computes
 * for a second, one that sorts more than its memory holds, a large result, the same from one executor, a view that is made, read and dropped, a row that is added to
 * a table, many rows that executors add, two rows in one transaction, a transaction over two tables, or one statement after
 * the other of a session that rolls back and makes tables.
 */
export type LoadKind =
  | 'small'
  | 'divided'
  | 'slow'
  | 'spill'
  | 'stream'
  | 'scan'
  | 'write'
  | 'append'
  | 'fill'
  | 'pair'
  | 'transfer'
  | 'steps'

/** A call writes to managed tables. */
export const isTableWrite = (kind: LoadKind): boolean => TABLE_WRITES.has(kind)
const TABLE_WRITES: ReadonlySet<LoadKind> = new Set(['append', 'fill', 'pair', 'transfer', 'steps'])

/** A call is a large result, which begins long before it ends. */
export const isStream = (kind: LoadKind): boolean => kind === 'stream' || kind === 'scan'

/** One thing that a client did. */
export interface Call {
  readonly kind: LoadKind
  readonly startedMs: number
  readonly endedMs: number
  readonly error: SqlError | undefined
  /** What came is not what is known to be right; of a stream, beyond rows that are missing or twice there. */
  readonly wrong: string | undefined
  readonly rowsLost: number
  readonly rowsDoubled: number
}

export interface LoadOptions {
  readonly kinds: readonly LoadKind[]
  /** Coordinator that all clients connect to first, `host:port`; others take over when it is gone. */
  readonly prefer: string | undefined
  readonly url: string
  readonly database: string
  readonly facts: Facts
  readonly ledger: Ledger
  readonly seed: number
  readonly clock: Clock
  /** Streams stop in their midst until the gate is opened. */
  readonly holdStreams: boolean
}

/** After a failed call, so that a cluster that refuses everything is not asked a thousand times a second. */
const AFTER_FAILURE_MS = 50

/** Between two calls: the load is to be there at every moment, not to take the machine from those who recover. */
const BETWEEN_CALLS_MS = 25
/** Of clients that write to tables, which keep 100 snapshots: what is older, nobody could check. */
const BETWEEN_WRITES_MS = 300

/** What a call usually takes is the median of so many, the last before the strike. */
const USUAL_CALLS = 100

/** Streams pass it between two batches. */
export class Gate {
  #closed: Deferred<void> | undefined
  readonly #waiting = new Set<string>()
  #closeWhen: (() => boolean) | undefined

  get waiting(): number {
    return this.#waiting.size
  }

  close(): void {
    this.#closed ??= deferred<void>()
  }

  open(): void {
    this.#closeWhen = undefined
    this.#closed?.resolve()
    this.#closed = undefined
  }

  /** Closes it as soon as the condition holds when somebody comes by, once. */
  closeWhen(condition: () => boolean): void {
    this.#closeWhen = condition
  }

  async pass(who: string): Promise<void> {
    if (this.#closeWhen?.() === true) {
      this.#closeWhen = undefined
      this.close()
    }
    this.#waiting.add(who)
    while (this.#closed !== undefined) await this.#closed.promise
    this.#waiting.delete(who)
  }
}

/** Live clients of a cluster, each with a connection of its own, which check every answer. */
export class Load {
  readonly gate = new Gate()
  readonly clients: readonly LoadClient[]
  readonly #stop = new AbortController()
  #running: Promise<unknown> | undefined

  private constructor(clients: readonly Omit<ClientOptions, 'gate' | 'stop'>[], hold: boolean) {
    if (hold) this.gate.close()
    this.clients = clients.map(
      (options) => new LoadClient({ ...options, gate: this.gate, stop: this.#stop.signal }),
    )
  }

  /** Connects the clients and lets them work. */
  static async start(options: LoadOptions): Promise<Load> {
    const prng = new Prng(options.seed)
    const seen = new Map<LoadKind, number>()
    const clients = options.kinds.map((kind) => {
      const number = (seen.get(kind) ?? 0) + 1
      seen.set(kind, number)
      return { ...options, kind, name: `${kind}${number}`, prng: new Prng(prng.below(2 ** 31)) }
    })
    const load = new Load(clients, options.holdStreams)
    try {
      for (const client of load.clients) await client.connect()
    } catch (error) {
      await load.close()
      throw error
    }
    load.#running = Promise.all(load.clients.map((client) => client.work()))
    // It is waited for when the load is stopped.
    load.#running.catch(() => undefined)
    return load
  }

  get calls(): readonly Call[] {
    return this.clients.flatMap((client) => client.calls)
  }

  get streams(): readonly LoadClient[] {
    return this.clients.filter(({ kind }) => isStream(kind))
  }

  /** From now on delays count. */
  markStrike(): void {
    for (const client of this.clients) client.markStrike()
  }

  /** Lets every client end what it does, and resolves when the last one has. */
  async finish(): Promise<void> {
    this.#stop.abort()
    this.gate.open()
    await this.#running
    await this.close()
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.gate.open()
    await Promise.all(this.clients.map((client) => client.close()))
  }
}

interface ClientOptions extends LoadOptions {
  readonly kind: LoadKind
  readonly name: string
  readonly prng: Prng
  readonly gate: Gate
  readonly stop: AbortSignal
}

export class LoadClient {
  readonly kind: LoadKind
  readonly name: string
  readonly calls: Call[] = []
  /** Times that a result went on at another coordinator, or its statement was sent to one. */
  moves = 0
  /** The longest that the client had to wait since the last strike beyond what is usual, milliseconds. */
  worstStallMs = 0
  readonly #options: ClientOptions
  readonly #steps: Steps
  #db: Database | undefined
  #strikeMs: number | undefined
  /** When something last came of the result that is being read. */
  #lastMs = 0
  /** Since when the call goes on that has not ended. */
  busySinceMs: number | undefined
  #writes = 0
  #isClosed = false

  constructor(options: ClientOptions) {
    this.#options = options
    this.kind = options.kind
    this.name = options.name
    this.#steps = new Steps(options.ledger, options.name)
  }

  async connect(): Promise<void> {
    const { url, prefer, database, kind } = this.#options
    const distribution =
      kind === 'divided' || kind === 'slow' || kind === 'stream' ? 'force' : 'auto'
    this.#db = await connect({
      ...(prefer === undefined ? { url } : { endpoints: [prefer] }),
      database,
      set: { distribution, ...(kind === 'spill' ? { mem_limit: SPILL_MEMORY } : {}) },
      onEvent: (event) => {
        if (event.kind === 'statementMoved') this.moves++
      },
    })
  }

  get coordinator(): string | undefined {
    return this.#db?.coordinator
  }

  /** Where there was a strike before, what that one did is forgotten. */
  markStrike(): void {
    this.#strikeMs = this.#options.clock.now()
    this.worstStallMs = 0
  }

  /** It has done something well that ended, and unless it is a stream also began, after the strike. */
  get recovered(): boolean {
    const strikeMs = this.#strikeMs
    return (
      strikeMs !== undefined &&
      this.calls.some(
        (call) =>
          call.error === undefined &&
          (isStream(this.kind) ? call.endedMs : call.startedMs) > strikeMs,
      )
    )
  }

  async work(): Promise<void> {
    const { stop, clock } = this.#options
    while (!stop.aborted) {
      const startedMs = clock.now()
      this.busySinceMs = startedMs
      const call = await this.#callOnce(startedMs)
      if (this.#isClosed) return
      this.busySinceMs = undefined
      this.calls.push(call)
      this.#noteStall(call)
      const pauseMs = isTableWrite(this.kind) ? BETWEEN_WRITES_MS : BETWEEN_CALLS_MS
      await clock.sleep(call.error === undefined ? pauseMs : AFTER_FAILURE_MS)
    }
  }

  /** Ends what it does; that is the doing of the drill, and no call. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#db?.close()
  }

  async #callOnce(startedMs: number): Promise<Call> {
    const { clock, kind } = this.#options
    const call = {
      kind,
      startedMs,
      error: undefined,
      wrong: undefined,
      rowsLost: 0,
      rowsDoubled: 0,
    }
    try {
      return { ...call, ...(await this.#do(kind)), endedMs: clock.now() }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      return { ...call, error, endedMs: clock.now() }
    }
  }

  #do(kind: LoadKind): Promise<Partial<Call>> {
    const { facts, ledger, prng } = this.#options
    switch (kind) {
      case 'stream':
      case 'scan':
        return this.#stream()
      case 'write':
        return this.#write()
      case 'append':
        return ledger.append(this.#database, this.name)
      case 'fill':
        return ledger.fill(this.#database, this.name)
      case 'pair':
        return ledger.pair(this.#database, this.name)
      case 'transfer':
        return ledger.transfer(this.#database, prng)
      case 'steps':
        return this.#steps.next(this.#database)
      case 'small':
      case 'divided':
      case 'slow':
      case 'spill':
        return this.#ask(prng.pick(facts[kind]))
    }
  }

  get #database(): Database {
    if (this.#db === undefined) throw new Error('the client is not connected')
    return this.#db
  }

  async #ask({ sql, answer }: Question): Promise<Partial<Call>> {
    const { rows } = await this.#database.query(sql)
    const got = rows.map((row) => String(row['answer'])).toSorted()
    if (got.join('\n') === answer.join('\n')) return {}
    return { wrong: `${sql}\nsays ${got.join(', ')}\nand not ${answer.join(', ')}` }
  }

  async #write(): Promise<Partial<Call>> {
    const view = `${this.name}_${++this.#writes}`
    await this.#database.execute(`CREATE OR REPLACE VIEW ${view} AS SELECT ${this.#writes} AS n`)
    const { rows } = await this.#database.query(`SELECT n FROM ${view}`)
    await this.#database.execute(`DROP VIEW IF EXISTS ${view}`)
    const n = rows[0]?.['n']
    return n === this.#writes
      ? {}
      : { wrong: `${view} was made of ${this.#writes}, says ${String(n)}` }
  }

  async #stream(): Promise<Partial<Call>> {
    const { facts, gate, clock, name } = this.#options
    const tally = new StreamTally(facts.stream.idMax)
    this.#lastMs = clock.now()
    for await (const batch of this.#database.stream(STREAM_SQL).columnBatches()) {
      this.#noteBatch()
      tally.addBatch(batch)
      await gate.pass(name)
      this.#lastMs = clock.now()
    }
    this.#noteBatch()
    return judgeStream(tally, facts)
  }

  #noteBatch(): void {
    const strikeMs = this.#strikeMs
    if (strikeMs === undefined) return
    const gap = this.#options.clock.now() - Math.max(this.#lastMs, strikeMs)
    this.worstStallMs = Math.max(this.worstStallMs, gap)
  }

  /** Calls that are one answer: how much longer it took than such a call usually does. */
  #noteStall(call: Call): void {
    const strikeMs = this.#strikeMs
    if (isStream(this.kind) || strikeMs === undefined || call.endedMs < strikeMs) return
    const usual = this.calls
      .filter((one) => one.endedMs < strikeMs && one.error === undefined)
      .slice(-USUAL_CALLS)
    const tookMs = usual.map((one) => one.endedMs - one.startedMs).toSorted((a, b) => a - b)
    const usualMs = tookMs[Math.floor(tookMs.length / 2)] ?? 0
    const stallMs = call.endedMs - call.startedMs - usualMs
    this.worstStallMs = Math.max(this.worstStallMs, stallMs)
  }
}
