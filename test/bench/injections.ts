import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@nyala/client'
import { type Clock, Prng } from '@nyala/client/base'
import { type LocalCluster, startLocalCluster } from '@nyala/deploy'
import {
  type Call,
  type Facts,
  isTableWrite,
  leftInCluster,
  Ledger,
  Load,
  type LoadClient,
  type LoadKind,
  LogTail,
  missingFrom,
  ownTarget,
  type Target,
} from '@nyala/deploy/drill'
import { median } from './measurement.ts'

/** What a campaign breaks, and among what. */
export interface CampaignOptions {
  readonly facts: Facts
  readonly load: readonly LoadKind[]
  readonly executors: number
  /** Members of etcd. */
  readonly etcd: 1 | 3
  readonly seed: number
  readonly clock: Clock
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Ends it at once; what it has started goes. */
  readonly signal: AbortSignal
}

/** The first wait of a supervisor before it starts a member again. */
const RESTART_MS = 250
/** Whatever is waited for comes by then, or the measurement is over. */
const LIMIT_MS = 60_000
/** Files are kept for ten minutes for coordinators that were lost, which may still read them. */
const READERS_GONE_MS = 900_000
const POLL_MS = 10
/** Between two looks at all members, each of which asks every coordinator. */
const GREEN_POLL_MS = 50
/** Calls of each client before the first injection, to know what is usual. */
const WARM_CALLS = 5
const EXECUTOR_MEMORY_BYTES = 512 * 1024 * 1024

/**
 * A cluster of real processes under clients that never stop and check every answer. Members are broken one after another:
 * the next one as soon as every member is back and every client works, however long that takes, and no longer.
 */
export class Campaign {
  readonly clock: Clock
  readonly prng: Prng
  readonly cluster: LocalCluster
  readonly target: Target
  readonly load: Load
  readonly #ledger: Ledger
  readonly #members: readonly string[]
  readonly #dir: string
  readonly signal: AbortSignal
  readonly #restarts = new Set<Promise<void>>()
  #greenMs = 0
  #strikeMs = 0
  #strikeWallMs = 0
  #tail: LogTail | undefined

  private constructor(parts: {
    readonly options: CampaignOptions
    readonly cluster: LocalCluster
    readonly load: Load
    readonly ledger: Ledger
    readonly dir: string
  }) {
    const { options, cluster, load, ledger, dir } = parts
    this.clock = options.clock
    this.prng = new Prng(options.seed)
    this.cluster = cluster
    this.target = ownTarget(cluster)
    this.load = load
    this.#ledger = ledger
    this.#dir = dir
    this.signal = options.signal
    this.#members = cluster.processes.map(({ id }) => id)
  }

  static async open(options: CampaignOptions): Promise<Campaign> {
    const { facts, variables, executors, etcd, signal } = options
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'nyala-failover-')))
    let cluster: LocalCluster | undefined
    try {
      cluster = await startLocalCluster({
        ...{ dir, variables, executors, etcd, coordinators: 3, threads: 1, signal },
        roots: [facts.sample.dir],
        memoryBytes: EXECUTOR_MEMORY_BYTES,
      })
      const ledger = new Ledger()
      await createTables(cluster, options, ledger)
      const load = await startLoad(cluster, options, ledger)
      const campaign = new Campaign({ options, cluster, load, ledger, dir })
      await campaign.until('clients are warm', () =>
        load.clients.every(({ calls }) => calls.length >= WARM_CALLS),
      )
      return campaign
    } catch (error) {
      if (signal.aborted) cluster?.killNow()
      await cluster?.stop()
      rmSync(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** Every member is there and known to all others. Resolves with what was missing last; fails where it stays away. */
  async green(): Promise<string> {
    await Promise.all(this.#restarts)
    let last = 'nothing'
    const isWhole = async (): Promise<boolean> => {
      const missing = await missingFrom(this.target, this.#members)
      last = missing ?? last
      return missing === undefined
    }
    await this.until('all members are back', isWhole, { pollMs: GREEN_POLL_MS }).catch(
      (error: unknown) => {
        throw new Error(last, { cause: error })
      },
    )
    this.#greenMs = this.clock.now()
    return last
  }

  /** The strike is now. */
  strike(id: string, signal: NodeJS.Signals): void {
    this.began()
    this.cluster.kill(id, signal)
    if (signal === 'SIGKILL') this.restart(id, RESTART_MS)
  }

  /** From now on delays count. */
  began(): void {
    this.#tail = new LogTail(this.target, this.#members)
    this.#strikeWallMs = this.clock.wall()
    this.#strikeMs = this.clock.now()
    this.load.markStrike()
  }

  /** Stops a member in order where it still runs, and starts it again. {@link green} waits for it. */
  restart(id: string, afterMs: number): void {
    const again = async (): Promise<void> => {
      if (afterMs > 0) await this.cluster.exited(id)
      await this.clock.sleep(afterMs)
      await this.cluster.restart(id)
    }
    const done = again().finally(() => this.#restarts.delete(done))
    this.#restarts.add(done)
    // It is waited for before the next injection.
    done.catch(() => undefined)
  }

  /** Every client has done something well that ended after the strike. */
  async recovered(): Promise<void> {
    await this.until('all clients work again', () => this.load.clients.every((c) => c.recovered))
  }

  /** How long after the strike another member first logged such a line; undefined where none did. */
  noticedMs(notices: (line: ReturnType<LogTail['lines']>[number]) => boolean): number | undefined {
    const times = (this.#tail?.lines() ?? [])
      .filter((line) => line.timeMs >= this.#strikeWallMs && notices(line))
      .map(({ timeMs }) => timeMs - this.#strikeWallMs)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** The longest wait of a client of these kinds since the strike, beyond what is usual. */
  stallMs(kinds: readonly LoadKind[]): number {
    const clients = this.load.clients.filter(({ kind }) => kinds.includes(kind))
    return Math.max(...clients.map(({ worstStallMs }) => worstStallMs))
  }

  /**
   * Of the calls that were under way at the strike: how much longer than usual the worst of them took, and how much of
   * that is more than all that they had done until the strike, which is the most work that can have been lost.
   */
  struckCalls(kind: LoadKind): { readonly addedMs: number; readonly beyondLostMs: number } {
    const struck = this.load.clients
      .filter((client) => client.kind === kind)
      .flatMap((client) =>
        client.calls
          .filter((call) => this.#isStruck(call))
          .map((call) => this.#added(client, call)),
      )
    return {
      addedMs: Math.max(0, ...struck.map(({ addedMs }) => addedMs)),
      beyondLostMs: Math.max(0, ...struck.map(({ beyondLostMs }) => beyondLostMs)),
    }
  }

  #isStruck({ startedMs, endedMs }: Call): boolean {
    return startedMs < this.#strikeMs && endedMs >= this.#strikeMs
  }

  #added(client: LoadClient, call: Call): { addedMs: number; beyondLostMs: number } {
    const before = client.calls
      .filter(({ endedMs }) => endedMs < this.#strikeMs)
      .slice(-USUAL_CALLS)
    const usualMs = median(before.map((one) => one.endedMs - one.startedMs))
    const addedMs = call.endedMs - call.startedMs - usualMs
    return { addedMs, beyondLostMs: addedMs - (this.#strikeMs - call.startedMs) }
  }

  /**
   * Resolves at some moment in a call of that kind which began when all was green, now and then not in the first such:
   * between `from` and `to` of the time that one usually takes.
   */
  async midst(kind: LoadKind, [from, to]: readonly [number, number]): Promise<LoadClient> {
    const clients = this.load.clients.filter((one) => one.kind === kind)
    const client = this.prng.pick(clients)
    const took = client.calls.slice(-USUAL_CALLS).map((one) => one.endedMs - one.startedMs)
    const delayMs = median(took) * (from + (to - from) * this.prng.next())
    const skipped = this.prng.chance(SKIP_CHANCE) ? 1 : 0
    const isDue = (): boolean => {
      const { busySinceMs = Infinity, calls } = client
      const since = calls.filter(({ startedMs }) => startedMs >= this.#greenMs).length
      return (
        since >= skipped &&
        busySinceMs >= this.#greenMs &&
        this.clock.now() - busySinceMs >= delayMs
      )
    }
    await this.until(`a ${kind} is in its midst`, isDue, { pollMs: 1 })
    return client
  }

  ids(role: 'coordinator' | 'executor' | 'etcd'): readonly string[] {
    return this.cluster.processes.filter((one) => one.role === role).map(({ id }) => id)
  }

  /** Id of the member at an address; fails where none runs there. */
  idAt(address: string | undefined): string {
    const found = this.cluster.processes.find((one) => one.address === address)
    if (found === undefined) throw new Error(`no member runs at ${address ?? 'no address'}`)
    return found.id
  }

  async until(
    what: string,
    holds: () => boolean | Promise<boolean>,
    { pollMs = POLL_MS, limitMs = LIMIT_MS }: { pollMs?: number; limitMs?: number } = {},
  ): Promise<void> {
    const endMs = this.clock.now() + limitMs
    while (!(await holds())) {
      this.signal.throwIfAborted()
      if (this.clock.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}`)
      await this.clock.sleep(pollMs)
    }
  }

  /** Lets every client end what it does, and says what went wrong in all of their calls, and what is left. */
  async finish(): Promise<{ readonly calls: number; readonly bad: readonly string[] }> {
    await this.load.finish()
    const { calls } = this.load
    const writes = calls.some(({ kind }) => isTableWrite(kind))
    let left: string | undefined
    const isTidy = async (): Promise<boolean> => {
      left = await leftInCluster(this.target)
      return left === undefined
    }
    const limitMs = writes ? READERS_GONE_MS : LIMIT_MS
    await this.until('nothing is left', isTidy, { limitMs }).catch(() => undefined)
    const found = [left, writes ? await this.#miswritten() : undefined]
    return {
      calls: calls.length,
      bad: [...wrongOf(calls), ...found.filter((one) => one !== undefined)],
    }
  }

  /** That a row which was acknowledged is not there once, or one is there that should not be. */
  async #miswritten(): Promise<string | undefined> {
    await using db = await connect({ url: this.cluster.url })
    await this.#ledger.resolve(db)
    return await this.#ledger.check(db)
  }

  /** Ends all of it, whatever it is at. */
  async close(): Promise<void> {
    if (this.signal.aborted) this.cluster.killNow()
    await this.load.close()
    await Promise.allSettled(this.#restarts)
    await this.cluster.stop()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

/** That not the first call is struck that begins when all is green, but the one after it. */
const SKIP_CHANCE = 0.2
/** What a call usually takes is the median of so many. */
const USUAL_CALLS = 20

function wrongOf(calls: readonly Call[]): readonly string[] {
  const failed = calls.flatMap(({ kind, error }) =>
    error === undefined ? [] : [`${kind}: ${error.error}: ${error.message}`],
  )
  const wrong = calls.flatMap(({ kind, wrong }) =>
    wrong === undefined ? [] : [`${kind}: ${wrong}`],
  )
  const lost = calls.reduce((sum, one) => sum + one.rowsLost, 0)
  const doubled = calls.reduce((sum, one) => sum + one.rowsDoubled, 0)
  return [
    ...(failed.length > 0 ? [`${failed.length} calls failed, first ${failed[0]}`] : []),
    ...(wrong.length > 0 ? [`${wrong.length} answers were wrong, first ${wrong[0]}`] : []),
    ...(lost + doubled > 0 ? [`${lost} rows lost, ${doubled} doubled`] : []),
  ]
}

async function createTables(
  { url }: LocalCluster,
  { facts, load }: CampaignOptions,
  ledger: Ledger,
): Promise<void> {
  await using db = await connect({ url })
  for (const sql of facts.sample.statements) await db.execute(sql)
  if (load.some(isTableWrite)) await ledger.makeTables(db)
}

function startLoad({ url }: LocalCluster, options: CampaignOptions, ledger: Ledger): Promise<Load> {
  const { facts, load, seed, clock } = options
  return Load.start({
    ...{ kinds: load, prefer: undefined, url, database: 'default', facts },
    ...{ ledger, seed, clock, holdStreams: false },
  })
}
