import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { columnName, columnNames } from '../logical/expressions.ts'
import { type Bound, convertBound, DAY_US, domainOf, position } from './bounds.ts'
import {
  type ColumnEstimate,
  type ColumnEstimates,
  unknownColumn,
  widthOf,
} from './column-estimate.ts'
import { knownValue } from './constants.ts'

const DAYS_OF_YEAR = 365.25
const PARTS: Readonly<Record<string, number>> = {
  month: 12,
  quarter: 4,
  day: 31,
  week: 53,
  hour: 24,
}

/** Days from one value of `date_trunc` to the next. */
const UNIT_DAYS: Readonly<Record<string, number>> = {
  year: DAYS_OF_YEAR,
  quarter: DAYS_OF_YEAR / 4,
  month: DAYS_OF_YEAR / 12,
  week: 7,
  day: 1,
  hour: 1 / 24,
  minute: 1 / 1440,
}

/** What is believed of the value of an expression over a relation of `rows` rows. */
export function estimateExpression(
  e: Expression,
  columns: ColumnEstimates,
  rows: number,
): ColumnEstimate {
  const name = columnName(e)
  const column = name === undefined ? undefined : columns.get(name)
  if (column !== undefined) return column
  const known = knownValue(e)
  if (known !== undefined) {
    const value: Bound | undefined = known.value ?? undefined
    const nulls = known.value === null ? 1 : 0
    const domain = domainOf(known.type)
    const width = typeof value === 'string' ? value.length : widthOf(known.type)
    return { ...unknownColumn(known.type, 1), nulls, min: value, max: value, domain, width }
  }
  if (e.kind === 'cast') return estimateCast(e, estimateExpression(e.operand, columns, rows))
  if (e.kind === 'function') {
    const part =
      estimateDatePart(e, columns, rows) ??
      estimateTruncated(e, columns, rows) ??
      estimateRemainder(e, columns, rows)
    if (part !== undefined) return part
  }
  return { ...unknownColumn(typeOf(e), distinctOf(e, columns, rows)), nulls: nullsOf(e, columns) }
}

function estimateCast(
  { type }: Extract<Expression, { kind: 'cast' }>,
  inner: ColumnEstimate,
): ColumnEstimate {
  const domain = domainOf(type)
  const convert = (value: Bound | undefined): Bound | undefined =>
    value === undefined || domain === undefined || inner.domain === undefined
      ? undefined
      : convertBound(value, inner.domain, domain)
  const [min, max] = [convert(inner.min), convert(inner.max)]
  return { ...inner, type, domain, min, max, width: widthOf(type) }
}

/** `year(d)`, `extract(month FROM d)`. */
function estimateDatePart(
  { name, args }: FunctionCall,
  columns: ColumnEstimates,
  rows: number,
): ColumnEstimate | undefined {
  const isPart = name === 'date_part' || name === 'datepart'
  const unit = isPart && args[0] !== undefined ? knownValue(args[0])?.value : name
  const operand = args[isPart ? 1 : 0]
  if (typeof unit !== 'string' || operand === undefined) return undefined
  if (unit !== 'year' && PARTS[unit] === undefined) return undefined
  const inner = estimateExpression(operand, columns, rows)
  const type = simpleType('BIGINT')
  const days = spanDays(inner)
  const years = days === undefined ? 10 : days / DAYS_OF_YEAR + 1
  const distinct = unit === 'year' ? years : (PARTS[unit] ?? years)
  return { ...unknownColumn(type, Math.min(distinct, inner.distinct)), nulls: inner.nulls }
}

/** `date_trunc('month', d)`: as many values as there are months from the first to the last. */
function estimateTruncated(
  { name, args }: FunctionCall,
  columns: ColumnEstimates,
  rows: number,
): ColumnEstimate | undefined {
  const [unit, operand] = args
  if ((name !== 'date_trunc' && name !== 'datetrunc') || unit === undefined) return undefined
  const of = knownValue(unit)?.value
  const days = typeof of === 'string' ? UNIT_DAYS[of.toLowerCase()] : undefined
  if (days === undefined || operand === undefined) return undefined
  const inner = estimateExpression(operand, columns, rows)
  const span = spanDays(inner)
  const distinct = span === undefined ? inner.distinct : span / days + 1
  const least = Math.min(distinct, inner.distinct)
  return { ...unknownColumn(inner.type, least), nulls: inner.nulls }
}

/** `a % 10`: as many values as there are remainders, on both sides of zero where `a` may be negative. */
function estimateRemainder(
  { name, args }: FunctionCall,
  columns: ColumnEstimates,
  rows: number,
): ColumnEstimate | undefined {
  const [operand, divisor] = args
  if ((name !== '%' && name !== 'mod') || operand === undefined || divisor === undefined)
    return undefined
  const by = estimateExpression(divisor, columns, rows)
  if (by.domain?.kind !== 'integer' || by.min === undefined || by.min !== by.max) return undefined
  const inner = estimateExpression(operand, columns, rows)
  const size = Math.abs(position(by.min))
  const isPositive = typeof inner.min === 'bigint' && inner.min >= 0n
  const remainders = isPositive ? size : 2 * size - 1
  return {
    ...unknownColumn(inner.type, Math.min(inner.distinct, remainders)),
    nulls: inner.nulls,
  }
}

function spanDays({ min, max, domain }: ColumnEstimate): number | undefined {
  if (typeof min !== 'bigint' || typeof max !== 'bigint') return undefined
  const span = position(max) - position(min)
  if (domain?.kind === 'date') return span
  return domain?.kind === 'timestamp' ? span / Number(DAY_US) : undefined
}

function distinctOf(e: Expression, columns: ColumnEstimates, rows: number): number {
  if (e.kind === 'case') {
    const values = [...e.branches.map((branch) => branch.then), e.else]
    const sum = values.reduce((n, v) => n + estimateExpression(v, columns, rows).distinct, 0)
    return Math.min(sum, rows)
  }
  let product = 1
  for (const name of columnNames(e)) product *= Math.max(1, columns.get(name)?.distinct ?? rows)
  return Math.min(product, Math.max(rows, 1))
}

function nullsOf(e: Expression, columns: ColumnEstimates): number {
  if (e.kind === 'coalesce' || e.kind === 'case' || e.kind === 'isNull') return 0
  let present = 1
  for (const name of columnNames(e)) present *= 1 - (columns.get(name)?.nulls ?? 0)
  return 1 - present
}

/** Of the expressions whose type their form says; the width of others is that of a number. */
function typeOf(e: Expression): ColumnEstimate['type'] {
  switch (e.kind) {
    case 'comparison':
    case 'conjunction':
    case 'not':
    case 'isNull':
    case 'isTruth':
    case 'between':
    case 'in':
      return simpleType('BOOLEAN')
    default:
      return simpleType('BIGINT')
  }
}
