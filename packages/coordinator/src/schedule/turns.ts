/** A query that hands out tasks, and whose it is. */
export interface Turn {
  /** Who sent it. */
  readonly session: string
  /** Of its tasks. */
  running(): number
}

/**
 * The order in which queries may take slots that have become free: pure. First who has the fewest tasks running, over all
 * of its queries; of one session in the order in which they came. So whoever sends twenty queries at once does not make
 * another wait for all of them.
 */
export function inTurn<T extends Turn>(queries: readonly T[]): readonly T[] {
  const before = new Map<string, number>()
  for (const query of queries) {
    before.set(query.session, (before.get(query.session) ?? 0) + query.running())
  }
  const ranked = queries.map((query) => {
    const rank = before.get(query.session) ?? 0
    before.set(query.session, rank + 1)
    return { query, rank }
  })
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ query }) => query)
}

/** Tasks of a session that run. */
export const tasksOf = (queries: readonly Turn[], session: string): number =>
  queries.reduce((sum, query) => sum + (query.session === session ? query.running() : 0), 0)
