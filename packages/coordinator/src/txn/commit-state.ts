import { unreachable } from '@nyala/client/base'

/**
 * What becomes of a write between its record and its end, as the coordinator sees it. Pure; `WriteRuns` carries it out for
 * statements and for COMMIT alike, and so does the simulation.
 *
 * ```
 *   working ──committed──────────────────────────► ended: committed
 *      │
 *      ├─repeated, nothing, failed──► aborting ──any end───► ended: as it was
 *      │
 *      └─unknown──► aborting ──aborted──► ended: given up        (it never took place)
 *                      ├──gone──► asking ──outcome──► ended: committed or repeated
 *                      │             └───none───────► ended: unknown
 *                      └──unsettled─────────────────► ended: unknown   (asked again by the same statement)
 * ```
 *
 * `working`: participants stage and vote, then one commit decides. A decision whose outcome is unknown is resolved by
 * writing: once the record is aborted no decision can come any more; where it is gone there is an outcome.
 */
export type CommitState =
  | { readonly kind: 'working' }
  | { readonly kind: 'aborting'; readonly why: 'repeated' | 'nothing' | 'failed' | 'unknown' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'ended'; readonly how: CommitEnd }

export type CommitEnd = 'committed' | 'repeated' | 'nothing' | 'failed' | 'givenUp' | 'unknown'

export type CommitEvent =
  /** The decision was made, by this write or, `repeated`, by another one of the same statement. */
  | { readonly kind: 'decided'; readonly repeated: boolean }
  /** There is nothing to decide. */
  | { readonly kind: 'nothingToDo' }
  | { readonly kind: 'failed'; readonly isUnknown: boolean }
  /** `gone`: the record is not the pending one any more; `unsettled`: that could not be written now. */
  | { readonly kind: 'abortEnded'; readonly how: 'aborted' | 'gone' | 'unsettled' }
  | { readonly kind: 'outcomeRead'; readonly outcome: 'own' | 'another' | 'none' }

export type CommitEffect =
  /** Say by a guarded write that it will never be committed; then its files go. */
  | 'abort'
  /** Read the outcome of the statement. */
  | 'ask'
  /** Remove what attempts have left that came to nothing. */
  | 'tidy'

export const WORKING: CommitState = { kind: 'working' }

type Next = readonly [CommitState, CommitEffect | undefined]

/** What does not belong to the state changes nothing. */
export function onCommit(state: CommitState, event: CommitEvent): Next {
  switch (state.kind) {
    case 'working':
      return onWorking(state, event)
    case 'aborting':
      return onAborting(state, event)
    case 'asking':
      if (event.kind !== 'outcomeRead') return [state, undefined]
      if (event.outcome === 'own') return [{ kind: 'ended', how: 'committed' }, 'tidy']
      return [{ kind: 'ended', how: event.outcome === 'none' ? 'unknown' : 'repeated' }, undefined]
    case 'ended':
      return [state, undefined]
    default:
      return unreachable(state)
  }
}

function onWorking(state: CommitState, event: CommitEvent): Next {
  switch (event.kind) {
    case 'decided':
      if (event.repeated) return [{ kind: 'aborting', why: 'repeated' }, 'abort']
      return [{ kind: 'ended', how: 'committed' }, 'tidy']
    case 'nothingToDo':
      return [{ kind: 'aborting', why: 'nothing' }, 'abort']
    case 'failed':
      return [{ kind: 'aborting', why: event.isUnknown ? 'unknown' : 'failed' }, 'abort']
    case 'abortEnded':
    case 'outcomeRead':
      return [state, undefined]
    default:
      return unreachable(event)
  }
}

function onAborting(
  state: Extract<CommitState, { readonly kind: 'aborting' }>,
  event: CommitEvent,
): Next {
  if (event.kind !== 'abortEnded') return [state, undefined]
  if (state.why !== 'unknown') return [{ kind: 'ended', how: state.why }, undefined]
  switch (event.how) {
    case 'aborted':
      return [{ kind: 'ended', how: 'givenUp' }, undefined]
    case 'gone':
      return [{ kind: 'asking' }, 'ask']
    case 'unsettled':
      return [{ kind: 'ended', how: 'unknown' }, undefined]
    default:
      return unreachable(event.how)
  }
}
