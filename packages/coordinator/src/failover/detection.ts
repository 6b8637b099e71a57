import { unreachable } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { CLOSE } from '@nyala/client/wire'
import type { MemberRole } from '@nyala/metastore'

/**
 * Whom this coordinator reaches: pure, so that the simulation runs the same code as production.
 *
 * ```
 *                 linkOpened                  linkClosed in order
 *   expected ─────────────────► linked ──────────────────────────► expected
 *      │  ▲                      │  │
 *      │  │ probe answered       │  │ linkClosed: silent
 *      │  │            linkClosed│  └────────────────────────┐
 *      │  │ otherwise            ▼                           ▼
 *      │  └───────────────── doubted ──probe silent──► suspected (silent)
 *      │ no link in time         │                           │
 *      └─────────────────────────┤ probe refused             │ probe refused
 *                                ▼                           │
 *                          suspected (refused) ◄─────────────┘
 * ```
 *
 * Each state is about one life of a member; a later incarnation begins as `expected`, and a member that leaves the
 * membership is forgotten. A link that opens ends every doubt. The registration says nothing about whether a member
 * lives: a member that vanished from the membership with its socket open is still linked, and is not doubted.
 */
export type Contact =
  | { readonly kind: 'expected'; readonly sinceMs: number }
  | { readonly kind: 'linked' }
  | { readonly kind: 'doubted'; readonly sinceMs: number; readonly reason: string }
  | {
      readonly kind: 'suspected'
      readonly sinceMs: number
      readonly by: 'refused' | 'silent'
      readonly reason: string
      /** When it was last asked whether it lives. */
      readonly probedMs: number
    }

/** What a probe of a member's address found. */
export type ProbeOutcome =
  /** The process of that life answered. */
  | 'answered'
  /** Nothing listens there, or another process does: the life is over. */
  | 'refused'
  /** No answer in time, which may be its fault or the network's. */
  | 'silent'

export interface WatchedMember {
  readonly role: MemberRole
  readonly id: MemberId
  readonly incarnation: number
  /** When its process began, by its own clock: tells processes with one id apart. */
  readonly startedAt: number
}

interface Watched extends WatchedMember {
  readonly contact: Contact
  readonly isProbed: boolean
}

export interface Detection {
  /** Never watches itself. */
  readonly self: MemberId
  readonly members: ReadonlyMap<string, Watched>
  /** Members with a socket to here, registered or not. */
  readonly links: ReadonlySet<string>
}

interface Named {
  readonly role: MemberRole
  readonly id: string
}

export type DetectionEvent =
  | { readonly kind: 'membersChanged'; readonly members: readonly WatchedMember[] }
  | ({ readonly kind: 'linkOpened' } & Named)
  /** `code`: why the socket closed, as in `CLOSE` or RFC 6455. */
  | ({ readonly kind: 'linkClosed'; readonly code: number; readonly reason: string } & Named)
  | ({
      readonly kind: 'probed'
      readonly incarnation: number
      readonly outcome: ProbeOutcome
    } & Named)
  | { readonly kind: 'timePassed' }

export interface Probe {
  readonly kind: 'probe'
  readonly role: MemberRole
  readonly id: MemberId
  readonly incarnation: number
}

/** A registered member that has no link by then is asked whether it lives. */
export const LINK_EXPECTED_MS = 3_000
/** How often a suspected member is asked again. */
export const REPROBE_MS = 1_000

export const newDetection = (self: MemberId): Detection => ({
  self,
  members: new Map(),
  links: new Set(),
})

export const memberName = ({ role, id }: Named): string => `${role}/${id}`

/** The contact with a life; `undefined` for one that is not watched. */
export function contactOf(
  state: Detection,
  life: Named & { readonly incarnation: number },
): Contact | undefined {
  const watched = state.members.get(memberName(life))
  return watched?.incarnation === life.incarnation ? watched.contact : undefined
}

/** Lives that this coordinator suspects, and says so to the others. */
export function suspected(
  state: Detection,
): readonly (WatchedMember & { readonly contact: Contact & { readonly kind: 'suspected' } })[] {
  return [...state.members.values()].flatMap(({ contact, ...member }) =>
    contact.kind === 'suspected' ? [{ ...member, contact }] : [],
  )
}

/** `nowMs`: monotonic. */
export function stepDetection(
  state: Detection,
  event: DetectionEvent,
  nowMs: number,
): readonly [Detection, readonly Probe[]] {
  switch (event.kind) {
    case 'membersChanged':
      return [onMembersChanged(state, event.members, nowMs), []]
    case 'linkOpened': {
      const links = new Set(state.links).add(memberName(event))
      return [withContact({ ...state, links }, event, () => ({ kind: 'linked' })), []]
    }
    case 'linkClosed':
      return onLinkClosed(state, event, nowMs)
    case 'probed':
      return [onProbed(state, event, nowMs), []]
    case 'timePassed':
      return onTimePassed(state, nowMs)
    default:
      return unreachable(event)
  }
}

function onMembersChanged(
  state: Detection,
  listed: readonly WatchedMember[],
  nowMs: number,
): Detection {
  const members = new Map<string, Watched>()
  for (const member of listed) {
    if (member.role === 'coordinator' && member.id === state.self) continue
    const name = memberName(member)
    const known = state.members.get(name)
    if (known?.incarnation === member.incarnation) {
      members.set(name, known)
      continue
    }
    const contact: Contact = state.links.has(name)
      ? { kind: 'linked' }
      : { kind: 'expected', sinceMs: nowMs }
    const { role, id, incarnation, startedAt } = member
    members.set(name, { role, id, incarnation, startedAt, contact, isProbed: false })
  }
  return { ...state, members }
}

function onLinkClosed(
  state: Detection,
  event: Extract<DetectionEvent, { kind: 'linkClosed' }>,
  nowMs: number,
): readonly [Detection, readonly Probe[]] {
  const links = new Set(state.links)
  links.delete(memberName(event))
  const closed = withContact({ ...state, links }, event, () => contactAfter(event, nowMs))
  const left = closed.members.get(memberName(event))
  return left === undefined || left.contact.kind === 'expected'
    ? [closed, []]
    : probing(closed, [left])
}

function contactAfter(
  { code, reason }: { readonly code: number; readonly reason: string },
  nowMs: number,
): Contact {
  if (code === CLOSE.normal || code === CLOSE.goingAway) return { kind: 'expected', sinceMs: nowMs }
  if (code === CLOSE.silent) {
    return { kind: 'suspected', sinceMs: nowMs, by: 'silent', reason, probedMs: nowMs }
  }
  return { kind: 'doubted', sinceMs: nowMs, reason: `socket closed with ${code} ${reason}`.trim() }
}

function onProbed(
  state: Detection,
  event: Extract<DetectionEvent, { kind: 'probed' }>,
  nowMs: number,
): Detection {
  const watched = state.members.get(memberName(event))
  if (watched === undefined || watched.incarnation !== event.incarnation) return state
  const contact = contactProbed(watched.contact, event.outcome, nowMs)
  return put(state, { ...watched, contact, isProbed: false })
}

function contactProbed(contact: Contact, outcome: ProbeOutcome, nowMs: number): Contact {
  if (contact.kind === 'linked') return contact
  if (outcome === 'answered') return { kind: 'expected', sinceMs: nowMs }
  const wasSuspected = contact.kind === 'suspected'
  // What was refused once is over, whatever is heard of it later.
  if (wasSuspected && (contact.by === 'refused' || outcome === 'silent')) {
    return { ...contact, probedMs: nowMs }
  }
  const why = outcome === 'refused' ? 'its address refuses connections' : 'it does not answer'
  const before = contact.kind === 'expected' ? 'it did not connect' : contact.reason
  return {
    kind: 'suspected',
    sinceMs: wasSuspected ? contact.sinceMs : nowMs,
    by: outcome,
    reason: `${before}; ${why}`,
    probedMs: nowMs,
  }
}

function onTimePassed(state: Detection, nowMs: number): readonly [Detection, readonly Probe[]] {
  const due = [...state.members.values()].filter(({ contact, isProbed }) => {
    if (isProbed) return false
    switch (contact.kind) {
      case 'linked':
        return false
      case 'expected':
        return nowMs - contact.sinceMs >= LINK_EXPECTED_MS
      case 'doubted':
        return true
      case 'suspected':
        return nowMs - contact.probedMs >= REPROBE_MS
      default:
        return unreachable(contact)
    }
  })
  return due.length === 0 ? [state, []] : probing(state, due)
}

/** At most one probe of a member is under way. */
function probing(
  state: Detection,
  due: readonly Watched[],
): readonly [Detection, readonly Probe[]] {
  let next = state
  const probes: Probe[] = []
  for (const watched of due) {
    if (watched.isProbed) continue
    const { role, id, incarnation } = watched
    probes.push({ kind: 'probe', role, id, incarnation })
    next = put(next, { ...watched, isProbed: true })
  }
  return [next, probes]
}

function withContact(
  state: Detection,
  named: Named,
  contact: (before: Contact) => Contact,
): Detection {
  const watched = state.members.get(memberName(named))
  return watched === undefined
    ? state
    : put(state, { ...watched, contact: contact(watched.contact) })
}

function put(state: Detection, watched: Watched): Detection {
  return { ...state, members: new Map(state.members).set(memberName(watched), watched) }
}

/** What is known of the leader when it is to be decided whether to end its term. */
export interface LeaderSeen {
  readonly id: string
  /** Of the process that was elected. */
  readonly startedAt: number
}

/** A suspicion that some coordinator has posted. */
export interface PostedSuspicion {
  readonly role: MemberRole
  readonly id: string
  readonly incarnation: number
  readonly by: string
}

/**
 * Whether to end the leader's term before its lease runs out.
 *
 * A process that is gone leads nobody: one coordinator that saw its socket close and its address refuse is enough. One
 * that is only silent may be cut off from a few, and deposing it for them would not help the others: more than half of
 * the coordinators besides it must say so.
 */
export function shouldDepose(
  state: Detection,
  leader: LeaderSeen,
  suspicions: readonly PostedSuspicion[],
): boolean {
  if (leader.id === state.self) return false
  const watched = state.members.get(memberName({ role: 'coordinator', id: leader.id }))
  // Another process of that id than the one that was elected says nothing about that one.
  if (watched?.startedAt !== leader.startedAt) return false
  if (watched.contact.kind !== 'suspected') return false
  if (watched.contact.by === 'refused') return true
  const coordinators = [...state.members.values()].filter(({ role }) => role === 'coordinator')
  const doubters = new Set(
    suspicions
      .filter(
        ({ role, id, incarnation }) =>
          role === 'coordinator' && id === leader.id && incarnation === watched.incarnation,
      )
      .map(({ by }) => by),
  ).add(state.self)
  doubters.delete(leader.id)
  // The coordinators watched are all but this one; without the leader, and with this one, they are as many.
  return doubters.size * 2 > coordinators.length
}

/**
 * No executor is linked to this coordinator, and of one at least another coordinator that answers here has not said that
 * it misses it: whoever is sent there is better off.
 */
export function reachesExecutorsLess(
  state: Detection,
  suspicions: readonly PostedSuspicion[],
): boolean {
  const members = [...state.members.values()]
  const executors = members.filter(({ role }) => role === 'executor')
  if (executors.some(({ contact }) => contact.kind === 'linked')) return false
  const peers = members.filter(
    ({ role, contact }) => role === 'coordinator' && contact.kind === 'linked',
  )
  const isMissedBy = (executor: Watched, peer: Watched): boolean =>
    suspicions.some(
      (one) =>
        one.by === peer.id &&
        one.role === 'executor' &&
        one.id === executor.id &&
        one.incarnation === executor.incarnation,
    )
  return executors.some((executor) => peers.some((peer) => !isMissedBy(executor, peer)))
}
