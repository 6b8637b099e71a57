import { unreachable } from '@nyala/client/base'

/**
 * A transaction as its coordinator keeps it.
 *
 * ```
 *          staged                      undecided (a head has moved: decided again on what is)
 *           ┌─┐                             ┌─┐
 *   BEGIN ─► open ──────COMMIT────────► committing ──committed──► ended: committed
 *             │                             ├─refused───────────► ended: rolled back
 *             ├─statement failed─► failed   └─unknown───────────► ended: unknown
 *             │                      │
 *             └──ROLLBACK, COMMIT of a failed one, client gone, idle too long──► ended: rolled back
 * ```
 */
export type TransactionState =
  | { readonly kind: 'open'; readonly steps: number }
  /** A statement has failed: nothing is done any more until it is rolled back. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'committing' }
  | { readonly kind: 'ended'; readonly how: TransactionEnd; readonly reason: string }

export type TransactionEnd = 'committed' | 'rolledBack' | 'unknown'

export type TransactionEvent =
  | { readonly kind: 'staged' }
  | { readonly kind: 'statementFailed'; readonly reason: string }
  | { readonly kind: 'commitAsked' }
  /** By the client, or because nobody will ask for anything any more. */
  | { readonly kind: 'rollbackAsked'; readonly reason: string }
  | { readonly kind: 'commitEnded'; readonly how: TransactionEnd; readonly reason: string }

/** What is to be done now. */
export type TransactionEffect =
  /** Decide by one commit. */
  | { readonly kind: 'decide' }
  /** Say by a guarded write that it will never be committed, then remove its files. */
  | { readonly kind: 'abort'; readonly reason: string }

export const OPENED: TransactionState = { kind: 'open', steps: 0 }

/** Pure. What comes too late changes nothing. */
export function onTransaction(
  state: TransactionState,
  event: TransactionEvent,
): readonly [TransactionState, readonly TransactionEffect[]] {
  switch (event.kind) {
    case 'staged':
      if (state.kind !== 'open') return [state, []]
      return [{ kind: 'open', steps: state.steps + 1 }, []]
    case 'statementFailed':
      if (state.kind !== 'open') return [state, []]
      return [{ kind: 'failed', reason: event.reason }, []]
    case 'commitAsked':
      if (state.kind === 'failed') return rolledBack(state.reason)
      if (state.kind !== 'open') return [state, []]
      return [{ kind: 'committing' }, [{ kind: 'decide' }]]
    case 'rollbackAsked':
      // What is being decided may be committed already.
      if (state.kind === 'committing' || state.kind === 'ended') return [state, []]
      return rolledBack(event.reason)
    case 'commitEnded':
      if (state.kind !== 'committing') return [state, []]
      return [{ kind: 'ended', how: event.how, reason: event.reason }, []]
    default:
      return unreachable(event)
  }
}

const rolledBack = (reason: string): readonly [TransactionState, readonly TransactionEffect[]] => [
  { kind: 'ended', how: 'rolledBack', reason },
  [{ kind: 'abort', reason }],
]
