import type { Expression } from '../../sql/ir.ts'
import { distinctExpressions, isTrue } from '../logical/expressions.ts'
import type { Relation } from '../logical/relation.ts'

/** A filter, where there is something to filter by. */
export function filtered(input: Relation, list: readonly Expression[]): Relation {
  const conjuncts = distinctExpressions(list.filter((e) => !isTrue(e)))
  return conjuncts.length === 0 ? input : { kind: 'filter', input, conjuncts }
}
