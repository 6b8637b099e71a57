/**
 * Queries that need no executor: those that read no table and whose work is bounded by their text, and those that
 * footers answer. What is allowed is listed; whatever is not runs as a task, which can be limited, cancelled and killed.
 */
import { visitTree } from '../sql/ir/tree.ts'
import type { Expression, Query, Select, TableRef } from '../sql/ir.ts'
import type { SqlType } from '../sql/sql-types.ts'
import { inputsOf, type LogicalPlan, type Relation } from './logical/relation.ts'
import { answerAllFromFooters } from './rules/answer-from-footers.ts'
import type { Scan } from './scan.ts'
import { toQuery } from './to-sql/to-query.ts'

/** Larger statements are not worth the coordinator's time. */
const NODES_MAX = 2_000
const VALUES_ROWS_MAX = 100

/** Functions of one row whose result is not longer than their arguments together, and that cost no more than that. */
const CHEAP: ReadonlySet<string> = new Set([
  ...['+', '-', '*', '/', '//', '%', '**', '^', '&', '|', '~', '~~', '!~~', '~~*', '!~~*'],
  ...[
    'abs',
    'add',
    'subtract',
    'multiply',
    'divide',
    'mod',
    'pow',
    'power',
    'sign',
    'sqrt',
    'cbrt',
  ],
  ...['round', 'floor', 'ceil', 'ceiling', 'trunc', 'exp', 'ln', 'log', 'log2', 'log10', 'pi'],
  ...['greatest', 'least', 'nullif', 'ifnull', 'isnan', 'isinf', 'isfinite', 'typeof'],
  ...['length', 'strlen', 'char_length', 'character_length', 'lower', 'upper', 'lcase', 'ucase'],
  ...['trim', 'ltrim', 'rtrim', 'substring', 'substr', 'left', 'right', 'reverse', 'instr'],
  ...['contains', 'starts_with', 'ends_with', 'prefix', 'suffix', 'position', 'strpos', 'ascii'],
  ...['year', 'month', 'day', 'quarter', 'week', 'hour', 'minute', 'second', 'dayofweek'],
  ...['dayofyear', 'date_part', 'datepart', 'date_trunc', 'datetrunc', 'date_diff', 'datediff'],
  ...['last_day', 'make_date', 'epoch', 'epoch_ms', 'to_years', 'to_months', 'to_days'],
  ...['to_hours', 'to_minutes', 'to_seconds', 'to_weeks', 'hex', 'to_hex'],
])
/** Repeated in a chain of subqueries these would double a text with each. */
const GROWING: ReadonlySet<string> = new Set(['||', 'concat', 'concat_ws'])

/**
 * The query that the coordinator answers itself in place of another one; undefined where it is a task's work. `read` is
 * called only for queries that look as if footers could answer them.
 */
export async function constantQuery(
  input: {
    readonly query: Query
    readonly scans: readonly Scan[]
    readonly distribution: 'auto' | 'force' | 'single'
  },
  read: () => Promise<LogicalPlan | string>,
): Promise<Query | undefined> {
  const { query, scans } = input
  if (scans.length === 0) return isConstantQuery(query) ? query : undefined
  // To force is to want tasks.
  if (input.distribution === 'force' || !looksAnswerable(query)) return undefined
  const plan = await read()
  if (typeof plan === 'string') return undefined
  const root = answerAllFromFooters(plan.root, new Map(scans.map((scan) => [scan.id, scan])))
  if (root === plan.root || readsAnything(root)) return undefined
  const answered = toQuery(root, plan.outputs)
  return isConstantQuery(answered) ? answered : undefined
}

/** True for COUNT, MIN and MAX alone over one table: reading any other plan for nothing would cost a millisecond. */
function looksAnswerable(query: Query): boolean {
  if (query.kind !== 'select' || query.from?.kind !== 'table') return false
  if (query.groupBy !== undefined || query.distinct !== undefined || query.having !== undefined)
    return false
  let aggregates = 0
  visitTree(query.items, (node) => {
    if (node.kind !== 'function') return undefined
    if (/^(count|count_star|min|max)$/i.test((node as { readonly name?: string }).name ?? ''))
      aggregates++
    return undefined
  })
  return aggregates >= query.items.length
}

const readsAnything = (relation: Relation): boolean =>
  relation.kind === 'scan' || inputsOf(relation).some(readsAnything)

/** True for a query whose rows follow from its text, with little work and without a setting of the kernel but the time zone. */
export function isConstantQuery(query: Query): boolean {
  let nodes = 0
  visitTree(query, () => {
    nodes++
    return undefined
  })
  return nodes <= NODES_MAX && query.kind === 'select' && isConstantSelect(query)
}

function isConstantSelect(select: Select): boolean {
  const { ctes, orderBy, limit, distinct, groupBy, having, qualify, sample } = select
  if (ctes.length + orderBy.length > 0) return false
  if ([limit, distinct, groupBy, having, qualify, sample].some((part) => part !== undefined))
    return false
  const allowed = { columns: select.from !== undefined }
  if (select.from !== undefined && !isConstantTable(select.from)) return false
  if (select.where !== undefined && !isConstant(select.where, allowed)) return false
  return select.items.every((item) => isConstant(item.expression, allowed))
}

function isConstantTable(from: TableRef): boolean {
  if (from.sample !== undefined) return false
  if (from.kind === 'subquery') return from.query.kind === 'select' && isConstantSelect(from.query)
  if (from.kind !== 'values' || from.rows.length > VALUES_ROWS_MAX) return false
  return from.rows.every((row) => row.every((cell) => isConstant(cell, { columns: false })))
}

function isConstant(e: Expression, allowed: { readonly columns: boolean }): boolean {
  const all = (parts: readonly Expression[]): boolean =>
    parts.every((part) => isConstant(part, allowed))
  switch (e.kind) {
    case 'constant':
      return isPlain(e.type)
    case 'column':
      // Without FROM it is something like CURRENT_DATE.
      return allowed.columns
    case 'cast':
      return isPlain(e.type) && isConstant(e.operand, allowed)
    case 'comparison':
      return all([e.left, e.right])
    case 'conjunction':
      return all(e.operands)
    case 'not':
    case 'isNull':
    case 'isTruth':
      return isConstant(e.operand, allowed)
    case 'between':
      return all([e.operand, e.lower, e.upper])
    case 'in':
      return all([e.operand, ...e.list])
    case 'case':
      return all([...e.branches.flatMap((b) => [b.when, b.then]), e.else])
    case 'coalesce':
      return all(e.args)
    case 'interval':
      return isConstant(e.value, allowed)
    case 'function': {
      const name = e.name.toLowerCase()
      if (e.catalog !== undefined || (e.schema !== undefined && e.schema !== 'main')) return false
      if (e.distinct || e.filter !== undefined || e.orderBy.length > 0) return false
      if (!CHEAP.has(name) && (allowed.columns || !GROWING.has(name))) return false
      return all(e.args)
    }
    default:
      return false
  }
}

/** Types whose values are no longer than their text. */
const isPlain = (type: SqlType): boolean =>
  type.kind === 'decimal' ||
  (type.kind === 'simple' &&
    type.name !== 'BIGNUM' &&
    type.name !== 'VARIANT' &&
    type.name !== 'BIT')
