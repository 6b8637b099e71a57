import type { History, Transaction } from './history.ts'

/**
 * What clients of a cluster that is being broken may be told: another one was first (40001), nobody knows (40003), the
 * connection is gone (08…), a member or its metastore does not answer or shuts down (57P…). Anything else is a finding.
 */
const EXPECTED_ERRORS = /^(?:40001|40003|08|57P)/
/** Of each error so many are told in full. */
const EXAMPLES_MAX = 3

const codeOf = ({ error = '' }: Transaction): string => error.split(' ', 1)[0] ?? ''

function groupBy(
  history: History,
  of: (one: Transaction) => string,
): ReadonlyMap<string, readonly Transaction[]> {
  const groups = new Map<string, Transaction[]>()
  for (const one of history) {
    const group = groups.get(of(one))
    if (group === undefined) groups.set(of(one), [one])
    else group.push(one)
  }
  return groups
}

/** How transactions of each kind ended and with which errors: `add: 700 committed, 2 aborted (40001 2)`. */
export function endsByKind(history: History): readonly string[] {
  const kinds = groupBy(history, ({ kind = 'any' }) => kind)
  return [...kinds].map(([kind, all]) => {
    const ends = (['committed', 'aborted', 'unknown'] as const).flatMap((end) => {
      const of = all.filter((one) => one.end === end)
      if (of.length === 0) return []
      const codes = groupBy(
        of.filter((one) => codeOf(one) !== ''),
        codeOf,
      )
      const why = [...codes].map(([code, { length }]) => `${code} ${length}`).join(', ')
      return [`${of.length} ${end}${why === '' ? '' : ` (${why})`}`]
    })
    return `${kind}: ${ends.join(', ')}`
  })
}

/** Errors that no fault explains, with examples. */
export function unexpectedErrors(history: History): readonly string[] {
  const wrong = history.filter(
    (one) => one.error !== undefined && !EXPECTED_ERRORS.test(codeOf(one)),
  )
  return [...groupBy(wrong, codeOf)].flatMap(([code, all]) =>
    all
      .slice(0, EXAMPLES_MAX)
      .map(
        ({ id, kind = '', error = '' }, i) =>
          `${code}, ${i + 1} of ${all.length}: ${id} ${kind}: ${error}`,
      ),
  )
}

/** The longest time in which no client was told of a commit, and the longest that one transaction took; milliseconds. */
export function worstWaits(history: History): {
  readonly stallMs: number
  /** Since the first transaction began. */
  readonly stallAtMs: number
  readonly longest: Transaction | undefined
} {
  const start = history.reduce((least, { began }) => Math.min(least, began), Infinity)
  const commits = history
    .filter(({ end }) => end === 'committed')
    .map(({ ended }) => ended)
    .toSorted((a, b) => a - b)
  let [stallMs, stallAtMs] = [0, 0]
  for (const [i, ended] of commits.entries()) {
    const before = commits[i - 1] ?? start
    if (ended - before > stallMs) [stallMs, stallAtMs] = [ended - before, before - start]
  }
  const took = ({ began, ended }: Transaction): number => ended - began
  const longest = history.reduce<Transaction | undefined>(
    (most, one) => (most === undefined || took(one) > took(most) ? one : most),
    undefined,
  )
  return { stallMs, stallAtMs, longest }
}
