import type { Estimate } from '../fragment/cost.ts'
import type { LogicalPlan, Relation } from '../logical/relation.ts'
import { typesOfRelation } from '../logical/types.ts'
import { aggregateOfOneRow } from './aggregate-of-one-row.ts'
import { foldConstants } from './fold-constants.ts'
import { pushLimits } from './limit-pushdown.ts'
import { marksToJoins } from './marks-to-joins.ts'
import { mergeUnions } from './merge-unions.ts'
import { orderJoins } from './order-joins.ts'
import { pruneColumns } from './prune-columns.ts'
import { pruneEmpty } from './prune-empty.ts'
import { pushFilters } from './push-filters.ts'
import { removeDependent } from './remove-dependent.ts'
import { shareCte } from './share-cte.ts'

/** Rounds after which what is still found to be changed is left as it is. */
const ROUNDS_MAX = 4

/**
 * The same query, in a form that costs less to run: filters where their columns are read, no column that nobody needs,
 * plain joins in place of correlated subqueries, and joins in an order that keeps what they make small.
 *
 * The rules run in a fixed order until none of them changes anything. The order of joins is chosen last, once: sizes
 * are known best when filters are in their places.
 */
export function optimize(plan: LogicalPlan, estimate: Estimate): LogicalPlan {
  const types = typesOfRelation(plan.root)
  let { root } = plan
  const prune = (): void => {
    root = pruneColumns({ ...plan, root }).root
  }
  root = shareCte(root)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before: Relation = root
    root = foldConstants(root, types)
    root = aggregateOfOneRow(root)
    root = pruneEmpty(root)
    root = pushFilters(root, types)
    root = marksToJoins(root)
    root = removeDependent(root, types)
    root = mergeUnions(root)
    root = pushLimits(root)
    prune()
    if (root === before) break
  }
  root = orderJoins(root, estimate, types)
  prune()
  return { ...plan, root }
}
