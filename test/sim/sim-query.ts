import { deferred, type Deferred } from '@nyala/client/base'
import { SqlError, type TaskEnd, type TaskPlace } from '@nyala/client/protocol'
import type { Place } from '@nyala/client/testing'
import {
  type Aside,
  Delivery,
  QueryRun,
  ResultRelay,
  ResumedRun,
  settleReceipt,
} from '@nyala/coordinator/schedule'
import type { TaskSpec } from '@nyala/executor/protocol'
import type { SimCoordinator, SimWorld } from './sim-members.ts'
import type { SimPlan } from './sim-plan.ts'

/** What a coordinator tells a client, in order. */
export type Told =
  | Aside
  | { readonly kind: 'frame'; readonly message: Uint8Array }
  | { readonly kind: 'finished'; readonly rows: number; readonly tasks: readonly TaskEnd[] }
  | { readonly kind: 'failed'; readonly error: SqlError }

/** What is recorded of a query. */
export interface SimRecord {
  epoch: number
  serving: SimServing
  readonly tasks: readonly TaskSpec[]
}

/** The records of queries, as the store has them: each change is one step. */
export class SimRecords {
  readonly #records = new Map<string, SimRecord>()
  /** Owner epochs are revisions: far above that of a query without a record. */
  #revision = 100

  get(id: string): SimRecord | undefined {
    return this.#records.get(id)
  }

  get size(): number {
    return this.#records.size
  }

  create(id: string, record: SimRecord): void {
    this.#records.set(id, record)
  }

  claim(id: string, serving: SimServing): SimRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) return undefined
    const former = record.serving
    record.epoch = ++this.#revision
    record.serving = serving
    former.onClaimed()
    return { ...record }
  }

  /** Ends a query, where it still has this owner. */
  end(id: string, serving: SimServing): void {
    if (this.#records.get(id)?.serving === serving) this.#records.delete(id)
  }
}

export interface ServingOptions {
  readonly world: SimWorld
  readonly coordinator: SimCoordinator
  readonly records: SimRecords
  readonly queryId: string
  readonly plan: SimPlan
  readonly creditBytes: number
  readonly registered: () => readonly string[]
  /** Called in the coordinator's process; what it leads to elsewhere takes time. */
  readonly tell: (told: Told) => void
}

const CLIENT_GRACE_MS = 20_000
const STORE_MS = 40
const CLAIM_NOTICE_MS = 50

/**
 * One call of a client at one coordinator, as `ClientLink`, `QueryStatement` and `Resumption` serve it: a statement from
 * its beginning, or the rest of a result.
 */
export class SimServing {
  readonly #options: ServingOptions
  readonly #controller = new AbortController()
  readonly #relay: ResultRelay
  readonly #received: Deferred<void> = deferred()
  #leave: (() => void) | undefined
  #epoch: number | undefined
  /** Its client may come back. */
  #isWaiting = false

  constructor(options: ServingOptions, from?: Place) {
    this.#options = options
    const { tell } = options
    this.#relay = new ResultRelay({
      call: 1,
      creditBytes: from?.creditBytes ?? options.creditBytes,
      send: (message) => tell({ kind: 'frame', message: Uint8Array.from(message) }),
      say: (aside) => tell(aside),
      ...(from === undefined ? {} : { place: from.place, ended: from.ended }),
    })
    const run = from === undefined ? this.#statement() : this.#attached(from)
    void this.#serve(run)
  }

  /** It has ended in this process, or is over for it. */
  get isOver(): boolean {
    return this.#controller.signal.aborted
  }

  grant(bytes: number, acknowledged: readonly TaskPlace[]): void {
    this.#relay.grant(bytes, acknowledged)
  }

  received(): void {
    this.#received.resolve()
  }

  cancel(): void {
    this.#controller.abort(canceled('the query was canceled'))
  }

  /** The client's connection has closed. */
  clientGone(): void {
    if (this.isOver) return
    if (this.#epoch === undefined) return this.#controller.abort(canceled('the client has gone'))
    this.#leaveAs(canceled('the client has gone'))
    this.#waitForClient()
  }

  /** Another one owns the query now, which this one hears of some time. */
  onClaimed(): void {
    const { coordinator, world } = this.#options
    world.clock.after(world.prng.below(CLAIM_NOTICE_MS), () =>
      coordinator.process.run(() => {
        if (!this.isOver) this.#leaveAs(new SqlError('task_superseded', 'read by another client'))
      }),
    )
  }

  #leaveAs(reason: SqlError): void {
    this.#leave?.()
    this.#controller.abort(reason)
  }

  async #serve(run: Promise<number>): Promise<void> {
    const { tell } = this.#options
    const { signal } = this.#controller
    try {
      const rows = await untilAborted(run, signal)
      tell({ kind: 'finished', rows, tasks: this.#relay.untoldEnds })
    } catch (error) {
      this.#relay.stop()
      const reason: unknown = signal.aborted ? signal.reason : error
      if (!(reason instanceof SqlError)) throw reason
      tell({ kind: 'failed', error: reason })
      if (reason.error === 'cannot_connect_now') this.#waitForClient()
      else this.#end()
    }
    await this.#settle()
  }

  async #settle(): Promise<void> {
    const { clock } = this.#options.coordinator.process
    const { signal } = this.#controller
    await settleReceipt({
      ...{ clock, received: this.#received, signal },
      isServed: () => this.#isServed,
      end: () => this.#end(),
    })
    if (!signal.aborted) this.#controller.abort(canceled('the statement has ended'))
  }

  get #owns(): boolean {
    const { records, queryId } = this.#options
    return this.#epoch !== undefined && records.get(queryId)?.serving === this
  }

  /** The client could still ask elsewhere for what is served to it here. */
  get #isServed(): boolean {
    return this.#owns && !this.#isWaiting
  }

  /** Its client has everything, or has been told of its failure; one that may come back finds it. */
  #end(): void {
    if (this.#isServed) this.#giveUp()
  }

  #waitForClient(): void {
    this.#isWaiting = true
    const { clock } = this.#options.coordinator.process
    clock.after(CLIENT_GRACE_MS, () => this.#giveUp())
  }

  #giveUp(): void {
    const { records, queryId, coordinator } = this.#options
    if (!this.#owns || this.#epoch === undefined) return
    for (const link of coordinator.executors.links()) link.releaseQuery(queryId, this.#epoch)
    records.end(queryId, this)
  }

  async #statement(): Promise<number> {
    const { coordinator, queryId, plan } = this.#options
    const { signal } = this.#controller
    const { executors } = coordinator
    const { clock } = coordinator.process
    let delivery: Delivery | undefined = undefined as Delivery | undefined
    const run = new QueryRun({
      ...{ clock, executors, queryId, signal, plan: plan.physical, relay: this.#relay },
      log: coordinator.log,
      session: 's',
      slots: Math.max(1, executors.placement.threads),
      taskBytesMin: 0,
      memoryLimitBytes: 1000,
      profile: false,
      kernelSettings: {},
      rowsMax: 0,
      onColumns: () => undefined,
      delivered: () => delivery?.settled() ?? Promise.resolve(),
    })
    delivery = new Delivery({
      relay: this.#relay,
      clock,
      log: coordinator.log,
      record: () => this.#record(run),
    })
    signal.addEventListener('abort', () => delivery?.stop(), { once: true })
    await run.run()
    return run.rows
  }

  async #record(run: QueryRun): Promise<void> {
    const { coordinator, queryId, records, world } = this.#options
    const { signal } = this.#controller
    signal.throwIfAborted()
    const tasks = await run.resultTasks()
    await coordinator.process.clock.sleep(world.prng.below(STORE_MS))
    records.create(queryId, { epoch: 1, serving: this, tasks })
    this.#epoch = 1
    if (signal.aborted) return this.#giveUp()
    this.#leave = () => run.leave()
    run.keep()
  }

  async #attached(from: Place): Promise<number> {
    const { coordinator, queryId, records, world, registered, plan } = this.#options
    const { signal } = this.#controller
    const { clock } = coordinator.process
    await clock.sleep(world.prng.below(STORE_MS))
    signal.throwIfAborted()
    const record = records.claim(queryId, this)
    if (record === undefined) throw new SqlError('undefined_object', 'there is no such result')
    this.#epoch = record.epoch
    if (plan.isInOrder) this.#relay.inOrder(record.tasks.map(({ task }) => task))
    const run = new ResumedRun({
      ...{ clock, queryId, registered, signal, relay: this.#relay, log: coordinator.log },
      ...{ executors: coordinator.executors, epoch: record.epoch, tasks: record.tasks, rowsMax: 0 },
      place: from.place,
      ended: from.ended,
    })
    this.#leave = () => run.stop()
    try {
      await run.take()
      this.#relay.open(true)
      await run.run()
      return run.rows
    } catch (error) {
      if (!signal.aborted) run.stop()
      throw error
    }
  }
}

const canceled = (why: string): SqlError => new SqlError('query_canceled', why)

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = deferred<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  aborted.promise.catch(() => undefined)
  work.catch(() => undefined)
  return await Promise.race([work, aborted.promise])
}
