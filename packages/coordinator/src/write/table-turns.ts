import type { Clock } from '@nyala/client/base'
import type { Patience } from '@nyala/metastore'
import type { PeerTurn } from '../failover/peer-protocol.ts'
import { waitedInVain } from './committer.ts'
import { type Claim, lastAhead } from './turn-order.ts'

/** A commit that waits for its turn says again that it does, this often, and is forgotten where it does not. */
const RENEW_MS = 2_000
const WAITING_MS = 3 * RENEW_MS
/** A commit whose turn it is is let alone for so many times as long as its last try took, within these bounds. */
const ALONE = 2
const ALONE_MS = { least: 500, most: 30_000 }
/** After it was overtaken a commit pauses up to this long times how often it was: those that the news miss spread. */
const PAUSE_STEP_MS = 5
const PAUSE_STEPS_MAX = 8

export interface TableTurnsOptions {
  /** Of this coordinator. */
  readonly id: string
  readonly clock: Clock
  /** From 0 to below 1. */
  readonly random: () => number
  /** Tells all other coordinators. */
  readonly tell: (turn: PeerTurn) => void
}

/**
 * Whose turn it is to commit to a table, among all coordinators. Commits go ahead as they come until one is overtaken. It
 * says so to all, and from then on, for as long as anybody waits there, they go in the order in which they began. Else
 * small quick ones would overtake a large one again and again, and all that it makes anew each time.
 *
 * ```
 *   go ahead ──overtaken──► waiting ──none is ahead──► go ahead, let alone ──► end
 *      └──others wait here────▲ └──overtaken─────────────────┘
 * ```
 *
 * It is courtesy and nothing rests on it: who is not told, or hears of it late, is stopped by the compare of the commit.
 * What others ask for is forgotten after a while, so nobody waits for one that is gone, nor for others of a coordinator
 * that does not get on, as when the metastore does not answer it: not until one of its commits has ended, or was overtaken.
 */
export class TableTurns {
  readonly #options: TableTurnsOptions
  /** By id. `peer`: whose it is; absent: of this coordinator. */
  readonly #claims = new Map<string, Claim & { readonly peer?: string }>()
  /** Coordinators of which a commit did not end, nor was overtaken, while it was let alone: nobody waits for any of theirs. */
  readonly #stuck = new Set<string>()
  /** By the id of what is waited for. */
  readonly #waiting = new Map<string, Set<() => void>>()
  #begun = 0
  /** Of the last commit that others waited for. */
  #revision = 0

  constructor(options: TableTurnsOptions) {
    this.#options = options
  }

  /** Of a commit that begins now. To be ended in any case. */
  begin(tables: readonly string[]): Turn {
    const { id, clock, random } = this.#options
    const sinceMs = clock.now()
    const identity = { id: `${id} ${++this.#begun}`, tables: [...new Set(tables)], sinceMs }
    return new Turn(identity, {
      ...{ clock, random },
      ahead: () => this.#ahead(identity),
      claim: (forMs, tries) => this.#claim({ ...identity, untilMs: clock.now() + forMs, tries }),
      release: (revision) => this.#release(identity, revision),
      revision: () => this.#revision,
      change: (of, withinMs, patience) => this.#change(of, withinMs, patience),
    })
  }

  /** What those of this coordinator ask for that wait or are let alone now. */
  asked(): readonly PeerTurn[] {
    return this.#claimsOf(undefined).map((claim) => this.#told(claim, 0))
  }

  /** What another coordinator asks for; undefined: its link is gone, and nobody waits for it. */
  onPeer(peer: string, turn: PeerTurn | undefined): void {
    const nowMs = this.#options.clock.now()
    this.#forgetOver(nowMs)
    if (turn === undefined) this.#forget(peer)
    else {
      const { id, tables, agedMs, forMs, tries, revision } = turn
      this.#revision = Math.max(this.#revision, revision)
      const known = this.#claims.get(id)
      // The metastore answers it.
      if (forMs === 0 || tries > (known?.tries ?? 0)) this.#stuck.delete(peer)
      // Each time it is heard of a little too late, so the earliest is the nearest to the truth.
      const sinceMs = Math.min(known?.sinceMs ?? Infinity, nowMs - agedMs)
      if (forMs === 0) this.#drop(id)
      else this.#claims.set(id, { id, tables, sinceMs, untilMs: nowMs + forMs, tries, peer })
    }
  }

  #ahead(mine: Pick<Claim, 'id' | 'tables' | 'sinceMs'>): Claim | undefined {
    const nowMs = this.#options.clock.now()
    this.#forgetOver(nowMs)
    return lastAhead(this.#counting(), mine, nowMs)
  }

  *#counting(): Iterable<Claim> {
    for (const claim of this.#claims.values()) {
      if (claim.peer === undefined || !this.#stuck.has(claim.peer)) yield claim
    }
  }

  #forgetOver(nowMs: number): void {
    for (const [id, { untilMs, peer }] of this.#claims) {
      if (untilMs > nowMs) continue
      this.#drop(id)
      if (peer === undefined || this.#stuck.has(peer)) continue
      this.#stuck.add(peer)
      for (const other of this.#claimsOf(peer)) this.#wake(other.id)
    }
  }

  #forget(peer: string): void {
    this.#stuck.delete(peer)
    for (const { id } of this.#claimsOf(peer)) this.#drop(id)
  }

  /** `undefined`: those of this coordinator. */
  #claimsOf(peer: string | undefined): readonly Claim[] {
    return [...this.#claims.values()].filter((one) => one.peer === peer)
  }

  #claim(claim: Claim): void {
    this.#claims.set(claim.id, claim)
    this.#options.tell(this.#told(claim, 0))
  }

  #release(claim: Omit<Claim, 'untilMs' | 'tries'>, revision: number): void {
    this.#revision = Math.max(this.#revision, revision)
    this.#options.tell(this.#told({ ...claim, untilMs: -Infinity, tries: 0 }, revision))
    this.#drop(claim.id)
  }

  #drop(id: string): void {
    this.#claims.delete(id)
    this.#wake(id)
  }

  #told({ id, tables, sinceMs, untilMs, tries }: Claim, revision: number): PeerTurn {
    const nowMs = this.#options.clock.now()
    const forMs = Math.max(0, Math.ceil(untilMs - nowMs))
    return { kind: 'turn', id, tables, agedMs: nowMs - sinceMs, forMs, tries, revision }
  }

  /** Resolves when a claim is gone, the time of any is over, or after that time. Fails once the patience is over. */
  #change(of: string, withinMs: number, patience: Patience | undefined): Promise<void> {
    const waiting = this.#waiting.get(of) ?? new Set()
    this.#waiting.set(of, waiting)
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => (): void => {
        waiting.delete(changed)
        if (waiting.size === 0) this.#waiting.delete(of)
        stopTimer()
        stopWatch?.()
        settle()
      }
      const changed = end(resolve)
      waiting.add(changed)
      const { clock } = this.#options
      const overMs = Math.min(...[...this.#claims.values()].map(({ untilMs }) => untilMs))
      const stopTimer = clock.after(Math.min(withinMs, overMs - clock.now()), changed)
      patience?.asked()
      const stopWatch = patience?.watch(end(() => reject(waitedInVain())))
    })
  }

  #wake(id: string): void {
    for (const tell of [...(this.#waiting.get(id) ?? [])]) tell()
  }
}

interface Place {
  readonly clock: Clock
  readonly random: () => number
  ahead(): Claim | undefined
  claim(forMs: number, tries: number): void
  release(revision: number): void
  revision(): number
  /** Of the claim with that id. */
  change(of: string, withinMs: number, patience: Patience | undefined): Promise<void>
}

/** The turn of one commit. */
export class Turn {
  readonly tables: readonly string[]
  readonly #place: Place
  #isAsked = false
  /** When it said last that it waits. */
  #toldMs = -Infinity
  #losses = 0
  #tookMs = 0

  constructor({ tables }: Pick<Claim, 'tables'>, place: Place) {
    this.tables = tables
    this.#place = place
  }

  /**
   * Waits for its turn, which comes at once where nobody waits; to be called before each try. `asked` is called where it has
   * to wait, as those ahead of it wait for the metastore; fails with `metastore_unavailable` when that patience is over.
   * Resolves with the revision of the catalog that shows what those ahead of it have committed: before that a try would be
   * in vain.
   */
  async come(asked: () => Patience | undefined): Promise<number> {
    let ahead = this.#place.ahead()
    if (ahead === undefined && !this.#isAsked) return 0
    for (; ahead !== undefined; ahead = this.#place.ahead()) {
      this.#wait()
      await this.#place.change(ahead.id, RENEW_MS, asked())
    }
    const aloneMs = Math.max(ALONE_MS.least, Math.min(ALONE * this.#tookMs, ALONE_MS.most))
    this.#place.claim(aloneMs, this.#losses)
    this.#toldMs = -Infinity
    return this.#place.revision()
  }

  /** It was overtaken in a try that took so long: from now on it waits for its turn. */
  async overtaken(tookMs: number): Promise<void> {
    const { clock, random } = this.#place
    this.#tookMs = tookMs
    this.#losses++
    if (this.tables.length > 0) this.#wait()
    await clock.sleep(random() * PAUSE_STEP_MS * Math.min(this.#losses, PAUSE_STEPS_MAX))
  }

  /** The commit has ended, in whatever way. `revision`: at which it was committed. */
  end(revision = 0): void {
    if (this.#isAsked) this.#place.release(revision)
    this.#isAsked = false
  }

  #wait(): void {
    const nowMs = this.#place.clock.now()
    if (this.#isAsked && nowMs - this.#toldMs < RENEW_MS) return
    this.#isAsked = true
    this.#toldMs = nowMs
    this.#place.claim(WAITING_MS, this.#losses)
  }
}
