import type { Estimate } from '../fragment/cost.ts'
import { inputsOf, type JoinType, type LogicalPlan, type Relation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { typesOfRelation } from '../logical/types.ts'
import { aggregateOfOneRow } from './aggregate-of-one-row.ts'
import { dropNullTests } from './drop-null-tests.ts'
import { foldConstants } from './fold-constants.ts'
import { pushLimits } from './limit-pushdown.ts'
import { marksToJoins } from './marks-to-joins.ts'
import { mergeUnions } from './merge-unions.ts'
import { orderJoins } from './order-joins.ts'
import { pruneColumns } from './prune-columns.ts'
import { pruneEmpty } from './prune-empty.ts'
import { pushFilters } from './push-filters.ts'
import { pushSemiJoins } from './push-semi-joins.ts'
import { removeDependent } from './remove-dependent.ts'
import { shareCte } from './share-cte.ts'

/** Rounds after which what is still found to be changed is left as it is. */
const ROUNDS_MAX = 4

/**
 * The same query, in a form that costs less to run: filters where their columns are read, no column that nobody needs,
 * plain joins in place of correlated subqueries, and joins in an order that keeps what they make small. With `scans` an
 * aggregate of what is joined anyhow becomes a window.
 *
 * The rules run in a fixed order, and again while one of them has put something in place of something else. The order
 * of joins is chosen last, once: sizes are known best when filters are in their places.
 */
export function optimize(
  plan: LogicalPlan,
  estimate: Estimate,
  scans?: ReadonlyMap<number, Scan>,
): LogicalPlan {
  const types = typesOfRelation(plan.root)
  const pruned = (root: Relation): Relation => pruneColumns({ ...plan, root }).root
  // No rule makes what these are about, so that one look says which of them have something to do.
  const parts = partsOf(plan.root)
  const when = (part: Part, rule: (root: Relation) => Relation) => (before: Relation) =>
    parts.has(part) ? rule(before) : before
  const structure = [
    when('mark', marksToJoins),
    when('single', marksToJoins),
    when('dependent', (before) => removeDependent(before, types)),
    when('set', mergeUnions),
  ]
  let root = when('with', shareCte)(plan.root)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    root = foldConstants(root, types)
    const simpler = pruneEmpty(when('aggregate', aggregateOfOneRow)(root))
    const pushed = pushFilters(simpler, types)
    const changed = structure.reduce((before, rule) => rule(before), pushed)
    const narrow = pruned(changed)
    const limited = when('limit', pushLimits)(narrow)
    const isDone = simpler === root && changed === pushed && limited === narrow
    root = limited
    if (isDone) break
  }
  if (parts.has('semi') || parts.has('anti') || parts.has('mark'))
    root = pushSemiJoins(root, estimate, types)
  root = orderJoins(root, estimate, { types, scans })
  return { ...plan, root: pruned(dropNullTests(root)) }
}

type Part = Relation['kind'] | JoinType

/** The kinds of relations and joins that a plan is made of. */
function partsOf(root: Relation): ReadonlySet<Part> {
  const parts = new Set<Part>()
  const visit = (relation: Relation): void => {
    parts.add(relation.kind)
    if (relation.kind === 'join') parts.add(relation.type)
    inputsOf(relation).forEach(visit)
  }
  visit(root)
  return parts
}
