import type { Patience } from '@nyala/metastore'
import type { ConstantRowsText } from './append-encoder.ts'
import type { StatementIdentity } from './committer.ts'

/** etcd takes 128 operations a commit; some are for the head and for records of writes. */
export const GROUP_STATEMENTS_MAX = 100
export const GROUP_ROWS_MAX = 4_000
export const GROUP_TEXT_MAX = 1024 * 1024

/** The rows of one statement on their way into a table. */
export interface Append {
  readonly identity: StatementIdentity
  readonly text: ConstantRowsText
  /** Of the table that the rows are rendered for. */
  readonly schemaVersion: number
  readonly notices: readonly string[]
  readonly signal: AbortSignal
  readonly patience: Patience
  /** Once its commit has begun a statement is not cut short any more. */
  readonly commit: { begun: boolean }
}

export interface Group<T> {
  /** They go into one file and one commit. */
  readonly taken: readonly T[]
  /** They were cancelled while they waited. */
  readonly cancelled: readonly T[]
  readonly waiting: readonly T[]
}

/**
 * Which of the statements that wait for a table are committed together: the first ones, as many as there is room for, at
 * least one. A statement that was sent twice is not twice in a group: the second one waits, and is then answered with
 * what came of the first. Pure.
 */
export function takeGroup<T extends { readonly append: Append }>(waiting: readonly T[]): Group<T> {
  const taken: T[] = []
  const cancelled: T[] = []
  const left: T[] = []
  const ids = new Set<string>()
  let rows = 0
  let text = 0
  let isFull = false
  for (const one of waiting) {
    const { append } = one
    if (append.signal.aborted) {
      cancelled.push(one)
      continue
    }
    const length = append.text.rows.reduce((sum, row) => sum + row.length, 0)
    isFull ||=
      taken.length > 0 &&
      (taken.length === GROUP_STATEMENTS_MAX ||
        rows + append.text.rows.length > GROUP_ROWS_MAX ||
        text + length > GROUP_TEXT_MAX)
    if (isFull || ids.has(append.identity.id)) {
      left.push(one)
      continue
    }
    taken.push(one)
    ids.add(append.identity.id)
    rows += append.text.rows.length
    text += length
  }
  return { taken, cancelled, waiting: left }
}
