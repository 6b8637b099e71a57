/**
 * OR of ANDs: what all alternatives ask for is asked once, and what each of them asks of one side of a join is asked of
 * that side alone.
 */
import type { Expression } from '../../sql/ir.ts'
import { allOf, anyOf, conjunctsOf, disjunctsOf, keyOf, readsOnly } from '../logical/expressions.ts'
import { isSafe } from '../logical/safety.ts'
import type { ColumnTypes } from '../logical/types.ts'

/**
 * (a AND b) OR (a AND c) is a AND (b OR c), with NULLs too. Not done where a part may raise an error: what stands first
 * may be there to guard what follows.
 */
export function factored(e: Expression, types: ColumnTypes): readonly Expression[] {
  const conjuncts = conjunctsOf(e)
  if (conjuncts.length > 1) return conjuncts.flatMap((part) => factored(part, types))
  const alternatives = disjunctsOf(e).map(conjunctsOf)
  const [first = [], ...rest] = alternatives
  if (rest.length === 0 || !isSafe(e, types)) return [e]
  const keys = rest.map((list) => new Set(list.map(keyOf)))
  const common = first.filter((part) => keys.every((set) => set.has(keyOf(part))))
  if (common.length === 0) return [e]
  const commonKeys = new Set(common.map(keyOf))
  const remaining = alternatives.map((list) => list.filter((part) => !commonKeys.has(keyOf(part))))
  // An alternative that asks for nothing else makes the others superfluous.
  if (remaining.some((list) => list.length === 0)) return common
  return [...common, anyOf(remaining.map(allOf))]
}

/** What an OR over several relations asks of one of them: true for all rows that can take part in its being true. */
export function impliedBy(e: Expression, columns: ReadonlySet<string>): Expression | undefined {
  const alternatives = disjunctsOf(e)
  if (alternatives.length < 2) return undefined
  const parts: Expression[] = []
  for (const alternative of alternatives) {
    const own = conjunctsOf(alternative).filter((part) => readsOnly(part, columns))
    if (own.length === 0) return undefined
    parts.push(allOf(own))
  }
  return anyOf(parts)
}
