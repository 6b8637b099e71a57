import { unreachable } from '@nyala/client/base'
import type { WrittenFile } from '../kernel/kernel-protocol.ts'
import type { TableFile } from '../protocol/index.ts'

/**
 * One attempt of a task that writes files of a table, as a participant of the commit sees it. Starting the task asks it to
 * prepare; `taskFinished` with the files is its yes, `taskFailed` its no.
 *
 * ```
 *   staging ──written──► checking ──agreed──► voted yes
 *      │                    │                    └──ended: the files are whoever's the decision makes them
 *      │                    └──disagreed──► voted no   (files removed)
 *      ├──failed──────────────────────────► voted no
 *      └──ended (canceled, released)──► ending ──written, failed──► voted no   (files removed)
 * ```
 *
 * What makes a yes durable is what it is about: the files are fsynced, their directory too, and each bears its write and
 * its checksum in its name, on storage that all members reach. So nothing is asked of an executor after its vote: it may
 * die, and the decision stands or falls without it.
 */
export type ParticipantState =
  | { readonly kind: 'staging' }
  | { readonly kind: 'checking'; readonly written: readonly WrittenFile[]; readonly ended: boolean }
  /** Its task was canceled or its query released: what it still writes is nobody's. */
  | { readonly kind: 'ending' }
  | { readonly kind: 'voted'; readonly yes: boolean }

export type ParticipantEvent<Reason> =
  /** The files are on disk under their names. */
  | { readonly kind: 'written'; readonly files: readonly WrittenFile[] }
  /** What was read back of them agrees with what was written. */
  | { readonly kind: 'agreed'; readonly files: readonly TableFile[] }
  | { readonly kind: 'disagreed'; readonly reason: Reason }
  /** Nothing is left of what was begun. */
  | { readonly kind: 'failed'; readonly reason: Reason }
  /** Nobody wants it any more. */
  | { readonly kind: 'ended'; readonly reason: Reason }

export type ParticipantEffect<Reason> =
  /** Read the files back: rows, bytes. */
  | { readonly kind: 'check'; readonly files: readonly WrittenFile[] }
  | { readonly kind: 'voteYes'; readonly files: readonly TableFile[] }
  /** `remove` these first. */
  | {
      readonly kind: 'voteNo'
      readonly reason: Reason | undefined
      readonly remove: readonly WrittenFile[]
    }

export const STAGING: ParticipantState = { kind: 'staging' }

type Next<Reason> = readonly [ParticipantState, ParticipantEffect<Reason> | undefined]

/** Pure. An attempt votes once; what comes after its vote changes nothing. */
export function onParticipant<Reason>(
  state: ParticipantState,
  event: ParticipantEvent<Reason>,
): Next<Reason> {
  switch (event.kind) {
    case 'written':
      if (state.kind === 'ending') return refuse(undefined, event.files)
      if (state.kind !== 'staging') return [state, undefined]
      return [
        { kind: 'checking', written: event.files, ended: false },
        { kind: 'check', files: event.files },
      ]
    case 'agreed':
      if (state.kind !== 'checking') return [state, undefined]
      if (state.ended) return refuse(undefined, state.written)
      return [
        { kind: 'voted', yes: true },
        { kind: 'voteYes', files: event.files },
      ]
    case 'disagreed':
      if (state.kind !== 'checking') return [state, undefined]
      return refuse(event.reason, state.written)
    case 'failed':
      if (state.kind !== 'staging' && state.kind !== 'ending') return [state, undefined]
      return refuse(event.reason, [])
    case 'ended':
      if (state.kind === 'staging') return [{ kind: 'ending' }, undefined]
      if (state.kind === 'checking') return [{ ...state, ended: true }, undefined]
      return [state, undefined]
    default:
      return unreachable(event)
  }
}

const refuse = <Reason>(
  reason: Reason | undefined,
  remove: readonly WrittenFile[],
): Next<Reason> => [
  { kind: 'voted', yes: false },
  { kind: 'voteNo', reason, remove },
]

/** What an executor knows of a query that it may be asked to prepare for. */
export interface PrepareView {
  /** The highest epoch under which an owner has spoken of it. */
  readonly epoch: number | undefined
  /** It was released here: what comes of it now is late. */
  readonly isReleased: boolean
  /** The newest attempt of the task. */
  readonly newestAttempt: number | undefined
}

export type PrepareRefusal = 'pastEpoch' | 'released' | 'olderAttempt'

/**
 * Whether to stage files when asked to. Pure. A request of a past owner, of a query that has been released, or of an
 * attempt that was given up is refused: the write may be aborted, and its litter removed, by now. Released queries are
 * remembered by count, so a request may come later than that; then the record of its write is gone, no commit takes what
 * it stages, and the name of each file says whose it was.
 */
export function prepareRefusal(
  view: PrepareView,
  request: { readonly epoch: number; readonly attempt: number },
): PrepareRefusal | undefined {
  if (view.epoch !== undefined && request.epoch < view.epoch) return 'pastEpoch'
  if (view.isReleased) return 'released'
  if (view.newestAttempt !== undefined && request.attempt < view.newestAttempt)
    return 'olderAttempt'
  return undefined
}
