import { isAggregate, type KernelFunctions } from '../bind/functions.ts'
import { someNode } from '../sql/ir/tree.ts'
import type { Expression, FunctionCall, Query, Select } from '../sql/ir.ts'

/**
 * The most rows that a query can have, where its form alone says so: by LIMIT, as an aggregate without groups, or as a
 * list of values without a table. Undefined means any number.
 */
export function rowBound(query: Query, functions: KernelFunctions): number | undefined {
  const limit = limitOf(query)
  const rows = query.kind === 'select' && isOneRow(query, functions) ? 1 : undefined
  if (limit === undefined || rows === undefined) return limit ?? rows
  return Math.min(limit, rows)
}

function limitOf({ limit }: Query): number | undefined {
  if (limit?.count === undefined || limit.percent) return undefined
  return naturalOf(limit.count)
}

function naturalOf(expression: Expression): number | undefined {
  if (expression.kind !== 'constant' || typeof expression.value !== 'string') return undefined
  const value = Number(expression.value)
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** Functions that may make several rows of one, such as `unnest`, are not aggregates; none may be there. */
function isOneRow(select: Select, functions: KernelFunctions): boolean {
  if (select.groupBy !== undefined) return false
  const calls: FunctionCall[] = []
  const isOpen = someNode(select.items, (node) => {
    if (node.kind === 'function' && !(node as FunctionCall).operator)
      calls.push(node as FunctionCall)
    return ['star', 'unpack', 'window', 'scalarSubquery', 'anySubquery', 'exists'].includes(
      node.kind,
    )
  })
  if (isOpen || !calls.every((call) => isAggregate(call, functions))) return false
  return select.from === undefined || calls.length > 0
}
