/**
 * A limit goes below a projection, and into each input of a UNION ALL, which need not make more rows than it asks for.
 * With a sort below it, the two stay together as a top-N and go into the inputs together. It never changes which rows
 * are asked for: the limit over all of them stays.
 */
import type { Expression } from '../../sql/ir.ts'
import { substitute } from '../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type LimitRelation,
  mapRelation,
  type Relation,
  type SetRelation,
  type SortRelation,
} from '../logical/relation.ts'

export const pushLimits = (root: Relation): Relation =>
  mapRelation(root, (part) => (part.kind === 'limit' ? pushed(part) : part))

function pushed(limit: LimitRelation): Relation {
  const { input } = limit
  switch (input.kind) {
    case 'project':
      return { ...input, input: pushed({ ...limit, input: input.input }) }
    case 'limit':
      return pushed(combined(limit, input))
    case 'set':
      return isUnionAll(input) ? overInputs(limit, input) : limit
    case 'sort':
      return input.input.kind === 'set' && isUnionAll(input.input)
        ? topOfInputs(limit, input, input.input)
        : limit
    default:
      return limit
  }
}

const isUnionAll = (set: SetRelation): boolean => set.operator === 'union' && set.all

function combined(outer: LimitRelation, inner: LimitRelation): LimitRelation {
  const left = inner.count === undefined ? undefined : Math.max(inner.count - outer.offset, 0)
  const counts = [outer.count, left].filter((count) => count !== undefined)
  return {
    kind: 'limit',
    input: inner.input,
    count: counts.length === 0 ? undefined : Math.min(...counts),
    offset: inner.offset + outer.offset,
  }
}

/** What each input may have to give: the rows that the offset skips may all be its own. */
function ofEach(limit: LimitRelation): number | undefined {
  return limit.count === undefined ? undefined : limit.count + limit.offset
}

function overInputs(limit: LimitRelation, union: SetRelation): Relation {
  const count = ofEach(limit)
  if (count === undefined) return limit
  const inputs = union.inputs.map((input) =>
    hasAtMost(input, count) ? input : pushed({ kind: 'limit', input, count, offset: 0 }),
  )
  if (inputs.every((input, i) => input === union.inputs[i])) return limit
  return { ...limit, input: { ...union, inputs } }
}

function topOfInputs(limit: LimitRelation, sort: SortRelation, union: SetRelation): Relation {
  const count = ofEach(limit)
  if (count === undefined) return limit
  const inputs = union.inputs.map((input): Relation => {
    if (hasAtMost(input, count)) return input
    const values = new Map<string, Expression>()
    for (const [i, column] of columnsOf(input).entries()) {
      values.set(union.columns[i]?.name ?? '', columnRef(column))
    }
    const orderBy = sort.orderBy.map((item) => ({
      ...item,
      expression: substitute(item.expression, values),
    }))
    return pushed({ kind: 'limit', input: { kind: 'sort', input, orderBy }, count, offset: 0 })
  })
  if (inputs.every((input, i) => input === union.inputs[i])) return limit
  return { ...limit, input: { ...sort, input: { ...union, inputs } } }
}

function hasAtMost(relation: Relation, count: number): boolean {
  switch (relation.kind) {
    case 'limit':
      return relation.count !== undefined && relation.count <= count
    case 'project':
    case 'filter':
    case 'sort':
      return hasAtMost(relation.input, count)
    case 'values':
      return relation.rows.length <= count
    case 'aggregate':
      return relation.keys.length === 0 && relation.sets.length <= count
    default:
      return false
  }
}
