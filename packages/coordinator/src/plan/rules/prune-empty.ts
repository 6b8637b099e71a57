/**
 * What cannot have a row is said to have none, from the leaves upwards: a filter that is never true, LIMIT 0, a join with
 * an empty side. Without keys an aggregate has a row even so.
 */
import type { Expression } from '../../sql/ir.ts'
import { FALSE, isNeverTrue, isTrue } from '../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type Computed,
  type JoinRelation,
  mapRelation,
  type PlanColumn,
  type Relation,
  type SetRelation,
} from '../logical/relation.ts'
import { typeText } from '../../sql/sql-types.ts'
import { filtered } from './filter-relation.ts'

export const pruneEmpty = (root: Relation): Relation =>
  mapRelation(root, (relation) => {
    const pruned = withoutRows(relation)
    return pruned === relation || columnsOf(pruned).every(hasTypeText) ? pruned : relation
  })

/** False where no NULL of the type can be written: a row's fields without names. */
const hasTypeText = ({ type }: PlanColumn): boolean => !typeText(type).includes('(""')

const isEmpty = (relation: Relation): boolean =>
  relation.kind === 'values' && relation.rows.length === 0

const empty = (relation: Relation): Relation => ({
  kind: 'values',
  columns: columnsOf(relation),
  rows: [],
})

function withoutRows(relation: Relation): Relation {
  switch (relation.kind) {
    case 'filter':
      if (isEmpty(relation.input) || relation.conjuncts.some(isNeverTrue)) return empty(relation)
      return relation.conjuncts.some(isTrue)
        ? filtered(relation.input, relation.conjuncts)
        : relation
    case 'limit':
      return isEmpty(relation.input) || relation.count === 0 ? empty(relation) : relation
    case 'project':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
      return isEmpty(relation.input) ? empty(relation) : relation
    case 'aggregate':
      return isEmpty(relation.input) && relation.sets.every((set) => set.length > 0)
        ? empty(relation)
        : relation
    case 'join':
      return joinWithoutRows(relation)
    case 'set':
      return setWithoutRows(relation)
    case 'with':
      return isEmpty(relation.body) ? empty(relation) : relation
    case 'scan':
    case 'exchange':
    case 'values':
    case 'cte':
    case 'dependent':
      return relation
  }
}

function joinWithoutRows(join: JoinRelation): Relation {
  const { type, left, right } = join
  const isNever = join.residual.some(isNeverTrue)
  const hasLeft = !isEmpty(left)
  const hasRight = !isEmpty(right)
  if (hasLeft && hasRight && !isNever) return join
  switch (type) {
    case 'inner':
    case 'semi':
      return empty(join)
    case 'anti':
      return hasLeft ? left : empty(join)
    case 'mark':
      if (!hasLeft || join.mark === undefined) return empty(join)
      // With NULL in a condition over rows that are there, the mark would not be FALSE.
      if (hasRight) return join
      return withConstants(left, [{ column: join.mark, expression: FALSE }])
    case 'left':
    case 'single':
      return hasLeft ? withConstants(left, columnsOf(right).map(nothing)) : empty(join)
    case 'right':
      if (!hasRight) return empty(join)
      return withConstants(right, columnsOf(left).map(nothing), 'first')
    case 'full':
      if (hasLeft) return hasRight ? join : withConstants(left, columnsOf(right).map(nothing))
      return hasRight ? withConstants(right, columnsOf(left).map(nothing), 'first') : empty(join)
  }
}

const nothing = (column: PlanColumn): Computed => ({
  column,
  expression: { kind: 'constant', type: column.type, value: null },
})

function withConstants(
  input: Relation,
  constants: readonly Computed[],
  place: 'first' | 'last' = 'last',
): Relation {
  const own = columnsOf(input).map((column): Computed => {
    const expression: Expression = columnRef(column)
    return { column, expression }
  })
  const items = place === 'first' ? [...constants, ...own] : [...own, ...constants]
  return { kind: 'project', input, items }
}

function setWithoutRows(set: SetRelation): Relation {
  const [first, second] = set.inputs
  if (first === undefined || !set.inputs.some(isEmpty)) return set
  if (set.operator === 'union') {
    const inputs = set.inputs.filter((input) => !isEmpty(input))
    const [only] = inputs
    if (only === undefined) return empty(set)
    if (inputs.length > 1) return { ...set, inputs }
    return unless(set.all, { ...set, inputs }, only)
  }
  if (isEmpty(first)) return empty(set)
  if (second === undefined || !isEmpty(second)) return set
  if (set.operator === 'intersect') return empty(set)
  return unless(set.all, { ...set, inputs: [first] }, first)
}

/** The only input of a set operation under its names, each row once unless all are kept. */
function unless(isAll: boolean, set: SetRelation, only: Relation): Relation {
  const columns = columnsOf(only)
  const renamed: Relation = {
    kind: 'project',
    input: only,
    items: set.columns.flatMap((column, i) => {
      const source = columns[i]
      return source === undefined ? [] : [{ column, expression: columnRef(source) }]
    }),
  }
  return isAll ? renamed : { kind: 'distinct', input: renamed, orderBy: [] }
}
