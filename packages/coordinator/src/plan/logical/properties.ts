/** What holds for the rows of a relation, as far as its form says. */
import type { Expression } from '../../sql/ir.ts'
import { columnName, columnNames, substitute } from './expressions.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type FilterRelation,
  type JoinRelation,
  type Relation,
} from './relation.ts'
import { isNullSafe, rejectedNulls, strictColumns } from './safety.ts'

const NONE: ReadonlySet<string> = new Set()

const nonNull = new WeakMap<Relation, ReadonlySet<string>>()

/** Columns that are never NULL. */
export function nonNullColumns(relation: Relation): ReadonlySet<string> {
  const known = nonNull.get(relation)
  if (known !== undefined) return known
  const found = findNonNull(relation)
  nonNull.set(relation, found)
  return found
}

function findNonNull(relation: Relation): ReadonlySet<string> {
  switch (relation.kind) {
    case 'filter':
      return union(nonNullColumns(relation.input), relation.conjuncts.flatMap(rejectedNulls))
    case 'distinct':
    case 'sort':
    case 'limit':
    case 'window':
    case 'unnest':
      return nonNullColumns(relation.input)
    case 'project':
      return computedNonNull(relation.items, nonNullColumns(relation.input))
    case 'aggregate':
      return union(
        isPlainAggregate(relation)
          ? computedNonNull(relation.keys, nonNullColumns(relation.input))
          : NONE,
        relation.aggregates.flatMap(({ column, expression: { name } }) =>
          name === 'count' || name === 'count_star' ? [column.name] : [],
        ),
      )
    case 'join':
      return joinNonNull(relation)
    case 'with':
      return nonNullColumns(relation.body)
    case 'scan':
    case 'exchange':
    case 'values':
    case 'set':
    case 'cte':
    case 'dependent':
      return NONE
  }
}

function joinNonNull(join: JoinRelation): ReadonlySet<string> {
  const { type } = join
  const left = type === 'right' || type === 'full' ? NONE : nonNullColumns(join.left)
  const right = type === 'inner' || type === 'right' ? nonNullColumns(join.right) : NONE
  const conditions = type === 'inner' || type === 'semi' ? conditionsRejecting(join) : []
  const columns = new Set(columnsOf(join).map((c) => c.name))
  return union(
    union(left, [...right]),
    conditions.filter((name) => columns.has(name)),
  )
}

/** The columns that are not NULL in any pair of rows that a join lets meet. */
export function conditionsRejecting(join: JoinRelation): readonly string[] {
  return [
    ...join.conditions.flatMap(({ operator, left, right }) =>
      isNullSafe(operator) ? [] : [...strictColumns(left), ...strictColumns(right)],
    ),
    ...join.residual.flatMap(rejectedNulls),
  ]
}

const computedNonNull = (
  items: readonly Computed[],
  input: ReadonlySet<string>,
): ReadonlySet<string> =>
  new Set(items.flatMap((item) => (isNeverNull(item.expression, input) ? [item.column.name] : [])))

/** True when an expression over columns of which some are never NULL is never NULL. */
export function isNeverNull(e: Expression, columns: ReadonlySet<string>): boolean {
  const all = (parts: readonly Expression[]): boolean =>
    parts.every((part) => isNeverNull(part, columns))
  switch (e.kind) {
    case 'column':
      return columns.has(e.path[0] ?? '')
    case 'constant':
      return e.value !== null
    case 'isNull':
    case 'isTruth':
      return true
    case 'comparison':
      return isNullSafe(e.operator) || all([e.left, e.right])
    case 'conjunction':
      return all(e.operands)
    case 'not':
      return isNeverNull(e.operand, columns)
    case 'case':
      return all([...e.branches.map((branch) => branch.then), e.else])
    case 'coalesce':
      return e.args.some((arg) => isNeverNull(arg, columns))
    default:
      // Of a cast or a function NULL may come out where none went in.
      return false
  }
}

export const isPlainAggregate = ({ keys, sets }: AggregateRelation): boolean =>
  keys.length > 0 && sets.length === 1 && sets[0]?.length === keys.length

/** True when no two rows of the relation agree in all these columns, NULL being equal to NULL. */
export function isUniqueOn(relation: Relation, columns: ReadonlySet<string>): boolean {
  if (hasOneRowAtMost(relation)) return true
  switch (relation.kind) {
    case 'filter':
      return isFirstOfEach(relation, columns) || isUniqueOn(relation.input, columns)
    case 'sort':
    case 'limit':
    case 'window':
      return isUniqueOn(relation.input, columns)
    case 'with':
      return isUniqueOn(relation.body, columns)
    case 'distinct':
      return (
        relation.on === undefined && columnsOf(relation).every((column) => columns.has(column.name))
      )
    case 'aggregate':
      return (
        isPlainAggregate(relation) && relation.keys.every((key) => columns.has(key.column.name))
      )
    case 'project': {
      const sources = relation.items.flatMap(({ column, expression }) => {
        const source = columns.has(column.name) ? columnName(expression) : undefined
        return source === undefined ? [] : [source]
      })
      return isUniqueOn(relation.input, new Set(sources))
    }
    case 'join':
      return isUniqueJoin(relation, columns)
    case 'scan':
    case 'exchange':
    case 'values':
    case 'unnest':
    case 'set':
    case 'cte':
    case 'dependent':
      return false
  }
}

/** `row_number() OVER (PARTITION BY columns) <= 1`, which LIMIT 1 in a correlated subquery comes as. */
function isFirstOfEach(
  { input, conjuncts }: FilterRelation,
  columns: ReadonlySet<string>,
): boolean {
  if (input.kind !== 'window') return false
  return input.windows.some(({ column, expression: { name, partitionBy } }) => {
    const isInColumns = partitionBy.every((e) => columns.has(columnName(e) ?? ''))
    return (
      name === 'row_number' && isInColumns && conjuncts.some((e) => isOneAtMost(e, column.name))
    )
  })
}

function isOneAtMost(e: Expression, name: string): boolean {
  if (e.kind !== 'comparison' || columnName(e.left) !== name) return false
  const bound = e.right.kind === 'cast' ? e.right.operand : e.right
  return (
    (e.operator === '<=' || e.operator === '=') && bound.kind === 'constant' && bound.value === '1'
  )
}

function isUniqueJoin(join: JoinRelation, columns: ReadonlySet<string>): boolean {
  const { type, left, right } = join
  if (type === 'semi' || type === 'anti' || type === 'mark' || type === 'single')
    return isUniqueOn(left, columns)
  if (type !== 'inner' && type !== 'left') return false
  const keys = join.conditions.flatMap(({ operator, right: key }) => {
    const name =
      operator === '=' || operator === 'is not distinct from' ? columnName(key) : undefined
    return name === undefined ? [] : [name]
  })
  return isUniqueOn(left, columns) && isUniqueOn(right, new Set([...keys, ...columns]))
}

/** True for a relation of one row or none. */
export function hasOneRowAtMost(relation: Relation): boolean {
  switch (relation.kind) {
    case 'values':
      return relation.rows.length <= 1
    case 'limit':
      return (
        (relation.count !== undefined && relation.count <= 1) || hasOneRowAtMost(relation.input)
      )
    case 'aggregate':
      return relation.keys.length === 0 && relation.sets.length === 1
    case 'filter':
    case 'project':
    case 'window':
    case 'distinct':
    case 'sort':
      return hasOneRowAtMost(relation.input)
    case 'with':
      return hasOneRowAtMost(relation.body)
    case 'join':
      return relation.type === 'inner' && [relation.left, relation.right].every(hasOneRowAtMost)
    default:
      return false
  }
}

/** True for a relation that always has exactly one row. */
export function hasOneRow(relation: Relation): boolean {
  switch (relation.kind) {
    case 'values':
      return relation.rows.length === 1
    case 'aggregate':
      return relation.keys.length === 0 && relation.sets.length === 1
    case 'project':
    case 'window':
    case 'distinct':
    case 'sort':
      return hasOneRow(relation.input)
    case 'with':
      return hasOneRow(relation.body)
    case 'limit':
      return relation.offset === 0 && relation.count !== 0 && hasOneRow(relation.input)
    case 'join':
      return (
        relation.type === 'inner' &&
        relation.conditions.length + relation.residual.length === 0 &&
        [relation.left, relation.right].every(hasOneRow)
      )
    default:
      return false
  }
}

const facts = new WeakMap<Relation, readonly Expression[]>()

/** Conditions over the columns of a relation that are true for all its rows. */
export function factsOf(relation: Relation): readonly Expression[] {
  const known = facts.get(relation)
  if (known !== undefined) return known
  const found = findFacts(relation)
  facts.set(relation, found)
  return found
}

const NO_FACTS: readonly Expression[] = []

function findFacts(relation: Relation): readonly Expression[] {
  switch (relation.kind) {
    case 'filter':
      return [...factsOf(relation.input), ...relation.conjuncts]
    case 'project':
      return throughItems(relation.input, relation.items)
    case 'aggregate':
      return isPlainAggregate(relation) ? throughItems(relation.input, relation.keys) : NO_FACTS
    case 'distinct':
    case 'sort':
    case 'limit':
    case 'window':
    case 'unnest':
      return factsOf(relation.input)
    case 'with':
      return factsOf(relation.body)
    case 'join':
      return joinFacts(relation)
    case 'scan':
    case 'exchange':
    case 'values':
    case 'set':
    case 'cte':
    case 'dependent':
      return NO_FACTS
  }
}

function joinFacts({ type, left, right, residual }: JoinRelation): readonly Expression[] {
  switch (type) {
    case 'inner':
      return [...factsOf(left), ...factsOf(right), ...residual]
    case 'left':
    case 'semi':
    case 'anti':
    case 'mark':
    case 'single':
      return factsOf(left)
    case 'right':
      return factsOf(right)
    case 'full':
      return NO_FACTS
  }
}

/** Facts about columns that a projection or grouping passes on, under their new names. */
function throughItems(input: Relation, items: readonly Computed[]): readonly Expression[] {
  const known = factsOf(input)
  if (known.length === 0) return NO_FACTS
  const names = new Map<string, Expression>()
  for (const { column, expression } of items) {
    const source = columnName(expression)
    if (source !== undefined && (source === column.name || !names.has(source)))
      names.set(source, columnRef(column))
  }
  return known.flatMap((fact) => {
    for (const name of columnNames(fact)) if (!names.has(name)) return []
    return [substitute(fact, names)]
  })
}

const union = (set: ReadonlySet<string>, more: readonly string[]): ReadonlySet<string> =>
  more.length === 0 ? set : new Set([...set, ...more])
