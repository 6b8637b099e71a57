import type { Expression } from '../../sql/ir.ts'
import { columnsOf, type Relation } from '../logical/relation.ts'
import type { ColumnTypes } from '../logical/types.ts'

/** What is asked of a relation from above. */
export interface Demand {
  /** Conditions that its rows must meet. */
  readonly conjuncts: readonly Expression[]
  /** Columns of which a NULL makes its row useless: the row may be kept or not. */
  readonly rejected: ReadonlySet<string>
}

export const NO_COLUMNS: ReadonlySet<string> = new Set()
export const NO_DEMAND: Demand = { conjuncts: [], rejected: NO_COLUMNS }

/** What pushes demands down through relations. */
export interface DemandTaker {
  readonly types: ColumnTypes
  /** True for what may be computed for other rows than before. */
  isSafe(e: Expression): boolean
  push(relation: Relation, demand: Demand): Relation
  /** That a condition has been said of another column than before, which others may be equal to in turn. */
  noteTransfer(): void
}

const names = new WeakMap<Relation, ReadonlySet<string>>()

/** The names of a relation's columns. */
export function namesOf(relation: Relation): ReadonlySet<string> {
  const known = names.get(relation)
  if (known !== undefined) return known
  const found = new Set(columnsOf(relation).map((c) => c.name))
  names.set(relation, found)
  return found
}

export function split<T>(
  list: readonly T[],
  test: (item: T) => boolean,
): { readonly yes: readonly T[]; readonly no: readonly T[] } {
  const yes: T[] = []
  const no: T[] = []
  for (const item of list) (test(item) ? yes : no).push(item)
  return { yes, no }
}

export const union = (a: ReadonlySet<string>, b: Iterable<string>): ReadonlySet<string> => {
  const all = new Set([...a, ...b])
  return all.size === a.size ? a : all
}
