import { readFile } from 'node:fs/promises'
import { type Infer, s } from '@nyala/client/base'
import { type Case, checkText, type Verdict } from './check.ts'
import { orderOf, queryText } from './query.ts'
import type { RandomWorld } from './world.ts'

/** A query that once had a wrong answer: a line of `regressions.jsonl`. */
const regression = s.object({
  /** What was wrong, for people. */
  why: s.string,
  slots: s.natural,
  executors: s.natural,
  /** Of what happens while it runs; and what the planner was told besides. */
  seed: s.optional(s.natural),
  broadcastMaxBytes: s.optional(s.natural),
  gatherRowsMax: s.optional(s.natural),
  filterGroupsAlways: s.optional(s.boolean),
  shareAlways: s.optional(s.boolean),
  rangesRowsMin: s.optional(s.natural),
  /** Output columns that its ORDER BY orders by. */
  ordered: s.array(s.natural),
  complete: s.boolean,
  sql: s.string,
})
export type Regression = Infer<typeof regression>

/** The file lies with the sources, which are one level above what is compiled of them. */
const FILE = new URL('../../random-queries/regressions.jsonl', import.meta.url)

export async function readRegressions(): Promise<readonly Regression[]> {
  const lines = (await readFile(FILE, 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line, i) => regression.decode(JSON.parse(line), `regressions.jsonl:${i + 1}`))
}

export const checkRegression = (world: RandomWorld, found: Regression): Promise<Verdict> =>
  checkText(world, found.sql, {
    options: {
      distribution: 'force',
      distributionMinBytes: 0,
      broadcastMaxBytes: found.broadcastMaxBytes ?? 2 ** 40,
      gatherRowsMax: found.gatherRowsMax,
      filterGroupsAlways: found.filterGroupsAlways,
      shareAlways: found.shareAlways,
      rangesRowsMin: found.rangesRowsMin,
      slots: found.slots,
      executors: found.executors,
    },
    seed: found.seed ?? 0,
    expectation: { ordered: found.ordered, complete: found.complete },
  })

/** The line that keeps a failed case. */
export function regressionLine({ query, options, seed }: Case, why: string): string {
  const { columns, total } = orderOf(query)
  const kept: Regression = {
    why,
    slots: options.slots,
    executors: options.executors,
    seed,
    broadcastMaxBytes: options.broadcastMaxBytes,
    gatherRowsMax: options.gatherRowsMax,
    filterGroupsAlways: options.filterGroupsAlways,
    shareAlways: options.shareAlways,
    rangesRowsMin: options.rangesRowsMin,
    ordered: columns,
    complete: query.limit === undefined || total,
    sql: queryText(query),
  }
  return JSON.stringify(kept)
}
