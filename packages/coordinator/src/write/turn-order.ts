/** A commit that asks others to let it go first at some tables. */
export interface Claim {
  readonly id: string
  /** By id. */
  readonly tables: readonly string[]
  /** When its commit began; times are milliseconds of one clock. */
  readonly sinceMs: number
  /** It is let go first until then, and not waited for any longer. */
  readonly untilMs: number
  /** Times that it was overtaken. */
  readonly tries: number
}

/**
 * The one that a commit goes after: of those that began before it and are about one of its tables, too, the last. Whoever
 * waits for that one alone comes after all of them, as that one waits, too. Undefined where it is its turn. Pure.
 *
 * Where each coordinator thinks that those of others began a little later than they did (the time that the news took), no
 * two wait for each other: at worst both go, and one is overtaken.
 */
export function lastAhead(
  claims: Iterable<Claim>,
  mine: Pick<Claim, 'id' | 'tables' | 'sinceMs'>,
  nowMs: number,
): Claim | undefined {
  let last: Claim | undefined
  for (const claim of claims) {
    const isAhead = claim.untilMs > nowMs && isBefore(claim, mine)
    if (!isAhead || (last !== undefined && isBefore(claim, last))) continue
    if (claim.tables.some((table) => mine.tables.includes(table))) last = claim
  }
  return last
}

const isBefore = (
  one: Pick<Claim, 'id' | 'sinceMs'>,
  other: Pick<Claim, 'id' | 'sinceMs'>,
): boolean => one.sinceMs < other.sinceMs || (one.sinceMs === other.sinceMs && one.id < other.id)
