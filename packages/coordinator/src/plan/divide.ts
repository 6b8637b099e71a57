import { isUnrepeatable, type KernelFunctions } from '../bind/functions.ts'
import { someNode } from '../sql/ir/tree.ts'
import type { Query, TableRef } from '../sql/ir.ts'
import { scanId, hasAggregate, hasWindow, canonical, usesAlias } from './query-shape.ts'
import type { Division, DivideContext } from './division.ts'
import { divideAggregate } from './divide-aggregate.ts'
import { divideDistinct, divideTopN } from './divide-rows.ts'

/** The division of a query, or the reason why there is none. */
export function divide(query: Query, context: DivideContext): Division | string {
  if (query.kind !== 'select') return 'set operations run as one fragment'
  if (isUnrepeatable(query, context.functions))
    return 'it calls a function whose value differs between tasks'
  if (someNode(query, (n) => (n as { sample?: unknown }).sample !== undefined))
    return 'it takes a sample, which would differ between tasks'
  if (query.from === undefined) return 'it reads no table'
  if (query.limit?.percent === true) return 'LIMIT in per cent needs all rows'
  const candidates = dividableScans(query.from, context.functions)
  const scan = candidates.toSorted((a, b) => context.scanBytes(b) - context.scanBytes(a))[0]
  if (scan === undefined) return 'no table of it can be read in parts'
  const select = canonical(query, context)
  if (usesAlias([query.having, query.qualify], query))
    return 'a name that is an alias and may be a column'
  const aggregated = select.groupBy !== undefined || hasAggregate(select, context.functions)
  if (aggregated) return divideAggregate(select, scan, context)
  if (select.qualify !== undefined || hasWindow(select)) return 'window functions need all rows'
  if (select.having !== undefined) return 'HAVING without aggregates'
  if (select.distinct !== undefined) return divideDistinct(select, scan, context)
  if (select.orderBy.length > 0 || select.limit !== undefined)
    return divideTopN(select, scan, context)
  // As it was written: the rows go to the user, names and all.
  return { rule: 'rows', scan, partial: query }
}

/** Scans that a row-wise FROM may be divided by: the query distributes over the union of their parts. */
export function dividableScans(from: TableRef, functions: KernelFunctions): readonly number[] {
  switch (from.kind) {
    case 'table': {
      const id = scanId(from)
      return id === undefined || from.sample !== undefined ? [] : [id]
    }
    case 'join': {
      if (from.form === 'positional' || from.form === 'asof' || from.sample !== undefined) return []
      const left = dividableScans(from.left, functions)
      const right = dividableScans(from.right, functions)
      switch (from.type) {
        case 'inner':
          return [...left, ...right]
        case 'left':
        case 'semi':
        case 'anti':
          return left
        case 'right':
          return right
        case 'full':
          return []
      }
    }
    case 'subquery':
      return from.sample === undefined ? rowWiseScans(from.query, functions) : []
    case 'tableFunction':
    case 'values':
    case 'pivot':
      return []
  }
}

/** Scans of a subquery that makes its rows one by one: filters and projections only. */
function rowWiseScans(query: Query, functions: KernelFunctions): readonly number[] {
  const isRowWise =
    query.kind === 'select' &&
    query.ctes.length === 0 &&
    query.distinct === undefined &&
    query.groupBy === undefined &&
    query.having === undefined &&
    query.qualify === undefined &&
    query.sample === undefined &&
    query.limit === undefined &&
    query.orderBy.length === 0 &&
    !hasWindow(query) &&
    !hasAggregate(query, functions)
  return isRowWise && query.from !== undefined ? dividableScans(query.from, functions) : []
}
