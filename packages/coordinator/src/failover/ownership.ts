import { unreachable } from '@nyala/client/base'
import type { Claim, ClaimReason, LoggedQuery, Owner } from '@nyala/metastore'

/**
 * Which queries this coordinator answers for: pure, so that the simulation runs the same code as production.
 *
 * ```
 *              started            created
 *   (none) ─────────────► creating ─────► owned ──ended──► finishing ──► (none)
 *      │                                   ▲  │
 *      │ clientAsked, orphan               │  └─ written over by another claim ──► (none), abandoned
 *      └─────────────► claiming ──claimed──┘
 *                          └── refused ──► (none)
 * ```
 *
 * Whoever has a query in `owned` may act for it; the store's compare and the executors' owner epochs keep out those who
 * wrongly believe so. A claim is made for a client that comes here because it cannot reach the owner, or that asks for a
 * query whose owner is gone; and by the leader for queries that nobody has come for.
 *
 * A record that names this process as owner and that it knows nothing of is the work of a write that came late, or the
 * view is behind. Of a query that was to begin here it is ended: its client was told that it failed. Of a claim it is
 * claimed again, since somebody may be waiting; a view that was behind is found out by that.
 */
export type Holding =
  | { readonly kind: 'creating' }
  | { readonly kind: 'owned'; readonly query: LoggedQuery }
  | { readonly kind: 'claiming'; readonly seen: LoggedQuery; readonly because: ClaimReason }
  /** `failed`: nobody knows whether the record is gone; it is to be tried again where it is still seen. */
  | { readonly kind: 'finishing'; readonly query: LoggedQuery; readonly failed?: boolean }

export interface Ownership {
  readonly self: Owner
  readonly holdings: ReadonlyMap<string, Holding>
  /** Since when this coordinator, as the leader, has seen a query without a living owner, by its id and owner epoch. */
  readonly orphanedSinceMs: ReadonlyMap<string, number>
}

export type OwnershipEvent =
  /** A query begins here; its record is about to be created. */
  | { readonly kind: 'started'; readonly id: string }
  | { readonly kind: 'created'; readonly query: LoggedQuery }
  /** The record was not created, or nobody knows; the query does not run. */
  | { readonly kind: 'createFailed'; readonly id: string }
  /** The owner's write was applied. */
  | { readonly kind: 'advanced'; readonly query: LoggedQuery }
  /** The owner's write was refused: `query` is what is there now. */
  | { readonly kind: 'writeLost'; readonly id: string; readonly query: LoggedQuery | undefined }
  /** What the log shows, and which coordinators live; told after each change of either, and as time passes. */
  | {
      readonly kind: 'looked'
      readonly queries: readonly LoggedQuery[]
      readonly living: readonly OwnerProcess[]
      readonly isLeader: boolean
    }
  /** A client asks for its query here. `force`: it cannot reach the owner, living or not. */
  | {
      readonly kind: 'clientAsked'
      readonly id: string
      readonly query: LoggedQuery | undefined
      readonly isOwnerLiving: boolean
      readonly force: boolean
    }
  | { readonly kind: 'claimAnswered'; readonly id: string; readonly claim: Claim }
  /** Nobody knows whether the claim was applied. */
  | { readonly kind: 'claimFailed'; readonly id: string }
  /** The query has ended here, well or not, and its client has been told or will not come. */
  | { readonly kind: 'ended'; readonly id: string }
  /** The record under which it ended is gone, or is of another term. */
  | { readonly kind: 'finished'; readonly query: LoggedQuery }
  | { readonly kind: 'finishFailed'; readonly query: LoggedQuery }

export type OwnershipEffect =
  | { readonly kind: 'claim'; readonly seen: LoggedQuery; readonly because: ClaimReason }
  /** It is this coordinator's now: go on from the record's place, under its owner epoch. */
  | { readonly kind: 'adopt'; readonly query: LoggedQuery; readonly because: ClaimReason }
  /** It is somebody else's now (`undefined`: over): stop at once, and send the client there. */
  | { readonly kind: 'abandon'; readonly id: string; readonly query: LoggedQuery | undefined }
  /** Somebody asked for it elsewhere. */
  | { readonly kind: 'cancel'; readonly id: string }
  | { readonly kind: 'finish'; readonly query: LoggedQuery }
  | { readonly kind: 'tellClient'; readonly id: string; readonly answer: ClientAnswer }

export type ClientAnswer =
  /** Ask again in a moment: this coordinator is taking it over. */
  | { readonly kind: 'claiming' }
  | { readonly kind: 'here' }
  | { readonly kind: 'elsewhere'; readonly owner: string }
  /** No such query, or it is over. */
  | { readonly kind: 'unknown' }

/**
 * Clients come for their queries within this; what nobody came for is the leader's. Counted anew by each leader: in a
 * time without one nobody could have registered, so that an owner is not to be missed for it.
 */
export const ORPHAN_GRACE_MS = 5_000

/** A process of a coordinator, as it says itself. */
export interface OwnerProcess {
  readonly id: string
  readonly startedAt: number
}

/**
 * The processes that may be at work for queries of theirs: registered ones that are not suspected, and all that hold a
 * socket to here open and answer its pings. Those may have lost their leases only, and will register again as soon as
 * the store lets them.
 */
export function livingOwners(seen: {
  readonly registered: readonly OwnerProcess[]
  readonly linked: readonly OwnerProcess[]
  readonly isSuspected: (id: string) => boolean
}): readonly OwnerProcess[] {
  return [...seen.registered.filter(({ id }) => !seen.isSuspected(id)), ...seen.linked]
}

export const newOwnership = (self: Owner): Ownership => ({
  self,
  holdings: new Map(),
  orphanedSinceMs: new Map(),
})

type Step = readonly [Ownership, readonly OwnershipEffect[]]

/** `nowMs`: monotonic. */
export function stepOwnership(state: Ownership, event: OwnershipEvent, nowMs: number): Step {
  switch (event.kind) {
    case 'started':
      return [hold(state, event.id, { kind: 'creating' }), []]
    case 'created':
    case 'advanced':
      return onWritten(state, event.query)
    case 'createFailed':
      return [letGo(state, event.id), []]
    case 'writeLost':
      return onLost(state, event.id, event.query)
    case 'looked':
      return onLooked(state, event, nowMs)
    case 'clientAsked':
      return onClientAsked(state, event)
    case 'claimAnswered':
      return onClaimAnswered(state, event.id, event.claim)
    case 'claimFailed':
      return state.holdings.get(event.id)?.kind === 'claiming'
        ? [letGo(state, event.id), []]
        : [state, []]
    case 'ended':
      return onEnded(state, event.id)
    case 'finished':
      return isFinishing(state, event.query)
        ? [letGo(state, event.query.record.id), []]
        : [state, []]
    case 'finishFailed': {
      const { query } = event
      if (!isFinishing(state, query)) return [state, []]
      return [hold(state, query.record.id, { kind: 'finishing', query, failed: true }), []]
    }
    default:
      return unreachable(event)
  }
}

/** The record under which this coordinator may act for a query; `undefined` where it may not. */
export function ownedQuery(state: Ownership, id: string): LoggedQuery | undefined {
  const holding = state.holdings.get(id)
  return holding?.kind === 'owned' ? holding.query : undefined
}

function onWritten(state: Ownership, query: LoggedQuery): Step {
  const { id } = query.record
  const holding = state.holdings.get(id)
  if (holding?.kind === 'creating') return [hold(state, id, { kind: 'owned', query }), []]
  // What was claimed away while the answer was on its way stays away.
  if (holding?.kind !== 'owned' || holding.query.modRevision > query.modRevision) return [state, []]
  return owning(state, holding.query, query)
}

/** A later record under the same term; that somebody has asked for its end is told once, however it is learnt. */
function owning(state: Ownership, before: LoggedQuery, query: LoggedQuery): Step {
  const { id } = query.record
  const isNewlyCancelled =
    query.record.state === 'cancelling' && before.record.state !== 'cancelling'
  return [
    hold(state, id, { kind: 'owned', query }),
    isNewlyCancelled ? [{ kind: 'cancel', id }] : [],
  ]
}

function onLost(state: Ownership, id: string, query: LoggedQuery | undefined): Step {
  const holding = state.holdings.get(id)
  if (holding === undefined || holding.kind === 'claiming') return [state, []]
  return [letGo(state, id), [{ kind: 'abandon', id, query }]]
}

function onLooked(
  state: Ownership,
  look: Extract<OwnershipEvent, { kind: 'looked' }>,
  nowMs: number,
): Step {
  const orphans = look.queries.filter(
    ({ record }) =>
      !isSelf(state, record) && !look.living.some((one) => isSame(one, ownerOf(record))),
  )
  const orphanedSinceMs = new Map(
    (look.isLeader ? orphans : []).map((query) => {
      const term = termName(query)
      return [term, state.orphanedSinceMs.get(term) ?? nowMs]
    }),
  )
  let next: Ownership = { ...state, orphanedSinceMs }
  const effects: OwnershipEffect[] = []
  const take = ([after, more]: Step): void => {
    next = after
    effects.push(...more)
  }
  for (const query of look.queries) take(onSeen(next, query))
  take([letGoFinished(next, look.queries), []])
  if (!look.isLeader) return [next, effects]
  for (const query of orphans) {
    const sinceMs = orphanedSinceMs.get(termName(query)) ?? nowMs
    if (nowMs - sinceMs >= ORPHAN_GRACE_MS) take(claiming(next, query, 'orphan'))
  }
  return [next, effects]
}

/** A record as the view shows it, which may be behind what this coordinator has written itself. */
function onSeen(state: Ownership, query: LoggedQuery): Step {
  const { id } = query.record
  const holding = state.holdings.get(id)
  if (holding === undefined) {
    if (!isSelf(state, query.record)) return [state, []]
    return query.record.ownerEpoch === 1
      ? finishing(state, query)
      : claiming(state, query, 'orphan')
  }
  if (holding.kind === 'finishing' && holding.failed === true)
    return finishing(state, holding.query)
  if (holding.kind !== 'owned' || query.modRevision <= holding.query.modRevision) return [state, []]
  if (!isSelf(state, query.record) || query.record.ownerEpoch !== holding.query.record.ownerEpoch) {
    return onLost(state, id, query)
  }
  return owning(state, holding.query, query)
}

function onClientAsked(
  state: Ownership,
  { id, query, isOwnerLiving, force }: Extract<OwnershipEvent, { kind: 'clientAsked' }>,
): Step {
  const tell = (answer: ClientAnswer): OwnershipEffect => ({ kind: 'tellClient', id, answer })
  const holding = state.holdings.get(id)
  switch (holding?.kind) {
    case 'owned':
      return [state, [tell({ kind: 'here' })]]
    case 'creating':
      return [state, [tell({ kind: 'claiming' })]]
    case 'claiming': {
      // Now somebody waits for it.
      const forClient = hold(state, id, { ...holding, because: 'client' })
      return [forClient, [tell({ kind: 'claiming' })]]
    }
    case 'finishing':
      return [state, [tell({ kind: 'unknown' })]]
    case undefined:
      break
  }
  const isLate = query !== undefined && isSelf(state, query.record)
  if (query === undefined || (isLate && query.record.ownerEpoch === 1)) {
    return [state, [tell({ kind: 'unknown' })]]
  }
  if (isOwnerLiving && !force && !isLate) {
    return [state, [tell({ kind: 'elsewhere', owner: query.record.owner })]]
  }
  const [next, effects] = claiming(state, query, 'client')
  return [next, [...effects, tell({ kind: 'claiming' })]]
}

function claiming(state: Ownership, seen: LoggedQuery, because: ClaimReason): Step {
  const { id } = seen.record
  if (state.holdings.has(id)) return [state, []]
  return [hold(state, id, { kind: 'claiming', seen, because }), [{ kind: 'claim', seen, because }]]
}

function onClaimAnswered(state: Ownership, id: string, claim: Claim): Step {
  const holding = state.holdings.get(id)
  if (holding?.kind !== 'claiming') {
    // Given up meanwhile, but won: nobody here answers for it, so it is ended.
    if (claim.kind === 'refused' || holding !== undefined) return [state, []]
    return finishing(state, claim.query)
  }
  if (claim.kind === 'claimed') {
    const { query } = claim
    const { because } = holding
    return [hold(state, id, { kind: 'owned', query }), [{ kind: 'adopt', query, because }]]
  }
  const answer: ClientAnswer =
    claim.query === undefined
      ? { kind: 'unknown' }
      : { kind: 'elsewhere', owner: claim.query.record.owner }
  const tells = holding.because === 'client'
  return [letGo(state, id), tells ? [{ kind: 'tellClient', id, answer }] : []]
}

function onEnded(state: Ownership, id: string): Step {
  const holding = state.holdings.get(id)
  if (holding?.kind !== 'owned') return [state, []]
  return finishing(state, holding.query)
}

function finishing(state: Ownership, query: LoggedQuery): Step {
  const { id } = query.record
  return [hold(state, id, { kind: 'finishing', query }), [{ kind: 'finish', query }]]
}

/** What came of ending an earlier term says nothing of a later one, nor of a claim that came meanwhile. */
function isFinishing(state: Ownership, query: LoggedQuery): boolean {
  const holding = state.holdings.get(query.record.id)
  return holding?.kind === 'finishing' && termName(holding.query) === termName(query)
}

/** Those whose end nobody knew of, and whose records are no longer there. */
function letGoFinished(state: Ownership, queries: readonly LoggedQuery[]): Ownership {
  const shown = new Set(queries.map(({ record }) => record.id))
  const isOver = (id: string, holding: Holding): boolean =>
    holding.kind === 'finishing' && holding.failed === true && !shown.has(id)
  const kept = [...state.holdings].filter(([id, holding]) => !isOver(id, holding))
  return kept.length === state.holdings.size ? state : { ...state, holdings: new Map(kept) }
}

const ownerOf = ({ owner, ownerStartedAt }: LoggedQuery['record']): Owner => ({
  id: owner,
  startedAt: ownerStartedAt,
})

const isSame = (a: OwnerProcess, b: OwnerProcess): boolean =>
  a.id === b.id && a.startedAt === b.startedAt

const isSelf = (state: Ownership, record: LoggedQuery['record']): boolean =>
  isSame(state.self, ownerOf(record))

const termName = ({ record }: LoggedQuery): string => `${record.id}/${record.ownerEpoch}`

function hold(state: Ownership, id: string, holding: Holding): Ownership {
  return { ...state, holdings: new Map(state.holdings).set(id, holding) }
}

function letGo(state: Ownership, id: string): Ownership {
  const holdings = new Map(state.holdings)
  holdings.delete(id)
  return { ...state, holdings }
}
