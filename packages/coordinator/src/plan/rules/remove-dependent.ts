/**
 * Correlated subqueries become plain joins: the relation of the outer columns' distinct values, over which the kernel
 * computes a subquery, is not read any more where the subquery can be computed for all values at once, or by the join
 * itself. A join for which there is no way keeps it.
 *
 * It must be left as it was where a value of the subquery is that of no row (`dependent` beside a limit, or among groups
 * without an equality), and where something could fail for values that do not occur outside.
 */
import type { Expression } from '../../sql/ir.ts'
import { columnName, columnNames, keyOf, substitute } from '../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type Computed,
  type JoinCondition,
  type JoinRelation,
  mapRelation,
  type Relation,
} from '../logical/relation.ts'
import { isUniqueOn } from '../logical/properties.ts'
import { type ColumnTypes, typesOfRelation } from '../logical/types.ts'
import { singleToLeft } from './marks-to-joins.ts'
import { type Traced, whenFound } from './dependent/traced.ts'
import { DependentTracer, readsDependent } from './dependent/tracer.ts'

export function removeDependent(relation: Relation, types = typesOfRelation(relation)): Relation {
  return mapRelation(relation, (part) => {
    if (part.kind !== 'join') return part
    const { dependent } = part
    // What was a single join may be a left join now, which a subquery around it can be seen through.
    if (dependent === undefined) return singleToLeft(part)
    return plainJoin(part, dependent, types) ?? part
  })
}

type Dependent = NonNullable<JoinRelation['dependent']>

function plainJoin(
  join: JoinRelation,
  dependent: Dependent,
  types: ColumnTypes,
): Relation | undefined {
  const { dependent: _, ...rest } = join
  if (!readsDependent(join.right, dependent.id)) return rest
  const tracer = new DependentTracer(dependent.id, types)
  const traced = tracer.trace(join.right)
  if (traced === undefined) return undefined
  const outer = new Map<string, Expression>()
  for (const [i, column] of tracer.tuple.entries()) {
    const expression = dependent.columns[i]
    if (expression === undefined) return undefined
    outer.set(column.name, expression)
  }
  const conditions = otherConditions(join, dependent, traced)
  if (conditions === undefined) return undefined
  const replacement = new DependentJoin(join, traced, outer).replacement(conditions)
  if (replacement?.kind === 'join') return singleToLeft(replacement)
  if (replacement?.kind !== 'project' || replacement.input.kind !== 'join') return replacement
  return { ...replacement, input: singleToLeft(replacement.input) }
}

/** The conditions that do not tie the subquery to its tuple; undefined where some value is not tied at all. */
function otherConditions(
  join: JoinRelation,
  dependent: Dependent,
  traced: Traced,
): readonly JoinCondition[] | undefined {
  const tied = new Set<number>()
  const others = join.conditions.filter(({ operator, left, right }) => {
    const key = traced.keys.get(columnName(right) ?? '')
    const column = key === undefined ? undefined : dependent.columns[key]
    const isTie =
      key !== undefined &&
      column !== undefined &&
      operator === 'is not distinct from' &&
      keyOf(left) === keyOf(column)
    if (isTie) tied.add(key)
    return !isTie
  })
  return dependent.columns.every((_, i) => tied.has(i)) ? others : undefined
}

class DependentJoin {
  readonly #join: JoinRelation
  readonly #traced: Traced
  /** What the tuple's columns are in the left side. */
  readonly #outer: ReadonlyMap<string, Expression>
  /** The values of columns that the right side has no more, over both sides. */
  readonly #values: ReadonlyMap<string, Expression>
  readonly #rightColumns: ReadonlySet<string>

  constructor(join: JoinRelation, traced: Traced, outer: ReadonlyMap<string, Expression>) {
    this.#join = join
    this.#traced = traced
    this.#outer = outer
    this.#values = new Map(
      [...traced.values].map(([name, value]) => [name, substitute(value, outer)]),
    )
    this.#rightColumns = new Set(columnsOf(traced.relation).map((c) => c.name))
  }

  replacement(others: readonly JoinCondition[]): Relation | undefined {
    if (this.#traced.optional) return this.#optional(others)
    const { type, left } = this.#join
    const { dependent: _, ...rest } = this.#join
    const conditions = this.#matches()
    const residual: Expression[] = [
      ...this.#traced.pending.map((e) => this.#asked(e)),
      ...this.#join.residual.map((e) => substitute(e, this.#values)),
    ]
    for (const condition of others) {
      const right = substitute(condition.right, this.#values)
      const isOfRight = [...columnNames(right)].every((name) => this.#rightColumns.has(name))
      if (isOfRight) conditions.push({ ...condition, right })
      else residual.push({ kind: 'comparison', ...condition, right })
    }
    const joined: Relation = { ...rest, right: this.#traced.relation, conditions, residual }
    switch (type) {
      case 'semi':
      case 'anti':
      case 'mark':
        return joined
      case 'inner':
        return this.#withValues(joined, left, (value) => value)
      case 'left':
      case 'single':
        return this.#filledWithNulls(joined, left)
      case 'right':
      case 'full':
        return undefined
    }
  }

  /**
   * That a row of the right side is one of the tuple's. Where there are no NULLs on the right, a plain equality says so;
   * not for a mark, which would then be NULL and no longer FALSE for a NULL on the left.
   */
  #matches(): JoinCondition[] {
    const isMark = this.#join.type === 'mark'
    return this.#traced.matches.map(({ outer, inner, nonNull }) => ({
      operator: nonNull && !isMark ? '=' : 'is not distinct from',
      left: substitute(outer, this.#outer),
      right: inner,
    }))
  }

  /** A condition that was asked of the right side's rows: where it is NULL there was no row. */
  #asked(condition: Expression): Expression {
    const e = substitute(condition, this.#outer)
    if (this.#join.type !== 'mark') return e
    return { kind: 'isTruth', operand: e, value: true, negated: false }
  }

  /** The join with the columns that it had before. */
  #withValues(
    joined: Relation,
    left: Relation,
    valueOf: (value: Expression) => Expression | undefined,
  ): Relation | undefined {
    if (this.#hasSameColumns(joined)) return joined
    const items: Computed[] = []
    for (const column of columnsOf(left)) items.push({ column, expression: columnRef(column) })
    for (const column of columnsOf(this.#join.right)) {
      const value = this.#values.get(column.name)
      const expression = value === undefined ? columnRef(column) : valueOf(value)
      if (expression === undefined) return undefined
      items.push({ column, expression })
    }
    return { kind: 'project', input: joined, items }
  }

  #hasSameColumns(joined: Relation): boolean {
    const before = columnsOf(this.#join)
    const after = columnsOf(joined)
    return before.length === after.length && after.every((c, i) => c.name === before[i]?.name)
  }

  /** A left row without a partner has NULLs on the right, also where a value could be told of the left row alone. */
  #filledWithNulls(joined: Relation, left: Relation): Relation | undefined {
    const witness = this.#traced.matches.find((m) => m.nonNull)
    return this.#withValues(joined, left, (value) => {
      const name = columnName(value)
      if (name !== undefined && this.#rightColumns.has(name)) return value
      if (witness === undefined) return undefined
      return whenFound(witness, value)
    })
  }

  /**
   * Every tuple has a row in the subquery, of NULLs where nothing is found: so has every left row. What is computed over
   * it is computed above the join.
   */
  #optional(others: readonly JoinCondition[]): Relation | undefined {
    const { type, left, residual } = this.#join
    if (others.length > 0 || residual.length > 0 || this.#traced.pending.length > 0)
      return undefined
    if (type !== 'inner' && type !== 'left' && type !== 'single') return undefined
    const { dependent: _, ...rest } = this.#join
    const right = this.#traced.relation
    const conditions = this.#matches()
    const keys = new Set(conditions.flatMap((c) => columnName(c.right) ?? []))
    const isSingle = type === 'single' && !isUniqueOn(right, keys)
    const joined: Relation = { ...rest, type: isSingle ? 'single' : 'left', right, conditions }
    return this.#withValues(joined, left, (value) => value)
  }
}
