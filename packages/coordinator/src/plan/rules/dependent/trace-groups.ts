/** Relations that bring rows together: by the tuple, among others, or they would mix rows of different ones. */
import type { Expression } from '../../../sql/ir.ts'
import { columnName, substitute } from '../../logical/expressions.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type DistinctRelation,
  type PlanColumn,
  type Relation,
  type SetRelation,
  type WindowRelation,
  withInputs,
} from '../../logical/relation.ts'
import { bothNonNull, type Match, type Traced } from './traced.ts'
import type { Tuple } from './tuple.ts'

/** Groups by the tuple, among others: grouped instead by what the tuple is matched with. */
export function traceAggregate(
  tuple: Tuple,
  relation: AggregateRelation,
  input: Traced,
): Traced | undefined {
  const keys = new Map<string, number>()
  const values = new Map<string, Expression>()
  const inner = new Map<number, Expression>()
  const items: Computed[] = []
  for (const [i, { column, expression }] of relation.keys.entries()) {
    const source = columnName(expression)
    const key = source === undefined ? undefined : input.keys.get(source)
    const isEverywhere = relation.sets.every((set) => set.includes(i))
    if (key === undefined || !isEverywhere) {
      const value = substitute(expression, input.values)
      if (tuple.isReadBy(value) || !tuple.isComputable(value)) return undefined
      items.push({ column, expression: value })
      continue
    }
    const item = keyItem(tuple, column, key, input)
    if (item === undefined) return undefined
    keys.set(column.name, key)
    if (item.column !== column) values.set(column.name, columnRef(tuple.columns[key] ?? column))
    inner.set(key, columnRef(item.column))
    items.push(item)
  }
  if (inner.size < tuple.columns.length) return undefined
  const aggregates = relation.aggregates.map((a) => ({
    ...a,
    expression: substitute(a.expression, input.values),
  }))
  if (aggregates.some((a) => tuple.isUnfit(a.expression))) return undefined
  const matches = input.matches.map((m) => ({ ...m, inner: inner.get(m.key) ?? m.inner }))
  if (new Set(items.map((item) => item.column.name)).size < items.length) return undefined
  return {
    relation: { ...relation, input: input.relation, keys: items, aggregates },
    values,
    keys,
    matches,
    pending: [],
    optional: false,
  }
}

/** What to group by for a value of the tuple: its own column if it holds the same value, else that it is matched with. */
function keyItem(
  tuple: Tuple,
  column: PlanColumn,
  key: number,
  input: Traced,
): Computed | undefined {
  const match = input.matches.find((m) => m.key === key)
  if (match === undefined) return undefined
  if (tuple.isSameValue(match)) return { column, expression: match.inner }
  const name = columnName(match.inner)
  const type = name === undefined ? undefined : tuple.types.get(name)
  if (name === undefined || type === undefined) return undefined
  return { column: { name, type }, expression: match.inner }
}

export function traceWindow(
  tuple: Tuple,
  relation: WindowRelation,
  input: Traced,
): Traced | undefined {
  const matched = new Map(input.keys)
  const inner = new Map(input.values)
  for (const [name, key] of matched) {
    const match = input.matches.find((m) => m.key === key)
    if (match === undefined) return undefined
    inner.set(name, match.inner)
  }
  for (const { expression } of relation.windows) {
    const found = new Set(expression.partitionBy.map((e) => matched.get(columnName(e) ?? '')))
    if (!tuple.isCoveredBy(found)) return undefined
  }
  const windows = relation.windows.map(({ column, expression }) => ({
    column,
    expression: {
      ...substitute(expression, input.values),
      partitionBy: expression.partitionBy.map((e) => substitute(e, inner)),
    },
  }))
  if (windows.some((w) => tuple.isUnfit(w.expression))) return undefined
  return { ...input, relation: { ...relation, input: input.relation, windows } }
}

export function traceDistinct(
  tuple: Tuple,
  relation: DistinctRelation,
  input: Traced,
): Traced | undefined {
  const names = relation.on?.map((e) => columnName(e) ?? '') ?? [...input.keys.keys()]
  const found = new Set(names.map((name) => input.keys.get(name)))
  if (!tuple.isCoveredBy(found)) return undefined
  const exact = tuple.exact(input, columnsOf(relation.input))
  if (exact === undefined) return undefined
  return overKeys(tuple, withInputs(relation, [exact]), input.keys, input.matches)
}

export function traceSet(
  tuple: Tuple,
  relation: SetRelation,
  tracedInputs: readonly Traced[],
): Traced | undefined {
  const keys = new Map<string, number>()
  const inputs: Relation[] = []
  let matches: readonly Match[] = []
  for (const [i, side] of relation.inputs.entries()) {
    const input = tracedInputs[i]
    if (input === undefined || input.keys.size === 0) return undefined
    const exact = tuple.exact(input, columnsOf(side))
    if (exact === undefined) return undefined
    inputs.push(exact)
    matches = i === 0 ? input.matches : bothNonNull(matches, input.matches)
    for (const [position, column] of columnsOf(side).entries()) {
      const name = relation.columns[position]?.name ?? ''
      const key = input.keys.get(column.name)
      if (i === 0 && key !== undefined) keys.set(name, key)
      else if (keys.get(name) !== key) keys.delete(name)
    }
  }
  return overKeys(tuple, withInputs(relation, inputs), keys, matches)
}

/** A relation that has the tuple's values as columns of its own. */
function overKeys(
  tuple: Tuple,
  relation: Relation,
  keys: ReadonlyMap<string, number>,
  before: readonly Match[],
): Traced | undefined {
  const matches: Match[] = []
  for (const [key, outer] of tuple.columns.entries()) {
    const name = [...keys].find(([, k]) => k === key)?.[0]
    const match = before.find((m) => m.key === key)
    if (name === undefined || match === undefined) return undefined
    matches.push({
      key,
      outer: columnRef(outer),
      inner: columnRef({ name }),
      nonNull: match.nonNull,
    })
  }
  return { relation, values: new Map(), keys, matches, pending: [], optional: false }
}
