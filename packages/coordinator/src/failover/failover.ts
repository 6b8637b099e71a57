import { type Clock, type Log, unreachable } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import {
  Board,
  type CommitRequest,
  deposeLeader,
  type Election,
  type Keys,
  type Kv,
  leaderWrites,
  type Leadership,
  type Member,
  type MemberRole,
  type Membership,
  type SuspicionRecord,
} from '@nyala/metastore'
import {
  contactOf,
  type Detection,
  type DetectionEvent,
  memberName,
  newDetection,
  type Probe,
  type ProbeOutcome,
  reachesExecutorsLess,
  shouldDepose,
  stepDetection,
  suspected,
} from './detection.ts'
import {
  type DutyEffect,
  type DutyState,
  type DutyView,
  type Life,
  newDuties,
  planDuties,
  type Reach,
} from './duties.ts'
import type { ProbeTarget } from './probe.ts'

type Activity = 'post' | 'depose' | 'duties'

/** How often what time alone brings about is looked at. */
const TICK_MS = 500

export interface FailoverOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly self: MemberId
  readonly membership: Membership
  readonly election: Election
  readonly probe: (target: ProbeTarget) => Promise<ProbeOutcome>
}

/**
 * Watches the other members for one coordinator, tells the others whom it suspects, ends the term of a leader that is
 * gone, and does the duties of a leader while it is one. What is to be done is decided by `detection.ts` and
 * `duties.ts`; this file awaits.
 *
 * Three things go on beside each other, each at most once at a time: posting suspicions, deposing, duties. Whatever of
 * them fails is found undone at the next tick and tried again.
 */
export class Failover {
  readonly board: Board
  readonly #options: FailoverOptions
  readonly #listeners = new Set<() => void>()
  #detection: Detection
  #duties: DutyState = newDuties
  /** The epoch that the duties are done under; another one begins them anew. */
  #dutyEpoch: number | undefined
  readonly #busy = new Set<Activity>()
  readonly #again = new Set<Activity>()
  #stopTimer: (() => void) | undefined
  readonly #stops: (() => void)[] = []
  #stopped = false

  constructor(options: FailoverOptions) {
    this.#options = options
    this.board = new Board(options)
    this.#detection = newDetection(options.self)
  }

  /** Resolves when it knows what the others have posted. The membership must have been started. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.board.start(options)
    const { membership } = this.#options
    this.#stops.push(
      membership.onChange(() => this.#onMembers()),
      this.board.onChange(() => this.#act()),
    )
    this.#onMembers()
    this.#tick()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTimer?.()
    for (const stop of this.#stops) stop()
    await this.board.stop()
  }

  /** Told by whoever holds the sockets of members. */
  onLink(event: Extract<DetectionEvent, { kind: 'linkOpened' | 'linkClosed' }>): void {
    this.#step(event)
  }

  /** To be called when this coordinator is elected, or sees another leader. */
  onLeader(): void {
    this.#act()
  }

  /** Called when a member becomes suspect or ceases to be. The returned function ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** This coordinator suspects the member, or another one knows that its process is gone. */
  isSuspected(role: MemberRole, id: string): boolean {
    const member = this.#options.membership.member(role, id)
    if (member === undefined) return false
    return contactOf(this.#detection, member)?.kind === 'suspected' || this.#isKnownGone(member)
  }

  /** Its process is known to be gone; one that is only silent may be reached by others. */
  isGone(role: MemberRole, id: string): boolean {
    const member = this.#options.membership.member(role, id)
    return member === undefined || this.#isKnownGone(member)
  }

  /** Its address refuses connections, from here or, where there is no socket to it, from another coordinator. */
  #isKnownGone(member: Member): boolean {
    const contact = contactOf(this.#detection, member)
    if (contact?.kind === 'suspected' && contact.by === 'refused') return true
    if (contact?.kind === 'linked') return false
    return this.board
      .suspicions()
      .some(({ record }) => isAbout(record, member) && record.kind === 'refused')
  }

  /** No executor is reached from here, and some from another coordinator. */
  get isCutOff(): boolean {
    return reachesExecutorsLess(
      this.#detection,
      this.board.suspicions().map(({ record }) => record),
    )
  }

  /** To be given work only where no other executor is left. All coordinators say the same. */
  isOnProbation(executor: string): boolean {
    return this.board.isOnProbation(executor)
  }

  #onMembers(): void {
    this.#step({ kind: 'membersChanged', members: this.#options.membership.members() })
  }

  #tick(): void {
    if (this.#stopped) return
    this.#step({ kind: 'timePassed' })
    this.#stopTimer = this.#options.clock.after(TICK_MS, () => this.#tick(), { background: true })
  }

  #step(event: DetectionEvent): void {
    if (this.#stopped) return
    const [next, probes] = stepDetection(this.#detection, event, this.#options.clock.now())
    if (next !== this.#detection) this.#become(next)
    for (const one of probes) void this.#probe(one)
    this.#act()
  }

  #become(next: Detection): void {
    const before = suspected(this.#detection).map(memberName).join()
    this.#detection = next
    if (suspected(next).map(memberName).join() !== before) {
      this.#options.log.warn('membersSuspected', { members: suspected(next) })
      for (const listener of [...this.#listeners]) listener()
    }
  }

  async #probe({ role, id, incarnation }: Probe): Promise<void> {
    const member = this.#options.membership.member(role, id)
    const isThere = member?.incarnation === incarnation
    const outcome = isThere ? await this.#options.probe(member) : 'silent'
    this.#step({ kind: 'probed', role, id, incarnation, outcome })
  }

  #act(): void {
    if (this.#stopped) return
    void this.#alone('post', () => this.#postSuspicions())
    void this.#alone('depose', () => this.#depose())
    void this.#alone('duties', () => this.#doDuties())
  }

  /** What is asked for while the same is under way is done once more after that. */
  async #alone(what: Activity, action: () => Promise<void>): Promise<void> {
    if (this.#busy.has(what)) {
      this.#again.add(what)
      return
    }
    this.#busy.add(what)
    try {
      do {
        this.#again.delete(what)
        await action()
      } while (this.#again.has(what) && !this.#stopped)
    } catch (error) {
      // The next tick finds it undone.
      if (!this.#stopped) this.#options.log.warn('failoverDelayed', { what, error })
    } finally {
      this.#busy.delete(what)
    }
  }

  /** Brings what is posted in line with what is held to be true. */
  async #postSuspicions(): Promise<void> {
    const { self, clock } = this.#options
    const held = suspected(this.#detection)
    const posted = this.board.suspicions().filter(({ record }) => record.by === self)
    for (const { role, id, incarnation, contact } of held) {
      const { by: kind, reason } = contact
      const record = { role, id, incarnation, by: self, kind, reason, at: clock.wall() }
      const isPosted = posted.some((one) => isAbout(one.record, record) && one.record.kind === kind)
      if (!isPosted) await this.board.suspect(record)
    }
    const wrong = posted.filter(({ record }) => !held.some((one) => isAbout(record, one)))
    for (const one of wrong) await this.board.withdraw(one)
  }

  async #depose(): Promise<void> {
    const { election, log } = this.#options
    const { leader } = election
    if (leader === undefined) return
    const seen = { ...leader.record, epoch: leader.epoch }
    const suspicions = this.board.suspicions().map(({ record }) => record)
    if (!shouldDepose(this.#detection, seen, suspicions)) return
    log.warn('leaderDeposed', { leader: leader.record.id, epoch: leader.epoch })
    await deposeLeader(this.#options, leader.epoch)
  }

  async #doDuties(): Promise<void> {
    const { election, clock } = this.#options
    const { leadership } = election
    if (leadership === undefined) {
      this.#dutyEpoch = undefined
      return
    }
    if (this.#dutyEpoch !== leadership.epoch) {
      this.#dutyEpoch = leadership.epoch
      this.#duties = newDuties
    }
    const view = this.#dutyView(leadership)
    const [next, effects] = planDuties(this.#duties, view, clock.now())
    this.#duties = next
    for (const effect of effects) await this.#carryOut(effect, leadership)
  }

  #dutyView(leadership: Leadership): DutyView {
    const { self, membership, clock } = this.#options
    return {
      self,
      epoch: leadership.epoch,
      members: membership.members(),
      suspicions: this.board.suspicions(),
      roster: this.board.roster(),
      launches: this.board.launches(),
      reach: (life) => this.#reach(life),
      wallMs: clock.wall(),
    }
  }

  #reach(life: Life): Reach {
    const contact = contactOf(this.#detection, life)
    if (contact?.kind === 'linked') return 'reached'
    if (contact?.kind !== 'suspected') return 'unknown'
    return contact.by === 'refused' ? 'gone' : 'silent'
  }

  async #carryOut(effect: DutyEffect, leadership: Leadership): Promise<void> {
    const { log, election, self, clock } = this.#options
    const told = { ...effect, epoch: leadership.epoch }
    if (effect.kind === 'resign') {
      log.warn('leaderDuty', told)
      return election.resign()
    }
    if (effect.kind === 'recordFailure') {
      return await this.board.recordFailure({ ...effect.failure, by: self, at: clock.wall() })
    }
    const answer = await leadership.commitIf(this.#writeOf(effect))
    if (answer.kind === 'answered' && answer.result.succeeded) log.info('leaderDuty', told)
  }

  #writeOf(effect: Exclude<DutyEffect, { kind: 'resign' | 'recordFailure' }>): CommitRequest {
    const { keys } = this.#options
    switch (effect.kind) {
      case 'removeMember':
        return leaderWrites.removeMember(keys, effect.life)
      case 'enlist':
        return leaderWrites.enlist(keys, effect.record, effect.known)
      case 'strike':
        return leaderWrites.strike(keys, effect.known)
      case 'launch':
        return leaderWrites.askForLaunch(keys, effect.request, effect.known)
      case 'closeLaunch':
        return leaderWrites.closeLaunch(keys, effect.known)
      case 'removeSuspicion':
        return leaderWrites.removeSuspicion(keys, effect.known)
      default:
        return unreachable(effect)
    }
  }
}

const isAbout = (record: SuspicionRecord, life: Life | Member): boolean =>
  record.role === life.role && record.id === life.id && record.incarnation === life.incarnation
