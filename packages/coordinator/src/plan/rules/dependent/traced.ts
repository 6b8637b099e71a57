/**
 * A relation over the values of outer columns, said without them.
 *
 * The right side R of a dependent join reads a relation D of the distinct outer values. For each tuple d of D, R has
 * some rows; nothing of R mixes rows of different tuples, since all that could (groups, windows, DISTINCT, set
 * operations) has the tuple's columns among its keys. `Traced` says what these rows are without reading D: those of a
 * relation that pass the conditions in which d stands as a constant. They may then be asked by the join itself, where
 * the outer columns are at hand.
 *
 * Such a relation has rows for values that are not in D as well. They find no partner in the join; but what is computed
 * for them must not fail, see `raisesOnOverflowOnly`.
 */
import type { Expression } from '../../../sql/ir.ts'
import { simpleType } from '../../../sql/sql-types.ts'
import { columnName, columnNames, comparison, isNotNull, keyOf } from '../../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type Computed,
  type JoinCondition,
  type JoinRelation,
  type Relation,
} from '../../logical/relation.ts'

/** The rows for a tuple d are those for which `outer`, a function of d, is not distinct from `inner`. */
export interface Match {
  /** Position in the tuple. */
  readonly key: number
  readonly outer: Expression
  readonly inner: Expression
  /** `inner` is never NULL. */
  readonly nonNull: boolean
}

export interface Traced {
  readonly relation: Relation
  /** Columns that R has and `relation` has not: their values, over columns of `relation` and those of D. */
  readonly values: ReadonlyMap<string, Expression>
  /** Columns of R that hold a value of the tuple, and its position. */
  readonly keys: ReadonlyMap<string, number>
  readonly matches: readonly Match[]
  /** What else must be true, over columns of `relation` and those of D. */
  readonly pending: readonly Expression[]
  /** Where no row of `relation` is a tuple's, there is one of NULLs all the same. */
  readonly optional: boolean
}

/** One row without columns. */
export const UNIT: Relation = { kind: 'values', columns: [], rows: [[]] }
export const isUnit = (relation: Relation): boolean =>
  relation.kind === 'values' && relation.columns.length === 0 && relation.rows.length === 1

export function independent(relation: Relation): Traced {
  const nothing = new Map<string, never>()
  return {
    relation,
    values: nothing,
    keys: nothing,
    matches: [],
    pending: [],
    optional: false,
  }
}

export const isBoth = (left: Traced, right: Traced): boolean =>
  left.keys.size > 0 && right.keys.size > 0

export const isSame = (a: Expression, b: Expression): boolean => keyOf(a) === keyOf(b)

/** A cross product, or the other side of one row without columns. */
export function crossed(join: JoinRelation, left: Relation, right: Relation): Relation {
  if (isUnit(left)) return right
  if (isUnit(right)) return left
  return { ...join, left, right, conditions: [], residual: [] }
}

export const conditionsOf = (join: JoinRelation): readonly Expression[] => [
  ...join.conditions.map((c) => comparison(c.left, c.operator, c.right)),
  ...join.residual,
]

export const withoutKeyConditions = (
  conditions: readonly Expression[],
  left: ReadonlyMap<string, number>,
  right: ReadonlyMap<string, number>,
): readonly Expression[] =>
  conditions.filter((e) => e.kind !== 'comparison' || tiedKey(e, left, right) === undefined)

/** The value of the tuple in which a condition says that both sides are the same. */
export function tiedKey(
  condition: { readonly operator: string; readonly left: Expression; readonly right: Expression },
  left: ReadonlyMap<string, number>,
  right: ReadonlyMap<string, number>,
): number | undefined {
  if (condition.operator !== 'is not distinct from') return undefined
  const key = left.get(columnName(condition.left) ?? '')
  return key !== undefined && right.get(columnName(condition.right) ?? '') === key ? key : undefined
}

export const tie = (left: Expression, right: Expression): JoinCondition => ({
  operator: 'is not distinct from',
  left,
  right,
})

/**
 * The tuples alone, each with what it has on the right, or with NULLs. A value of the left side is there even where the
 * right side has no row; one of the right side is not.
 */
export function optional(left: Traced, right: Traced): Traced | undefined {
  const values = new Map(left.values)
  const witness = right.matches.find((m) => m.nonNull)
  for (const [name, value] of right.values) {
    if (columnName(value) === undefined || !isOf(right.relation, value)) {
      if (witness === undefined) return undefined
      values.set(name, whenFound(witness, value))
    } else values.set(name, value)
  }
  return { ...right, values, keys: left.keys, optional: true }
}

const isOf = (relation: Relation, e: Expression): boolean =>
  columnsOf(relation).some((column) => column.name === columnName(e))

/** A value where the row that it belongs to is there, else NULL. */
export const whenFound = (witness: Match, value: Expression): Expression => ({
  kind: 'case',
  branches: [{ when: isNotNull(witness.inner), then: value }],
  else: { kind: 'constant', type: simpleType('NULL'), value: null },
})

/** The matches of both sides; where both have one for the same value, that the two are equal says the second. */
export function merged(
  left: readonly Match[],
  right: readonly Match[],
): { readonly matches: readonly Match[]; readonly equal: readonly Expression[] } {
  const matches = [...left]
  const equal: Expression[] = []
  for (const match of right) {
    const same = left.find((m) => m.key === match.key && isSame(m.outer, match.outer))
    if (same === undefined) matches.push(match)
    else {
      const operator = same.nonNull || match.nonNull ? '=' : 'is not distinct from'
      equal.push(comparison(same.inner, operator, match.inner))
    }
  }
  return { matches, equal }
}

export const bothNonNull = (a: readonly Match[], b: readonly Match[]): readonly Match[] =>
  a.map((match) => ({
    ...match,
    nonNull: match.nonNull && b.some((m) => m.key === match.key && m.nonNull),
  }))

/** A projection that lets pass what is still to be asked. */
export function withUsed(
  input: Relation,
  items: readonly Computed[],
  uses: Pick<Traced, 'values' | 'matches' | 'pending'>,
): Relation {
  const used = new Set<string>()
  const add = (e: Expression): void => {
    for (const name of columnNames(e)) used.add(name)
  }
  for (const e of uses.values.values()) add(e)
  for (const e of uses.pending) add(e)
  for (const m of uses.matches) add(m.inner)
  const made = new Set(items.map((item) => item.column.name))
  const more = columnsOf(input).flatMap((column) =>
    used.has(column.name) && !made.has(column.name)
      ? [{ column, expression: columnRef(column) }]
      : [],
  )
  return { kind: 'project', input, items: [...items, ...more] }
}
