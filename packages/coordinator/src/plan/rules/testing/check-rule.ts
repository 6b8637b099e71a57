import type { LogicalPlan } from '../../logical/relation.ts'
import type { Scan } from '../../scan.ts'
import { type RuleWorld, treeLines } from './rule-world.ts'

/** A claim about a rule: what becomes of a query. */
export interface RuleCase {
  readonly claim: string
  readonly sql: string
  /** The tree that is left, a line an element. */
  readonly tree: readonly string[]
}

interface Asserts {
  strictSame(found: unknown, wanted: unknown, claim: string): unknown
}

/** Looks at what a rewriting makes of each query, and that it has the same rows as before. */
export async function checkRule(
  t: Asserts,
  world: RuleWorld,
  rewrite: (plan: LogicalPlan, scans: ReadonlyMap<number, Scan>) => LogicalPlan,
  cases: readonly RuleCase[],
): Promise<void> {
  for (const { claim, sql, tree } of cases) {
    const plan = rewrite(await world.plan(sql), await world.scans(sql))
    t.strictSame(treeLines(plan.root), tree, claim)
    const text = await world.text(sql, plan)
    t.strictSame(await world.rows(text), await world.rows(sql), `${claim}: the same rows`)
  }
}
