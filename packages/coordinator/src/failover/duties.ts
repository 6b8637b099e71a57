import { isMutant } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import type {
  FailureRecord,
  LaunchRecord,
  Member,
  MemberRole,
  Posted,
  RosterRecord,
  SuspicionRecord,
} from '@nyala/metastore'

/**
 * What a leader has to do about members: pure. It is asked again after every change and every second, and compares
 * what is with what ought to be; so an effect that was not carried out, or not by the leader before, is found missing
 * and comes again. Every effect is a write under the leader's epoch that compares what it was decided on.
 *
 * - An executor that registers is put on the roster; one that drains leaves of its own will and is struck off.
 * - The record of a life whose address refuses connections goes.
 * - An executor of the roster that is gone is asked for at once; one that is missing, or registered but out of reach of
 *   every coordinator, after {@link REPLACE_AFTER_MS}.
 * - A request ends when a later life of the executor is registered, or when the launcher refuses it.
 * - Suspicions of coordinators that are gone, or about lives that are over, are removed.
 * - A leader that is cut off from half of the executors, while another coordinator is not, lets that one lead.
 */
export interface DutyState {
  /** Since when an executor of the roster is not registered, by its id. */
  readonly missingSinceMs: ReadonlyMap<string, number>
  /** Since when an executor is registered that no coordinator reaches, by its id and incarnation. */
  readonly unreachedSinceMs: ReadonlyMap<string, number>
  /** Since when a suspicion is out of date, by its subject and author. */
  readonly staleSinceMs: ReadonlyMap<string, number>
  readonly cutOffSinceMs: number | undefined
}

export const newDuties: DutyState = {
  missingSinceMs: new Map(),
  unreachedSinceMs: new Map(),
  staleSinceMs: new Map(),
  cutOffSinceMs: undefined,
}

/** What the leader sees. */
export interface DutyView {
  readonly self: MemberId
  readonly epoch: number
  readonly members: readonly Member[]
  readonly suspicions: readonly Posted<SuspicionRecord>[]
  readonly roster: readonly Posted<RosterRecord>[]
  readonly launches: readonly Posted<LaunchRecord>[]
  /** This coordinator's own contact with a life. */
  reach(life: Life): Reach
  /** Milliseconds since 1970-01-01 UTC, for records. */
  readonly wallMs: number
}

export interface Life {
  readonly role: MemberRole
  readonly id: MemberId
  readonly incarnation: number
}

export type Reach = 'reached' | 'unknown' | 'silent' | 'gone'

export type DutyEffect =
  | { readonly kind: 'removeMember'; readonly life: Life; readonly reason: string }
  | {
      readonly kind: 'enlist'
      readonly record: RosterRecord
      readonly known: Posted<RosterRecord> | undefined
    }
  | { readonly kind: 'strike'; readonly known: Posted<RosterRecord>; readonly reason: string }
  | { readonly kind: 'recordFailure'; readonly failure: Omit<FailureRecord, 'by' | 'at'> }
  | {
      readonly kind: 'launch'
      readonly request: LaunchRecord
      readonly known: Posted<LaunchRecord> | undefined
    }
  | { readonly kind: 'closeLaunch'; readonly known: Posted<LaunchRecord> }
  | { readonly kind: 'removeSuspicion'; readonly known: Posted<SuspicionRecord> }
  | { readonly kind: 'resign'; readonly reason: string }

/** An executor that is missing or out of reach, but not known to be gone, may come back by itself for so long. */
export const REPLACE_AFTER_MS = 10_000
/** A request that has come to nothing is made again; a launcher whose executor is still starting just says so again. */
export const RELAUNCH_AFTER_MS = 15_000
/** A suspicion may be out of date for so long: views of different coordinators differ by less. */
export const STALE_AFTER_MS = 10_000
/** A leader that does not reach half of the executors for so long lets another lead. */
export const CUT_OFF_MS = 5_000

export function planDuties(
  state: DutyState,
  view: DutyView,
  nowMs: number,
): readonly [DutyState, readonly DutyEffect[]] {
  const missingSinceMs = missingExecutors(state, view, nowMs)
  const unreached = executorsOf(view).filter((one) => isUnreached(view, one))
  const unreachedSinceMs = since(state.unreachedSinceMs, unreached.map(lifeName), nowMs)
  const stale = staleSuspicions(view)
  const staleSinceMs = since(state.staleSinceMs, stale.map(suspicionName), nowMs)
  const cutOffSinceMs = isCutOff(view) ? (state.cutOffSinceMs ?? nowMs) : undefined
  const effects: DutyEffect[] = [
    ...removals(view),
    ...enlistments(view),
    ...replacements(view, { missingSinceMs, unreachedSinceMs }, nowMs),
    ...closings(view),
    ...stale
      .filter((one) => nowMs - (staleSinceMs.get(suspicionName(one)) ?? nowMs) >= STALE_AFTER_MS)
      .map((known): DutyEffect => ({ kind: 'removeSuspicion', known })),
  ]
  const isOver = cutOffSinceMs !== undefined && nowMs - cutOffSinceMs >= CUT_OFF_MS
  if (isOver && !isMutant('no-resignation')) {
    const reason = 'it does not reach half of the executors, which others do'
    effects.push({ kind: 'resign', reason })
  }
  return [{ missingSinceMs, unreachedSinceMs, staleSinceMs, cutOffSinceMs }, effects]
}

function removals(view: DutyView): readonly DutyEffect[] {
  return view.members
    .filter((member) => member.id !== view.self && view.reach(member) === 'gone')
    .map(({ role, id, incarnation }) => ({
      kind: 'removeMember',
      life: { role, id, incarnation },
      reason: 'its address refuses connections',
    }))
}

/** The roster follows the executors that register; who drains wants to leave. */
function enlistments(view: DutyView): readonly DutyEffect[] {
  return executorsOf(view).flatMap((member): readonly DutyEffect[] => {
    const known = view.roster.find(({ record }) => record.id === member.id)
    if (member.state === 'draining') {
      return known === undefined ? [] : [{ kind: 'strike', known, reason: 'it drains' }]
    }
    if (known !== undefined && known.record.incarnation >= member.incarnation) return []
    const { id, incarnation, host, address, pid } = member
    return [{ kind: 'enlist', record: { id, incarnation, host, address, pid }, known }]
  })
}

function missingExecutors(
  state: DutyState,
  view: DutyView,
  nowMs: number,
): ReadonlyMap<string, number> {
  const registered = new Set(executorsOf(view).map(({ id }) => id))
  const missing = view.roster.map(({ record }) => record.id).filter((id) => !registered.has(id))
  return since(state.missingSinceMs, missing, nowMs)
}

function replacements(
  view: DutyView,
  absences: Pick<DutyState, 'missingSinceMs' | 'unreachedSinceMs'>,
  nowMs: number,
): readonly DutyEffect[] {
  return view.roster.flatMap((entry): readonly DutyEffect[] => {
    const { id, incarnation } = entry.record
    const asked = view.launches.find(({ record }) => record.id === id)
    if (asked?.record.state === 'refused' && asked.record.incarnation === incarnation) {
      const reason = asked.record.detail ?? 'the launcher refused to replace it'
      return [{ kind: 'strike', known: entry, reason }]
    }
    const absentSinceMs =
      absences.missingSinceMs.get(id) ?? absences.unreachedSinceMs.get(lifeName(entry.record))
    const isOverdue = nowMs - (absentSinceMs ?? nowMs) >= REPLACE_AFTER_MS
    const reason = whyLost(entry.record, view, isOverdue)
    if (reason === undefined || isPending(asked, view, incarnation)) return []
    const request: LaunchRecord = {
      ...entry.record,
      reason,
      epoch: view.epoch,
      requestedAt: view.wallMs,
      state: 'asked',
    }
    return [
      { kind: 'launch', request, known: asked },
      { kind: 'recordFailure', failure: { role: 'executor', id, incarnation, reason } },
    ]
  })
}

function whyLost(entry: RosterRecord, view: DutyView, isOverdue: boolean): string | undefined {
  const registered = executorsOf(view).find(({ id }) => id === entry.id)
  if (registered === undefined) return isOverdue ? 'it has left the membership' : undefined
  if (registered.incarnation !== entry.incarnation) return undefined
  if (view.reach(registered) === 'gone') return 'its address refuses connections'
  return isOverdue ? 'no coordinator reaches it' : undefined
}

/** Neither this coordinator nor any that it could ask of it reaches the executor, though that keeps its lease. */
function isUnreached(view: DutyView, executor: Member): boolean {
  if (view.reach(executor) !== 'silent') return false
  const others = view.members.filter(({ role, id }) => role === 'coordinator' && id !== view.self)
  const heard = others.filter((member) => view.reach(member) === 'reached')
  // Whoever reaches nobody at all is cut off itself.
  if (heard.length === 0 && others.length > 0) return false
  return heard.every(({ id }) =>
    view.suspicions.some(
      ({ record }) =>
        record.by === id && record.role === 'executor' && lifeName(record) === lifeName(executor),
    ),
  )
}

function isPending(
  asked: Posted<LaunchRecord> | undefined,
  view: DutyView,
  incarnation: number,
): boolean {
  if (asked === undefined || asked.record.incarnation !== incarnation) return false
  // Clocks of different leaders are compared here, which can make a request come early or late, and no more.
  return view.wallMs - asked.record.requestedAt < RELAUNCH_AFTER_MS
}

/** Requests that are fulfilled, or about executors that are no longer wanted. */
function closings(view: DutyView): readonly DutyEffect[] {
  return view.launches
    .filter(({ record }) => {
      const isWanted = view.roster.some((entry) => entry.record.id === record.id)
      const isBack = executorsOf(view).some(
        (member) => member.id === record.id && member.incarnation > record.incarnation,
      )
      return isBack || !isWanted
    })
    .map((known) => ({ kind: 'closeLaunch', known }))
}

function staleSuspicions(view: DutyView): readonly Posted<SuspicionRecord>[] {
  return view.suspicions.filter(({ record }) => {
    const isAboutTheLiving = view.members.some(
      (member) =>
        member.role === record.role &&
        member.id === record.id &&
        member.incarnation === record.incarnation,
    )
    const hasAuthor = view.members.some(
      (member) => member.role === 'coordinator' && member.id === record.by,
    )
    return !isAboutTheLiving || !hasAuthor
  })
}

/**
 * At least half of the executors are out of its reach, but some other coordinator doubts fewer of them. One that has no
 * socket to here is out of reach also while it is not known why: between two silences a probe may have been answered.
 */
function isCutOff(view: DutyView): boolean {
  const executors = executorsOf(view)
  const unreached = executors.filter((one) => OUT_OF_REACH.has(view.reach(one)))
  if (unreached.length === 0 || unreached.length * 2 < executors.length) return false
  const doubtedBy = (coordinator: string): number =>
    executors.filter((one) =>
      view.suspicions.some(
        ({ record }) =>
          record.by === coordinator &&
          record.role === 'executor' &&
          record.id === one.id &&
          record.incarnation === one.incarnation,
      ),
    ).length
  return view.members.some(
    (member) =>
      member.role === 'coordinator' &&
      member.id !== view.self &&
      member.state === 'active' &&
      view.reach(member) === 'reached' &&
      doubtedBy(member.id) < unreached.length,
  )
}

const OUT_OF_REACH: ReadonlySet<Reach> = new Set(['unknown', 'silent'])

const executorsOf = (view: DutyView): readonly Member[] =>
  view.members.filter(({ role }) => role === 'executor')

const lifeName = ({
  id,
  incarnation,
}: {
  readonly id: string
  readonly incarnation: number
}): string => `${id}/${incarnation}`

const suspicionName = ({ record }: Posted<SuspicionRecord>): string =>
  `${record.role}/${record.id}/${record.incarnation}/${record.by}`

/** Keeps the time of those that stay, begins it for those that are new, drops the others. */
function since(
  before: ReadonlyMap<string, number>,
  names: readonly string[],
  nowMs: number,
): ReadonlyMap<string, number> {
  return new Map(names.map((name) => [name, before.get(name) ?? nowMs]))
}
