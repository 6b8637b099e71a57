import { SqlError } from '@nyala/client/protocol'
import type { Decision, StatementRecord } from '@nyala/metastore'
import type { Append } from './append-group.ts'
import { checkFingerprint } from './committer.ts'

/** Where the time of a commit went. */
export interface AppendSteps {
  /** Statements that shared it. */
  readonly statements: number
  readonly encodeMs: number
  /** Metadata made, all files written and on disk. */
  readonly stageMs: number
  /** In the metastore. */
  readonly decideMs: number
}

export type AppendEnd =
  | {
      readonly kind: 'done'
      readonly rows: number
      readonly revision: number
      readonly steps: AppendSteps
    }
  /** It was done before. */
  | { readonly kind: 'repeated'; readonly outcome: StatementRecord; readonly revision: number }
  /** Its rows cannot be computed: whoever runs it by itself is told why. Nothing was done. */
  | { readonly kind: 'unfit' }

/** A statement whose client waits to be told what became of it. */
export interface Waiting {
  readonly append: Append
  /** `left`: its client has been told that nothing was written, so its rows must not be. */
  state: 'waiting' | 'deciding' | 'left'
  resolve(end: AppendEnd): void
  reject(error: unknown): void
}

export const notKnown = (): SqlError =>
  new SqlError('commit_outcome_unknown', 'the metastore has not answered the commit in time', {
    hint: 'what was written may be there, all of it or nothing; ask again under the same id',
  })

/** It was done before, or another statement was under its id. */
export function repeated(one: Waiting, outcome: StatementRecord, revision: number): void {
  try {
    checkFingerprint(outcome, one.append.identity)
    one.resolve({ kind: 'repeated', outcome, revision })
  } catch (error) {
    one.reject(error)
  }
}

/** Tells those that were done before; the others. */
export function othersThan(
  { done, revision }: Extract<Decision, { kind: 'repeated' }>,
  group: readonly Waiting[],
): readonly Waiting[] {
  const outcomes = new Map(done.map(({ id, outcome }) => [id, outcome]))
  return group.filter((one) => {
    const outcome = outcomes.get(one.append.identity.id)
    if (outcome !== undefined) repeated(one, outcome, revision)
    return outcome === undefined
  })
}
