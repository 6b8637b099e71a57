import { connect, SqlError } from '@nyala/client'
import type { Clock, Prng } from '@nyala/client/base'
import type { RunningProcess } from '../local/cluster.ts'
import type { Facts } from './facts.ts'
import type { Ledger } from './ledger.ts'
import { leftInCluster, leftInWarehouse } from './leftovers.ts'
import type { Links } from './links.ts'
import { type Call, isStream, isTableWrite, Load, type LoadKind } from './load.ts'
import { type LogLine, LogTail, missingFrom, statusAt, type Target } from './target.ts'

/** What a drill promises, one of: see {@link Check}. */
export type Claim =
  /** The fault came to be as the drill means it. Where it did not, nothing is shown: not even that a mutant fails. */
  | 'struck'
  /** No row of a result was lost, doubled or changed, no answer was wrong. */
  | 'exact'
  /** No client was told an error but those that the drill allows. */
  | 'errors'
  /** Every client works again, after no longer than the drill allows. */
  | 'stall'
  /** No task ran again: what executors had done and kept was used. */
  | 'kept'
  /** The members noticed in time. */
  | 'detected'
  /** There is another leader in time. */
  | 'leader'
  /** Many clients do not come to one coordinator. */
  | 'spread'
  /** No process takes more memory than it may. */
  | 'memory'
  /** What was struck has taken its place again, or another has, and does no harm. */
  | 'whole'
  /** No query, task, key or segment is left in the cluster. */
  | 'tidy'
  /** No process, port or file is left of the cluster; once for all rounds. */
  | 'gone'

export interface Check {
  readonly claim: Claim
  /** Why it does not hold; undefined where it does. */
  readonly failure: string | undefined
}

/** What a drill is allowed to take, milliseconds on a machine that is not short of anything. */
export interface Bounds {
  readonly stallMs: number
  readonly detectedMs?: number
  readonly leaderMs?: number
}

export interface Drill {
  readonly name: string
  readonly summary: string
  /** One client for each. */
  readonly load: readonly LoadKind[]
  readonly bounds: Bounds
  /** Streams are in their midst when it strikes. */
  readonly holdStreams?: boolean
  /** Nothing that executors have done is lost by the strike, so no task may run again. */
  readonly keepsWork?: boolean
  /** Id of the coordinator that the clients begin at. */
  readonly begin?: (round: Round) => Promise<string>
  /** The strike, and whatever heals it that the cluster cannot do itself. */
  readonly run: (round: Round) => Promise<void>
  /** Errors that clients may be told. */
  readonly allows?: (call: Call) => boolean
  /** The links between members, and with clients, are to fail: each is led through a proxy. */
  readonly links?: boolean
  /** Executors are as if on machines of their own: they pull segments from each other. */
  readonly apart?: boolean
  /** How many there are, where that matters. */
  readonly executors?: number
  /** Why it cannot be run on this machine, where it cannot. */
  readonly cannotRun?: () => string | undefined
  /** Members are struck at failpoints. */
  readonly failpoints?: boolean
  /** How etcd is run, where it is not as for all: answers once it is on disk; with so much room only. */
  readonly etcd?: { readonly fsync?: boolean; readonly quotaBytes?: number }
  /** What must hold once the load has ended and nothing is left of it. */
  readonly afterwards?: (round: Round) => Promise<void>
  /** Managed tables lie in a file system of their own, of this many bytes, in memory. Needs root. */
  readonly warehouseBytes?: number
  /** A line of another member that shows that it has noticed. */
  readonly notices?: (line: LogLine, victim: string) => boolean
  /** The flag under which it must fail, and at which claim. */
  readonly mutant: { readonly name: string; readonly fails: readonly Exclude<Claim, 'struck'>[] }
}

export interface RoundResult {
  readonly checks: readonly Check[]
  /** Undefined where it failed before the strike. */
  readonly victim: string | undefined
  readonly detectedMs: number | undefined
  readonly leaderMs: number | undefined
  /** From the strike until the cluster was whole. */
  readonly recoveredMs: number | undefined
  readonly worstStallMs: number
  readonly calls: number
  /** Results that went on, and statements that were sent again, at another coordinator. */
  readonly moves: number
  readonly errors: number
  readonly rowsLost: number
  readonly rowsDoubled: number
}

export interface RoundOptions {
  readonly drill: Drill
  readonly target: Target
  readonly members: readonly string[]
  readonly database: string
  readonly facts: Facts
  /** What clients have written, in all rounds. */
  readonly ledger: Ledger
  readonly prng: Prng
  readonly clock: Clock
  /** Times by which bounds are multiplied, for a machine that is short of something. */
  readonly patience: number
  readonly signal: AbortSignal
  /** Of a drill of links. */
  readonly links: Links | undefined
  /** Times that what writes have left goes sooner than elsewhere. */
  readonly haste: number
  /** The environment of members, which clients that are processes of their own share. */
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The file that members look into at failpoints. */
  readonly failpointFile: string | undefined
}

/** Nothing that the cluster does by itself takes longer; a replacement is asked for after 13 s. */
const WHOLE_MS = 45_000
/** Executors give up a query that nobody asks for after 30 s. */
const TIDY_MS = 45_000
/** What a coordinator that is gone has read is kept for 600 s, and files that a table has forgotten as long. */
const WRITES_TIDY_MS = 720_000
/** Until the load runs as it should before the strike. */
const WARM_MS = 60_000
const POLL_MS = 20

/** Why a round cannot go on: a claim does not hold. */
class ClaimFailed extends Error {
  readonly claim: Claim
  constructor(claim: Claim, message: string) {
    super(message)
    this.claim = claim
  }
}

/** Of what was written nothing is known to be right where it cannot be asked for. */
function cannotBeRead(error: unknown): string {
  if (error instanceof SqlError) return `what was written cannot be read: ${error.message}`
  throw error
}

/** One strike: warm-up, strike, what follows, and what is found afterwards. */
export class Round {
  readonly options: RoundOptions
  readonly #failures: Check[] = []
  #load: Load | undefined
  #tail: LogTail | undefined
  #victim: string | undefined
  #strikeMs = 0
  #strikeWallMs = 0
  #recoveredMs: number | undefined

  constructor(options: RoundOptions) {
    this.options = options
  }

  get load(): Load {
    if (this.#load === undefined) throw new Error('the load has not begun')
    return this.#load
  }

  get links(): Links {
    const { links } = this.options
    if (links === undefined) throw new Error('the drill has no links')
    return links
  }

  get victim(): string {
    return this.#victim ?? ''
  }

  async run(): Promise<RoundResult> {
    const { drill, clock } = this.options
    try {
      await this.#whole()
      await this.#startLoad()
      await drill.run(this)
      this.load.gate.open()
      await this.loadRecovered()
      await this.#whole()
      this.#recoveredMs = clock.now() - this.#strikeMs
      await this.load.finish()
      await this.#checkWrites()
      const tidyMs = this.#writes ? Math.max(TIDY_MS, WRITES_TIDY_MS / this.options.haste) : TIDY_MS
      await this.until('tidy', tidyMs, () => leftInCluster(this.options.target))
      if (this.#writes) {
        await this.until('tidy', tidyMs, () => leftInWarehouse(this.options.target))
      }
      await drill.afterwards?.(this)
    } catch (error) {
      if (!(error instanceof ClaimFailed)) throw error
      this.#failures.push({ claim: error.claim, failure: error.message })
      if (error.claim === 'stall') await this.#checkWritesAnyhow()
    } finally {
      await this.options.links?.set([])
      // What clients still try would keep the process alive.
      await this.#load?.close()
    }
    return this.#result()
  }

  /** The first strike is when time begins to count. */
  async strike(id: string, signal: NodeJS.Signals): Promise<void> {
    this.began(id)
    await this.signal(id, signal)
  }

  /** The strike is now, and is not a signal. */
  began(victim: string): void {
    const { clock, target, members } = this.options
    this.#victim = victim
    this.#tail = new LogTail(target, members)
    this.#strikeWallMs = clock.wall()
    this.#strikeMs = clock.now()
    this.load.markStrike()
  }

  signal(id: string, signal: NodeJS.Signals): Promise<void> {
    return this.options.target.signal(id, signal)
  }

  /** Lines that members have logged since the strike. */
  logged(): readonly LogLine[] {
    return (this.#tail?.lines() ?? []).filter(({ timeMs }) => timeMs >= this.#strikeWallMs)
  }

  async process(id: string): Promise<RunningProcess | undefined> {
    return (await this.options.target.processes()).find((one) => one.id === id)
  }

  async processes(role: RunningProcess['role']): Promise<readonly RunningProcess[]> {
    return (await this.options.target.processes()).filter((one) => one.role === role)
  }

  async ids(role: RunningProcess['role']): Promise<readonly string[]> {
    return (await this.processes(role)).map(({ id }) => id)
  }

  async leader(): Promise<string> {
    for (const { role, address } of await this.options.target.processes()) {
      const status = role === 'coordinator' ? await statusAt(address) : undefined
      if (typeof status?.leader === 'string') return status.leader
    }
    throw new ClaimFailed('leader', 'no coordinator knows a leader')
  }

  /** A bound of the drill for this machine. */
  bound(ms: number): number {
    return ms * this.options.patience
  }

  /** Every client works again. The bound is that of the stall, and time for the call itself on a busy machine. */
  async loadRecovered(): Promise<void> {
    const { drill } = this.options
    await this.until('stall', this.bound(drill.bounds.stallMs) + this.bound(LONG_CALL_MS), () => {
      const waiting = this.load.clients.filter((client) => !client.recovered)
      return waiting.length === 0
        ? undefined
        : `${waiting.map(({ name }) => name).join(', ')} did nothing well since`
    })
  }

  /** Waits until nothing is missing; what is missing at the end is why the claim fails. */
  async until(
    claim: Claim,
    timeoutMs: number,
    missing: () => string | undefined | Promise<string | undefined>,
  ): Promise<void> {
    const { clock, signal } = this.options
    const endMs = clock.now() + timeoutMs
    for (;;) {
      const what = await missing()
      if (what === undefined) return
      if (clock.now() > endMs) {
        throw new ClaimFailed(claim, `after ${Math.round(timeoutMs)} ms: ${what}`)
      }
      await clock.sleep(POLL_MS, { signal })
    }
  }

  get #writes(): boolean {
    return this.options.drill.load.some(isTableWrite)
  }

  /** What is in the tables is what clients were told, whichever coordinator is asked. */
  async #checkWrites(): Promise<void> {
    if (!this.#writes) return
    const { target, database, ledger } = this.options
    for (const { address, role } of await target.processes()) {
      if (role !== 'coordinator') continue
      await using db = await connect({ url: `nyala://${address}`, database, discover: false })
      const wrong = await ledger
        .resolve(db)
        .then(() => ledger.check(db))
        .catch(cannotBeRead)
      if (wrong !== undefined) throw new ClaimFailed('exact', wrong)
    }
  }

  /** Where clients wait in vain, what they were told before must be there all the same. Nobody may be there to tell. */
  async #checkWritesAnyhow(): Promise<void> {
    if (!this.#writes) return
    await this.load.close()
    const { target, database, ledger } = this.options
    try {
      await using db = await connect({ url: target.url, database })
      const failure = await ledger.check(db)
      if (failure !== undefined) this.#failures.push({ claim: 'exact', failure })
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
    }
  }

  #whole(): Promise<void> {
    const { target, members } = this.options
    return this.until('whole', this.bound(WHOLE_MS), () => missingFrom(target, members))
  }

  /** Every member but these is back. */
  whole(): Promise<void> {
    return this.#whole()
  }

  async #startLoad(): Promise<void> {
    const { drill, target, clock, facts, ledger, prng, database } = this.options
    const begin = await drill.begin?.(this)
    const prefer =
      begin === undefined
        ? undefined
        : (this.options.links?.addressOf(begin) ?? (await this.process(begin))?.address)
    this.#load = await Load.start({
      kinds: drill.load,
      prefer,
      url: target.url,
      database,
      facts,
      ledger,
      seed: prng.below(2 ** 31),
      clock,
      holdStreams: drill.holdStreams === true,
    })
    await this.until('errors', this.bound(WARM_MS), () => this.#coldClient())
  }

  #coldClient(): string | undefined {
    const { load } = this
    const isHeld = this.options.drill.holdStreams === true
    if (isHeld && load.gate.waiting < load.streams.length) return 'a stream has not begun'
    for (const { kind, name, calls } of load.clients) {
      const failed = calls.find(({ error }) => error !== undefined)
      if (failed !== undefined) return `${name} fails before the strike: ${failed.error?.message}`
      if (calls.length === 0 && !(isHeld && isStream(kind))) return `${name} has done nothing yet`
    }
    return undefined
  }

  #result(): RoundResult {
    const { calls = [], clients = [] } = this.#load ?? {}
    const seen = this.logged()
    const { drill } = this.options
    const first = (test: (line: LogLine) => boolean): number | undefined => {
      const times = seen.filter(test).map(({ timeMs }) => timeMs - this.#strikeWallMs)
      return times.length === 0 ? undefined : Math.min(...times)
    }
    const { notices } = drill
    const detectedMs = first(
      (line) => line.member !== this.#victim && notices?.(line, this.victim) === true,
    )
    const leaderMs =
      drill.bounds.leaderMs === undefined
        ? undefined
        : first((line) => line.member !== this.#victim && line.event === 'elected')
    const worstStallMs = Math.max(0, ...clients.map((client) => client.worstStallMs))
    return {
      checks: [
        ...this.#failures,
        ...this.#checkCalls(calls),
        this.#checkWork(seen),
        ...this.#checkTimes({ detectedMs, leaderMs, worstStallMs }),
      ],
      victim: this.#victim,
      detectedMs,
      leaderMs,
      recoveredMs: this.#recoveredMs,
      worstStallMs,
      calls: calls.length,
      moves: sum(clients.map((client) => client.moves)),
      errors: calls.filter(({ error }) => error !== undefined).length,
      rowsLost: sum(calls.map(({ rowsLost }) => rowsLost)),
      rowsDoubled: sum(calls.map(({ rowsDoubled }) => rowsDoubled)),
    }
  }

  #checkCalls(calls: readonly Call[]): readonly Check[] {
    const inexact = calls.find((one) => one.wrong !== undefined || one.rowsLost || one.rowsDoubled)
    const { allows } = this.options.drill
    const refused = calls.filter((one) => one.error !== undefined && allows?.(one) !== true)
    const [first] = refused
    return [
      {
        claim: 'exact',
        failure:
          inexact === undefined
            ? undefined
            : (inexact.wrong ??
              `a stream lost ${inexact.rowsLost} rows and doubled ${inexact.rowsDoubled}`),
      },
      {
        claim: 'errors',
        failure:
          first === undefined
            ? undefined
            : `${refused.length} calls failed, the first one (${first.kind}, ` +
              `${Math.round(first.startedMs - this.#strikeMs)} to ${Math.round(first.endedMs - this.#strikeMs)} ms ` +
              `after the strike) with ${first.error?.error}: ${first.error?.message}`,
      },
    ]
  }

  /** Who is struck itself may do as it likes: nobody asks it any more. */
  #checkWork(seen: readonly LogLine[]): Check {
    const again =
      this.options.drill.keepsWork === true
        ? seen.filter((line) => hasRunAgain(line) && line.member !== this.#victim)
        : []
    const [first] = again
    return {
      claim: 'kept',
      failure:
        first === undefined
          ? undefined
          : `${again.length} times tasks ran again, first by ${first.member}: ${JSON.stringify(first.fields)}`,
    }
  }

  #checkTimes(times: {
    readonly detectedMs: number | undefined
    readonly leaderMs: number | undefined
    readonly worstStallMs: number
  }): readonly Check[] {
    // Of a fault that has not come to be nobody could notice anything.
    if (this.#failures.some(({ claim }) => claim === 'struck')) return []
    const { bounds } = this.options.drill
    const within = (claim: Claim, ms: number | undefined, boundMs: number | undefined): Check => {
      if (boundMs === undefined) return { claim, failure: undefined }
      if (ms === undefined) return { claim, failure: 'it did not come to pass' }
      const isLate = ms > this.bound(boundMs)
      const late = `took ${Math.round(ms)} ms, more than ${this.bound(boundMs)}`
      return { claim, failure: isLate ? late : undefined }
    }
    return [
      within('detected', times.detectedMs, bounds.detectedMs),
      within('leader', times.leaderMs, bounds.leaderMs),
      within('stall', times.worstStallMs, bounds.stallMs),
    ]
  }
}

/** What a coordinator logs when tasks run once more; those that an executor refused have not run. */
const hasRunAgain = ({ event, fields }: LogLine): boolean =>
  event === 'resultsRunAgain' ||
  event === 'stagesRepaired' ||
  (event === 'taskRetried' && fields['error'] !== 'cannot_connect_now')

/** The longest call of the load, on a machine that is not short of anything. */
const LONG_CALL_MS = 5_000

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
