import { assert, unreachable } from '@nyala/client/base'
import { quoteIdentifier, quotePath } from '../escape.ts'
import type { Case, Expression, Interval, Slice, Star } from '../ir.ts'
import { typeText } from '../sql-types.ts'
import type { Layout } from './layout.ts'
import { renderConstant } from './render-constant.ts'
import { renderFunction, renderWindow } from './render-function.ts'

/** An expression as SQL. Every operator is in parentheses, so no precedence of any reader matters. */
export function renderExpression(e: Expression, layout: Layout): string {
  const text = (operand: Expression): string => layout.expression(operand)
  switch (e.kind) {
    case 'column':
      return quotePath(e.path)
    case 'constant':
      return renderConstant(e)
    case 'function':
      return renderFunction(e, layout)
    case 'window':
      return renderWindow(e, layout)
    case 'cast':
      return `${e.try ? 'TRY_CAST' : 'CAST'}(${text(e.operand)} AS ${typeText(e.type)})`
    case 'comparison':
      return `(${text(e.left)} ${e.operator.toUpperCase()} ${text(e.right)})`
    case 'conjunction':
      assert(e.operands.length > 1, 'a conjunction has two operands or more')
      return `(${e.operands.map(text).join(` ${e.operator.toUpperCase()} `)})`
    case 'not':
      return `(NOT ${text(e.operand)})`
    case 'isNull':
      return `(${text(e.operand)} IS ${e.negated ? 'NOT ' : ''}NULL)`
    case 'isTruth': {
      const words = `${e.negated ? 'NOT ' : ''}${e.value ? 'TRUE' : 'FALSE'}`
      return `(${text(e.operand)} IS ${words})`
    }
    case 'between':
      return `(${text(e.operand)} BETWEEN ${text(e.lower)} AND ${text(e.upper)})`
    case 'in':
      return `(${text(e.operand)} ${e.negated ? 'NOT IN' : 'IN'} (${layout.expressions(e.list)}))`
    case 'case':
      return renderCase(e, layout)
    case 'coalesce':
      return `COALESCE(${layout.expressions(e.args)})`
    case 'interval':
      return renderInterval(e, layout)
    case 'scalarSubquery':
      return layout.subquery(e.query)
    case 'exists':
      return `EXISTS ${layout.subquery(e.query)}`
    case 'anySubquery': {
      const operator = e.operator === '=' ? 'IN' : `${e.operator.toUpperCase()} ANY`
      return `(${text(e.operand)} ${operator} ${layout.subquery(e.query)})`
    }
    default:
      return renderRare(e, layout)
  }
}

type Common =
  | 'column'
  | 'constant'
  | 'function'
  | 'window'
  | 'cast'
  | 'comparison'
  | 'conjunction'
  | 'not'
  | 'isNull'
  | 'isTruth'
  | 'between'
  | 'in'
  | 'case'
  | 'coalesce'
  | 'interval'
  | 'scalarSubquery'
  | 'exists'
  | 'anySubquery'

function renderRare(e: Exclude<Expression, { readonly kind: Common }>, layout: Layout): string {
  const text = (operand: Expression): string => layout.expression(operand)
  switch (e.kind) {
    case 'star':
      return renderStar(e, layout)
    case 'lambda': {
      const names = e.parameters.map(quoteIdentifier).join(', ')
      if (e.syntax === 'keyword') return `lambda ${names}: ${text(e.body)}`
      return `${e.parameters.length > 1 ? `(${names})` : names} -> ${text(e.body)}`
    }
    case 'parameter':
      return `$${e.name}`
    case 'positional':
      return `#${e.index}`
    case 'collate':
      return `(${text(e.operand)} COLLATE ${quotePath(e.collation.split('.'))})`
    case 'array':
      return `ARRAY[${layout.expressions(e.elements)}]`
    case 'subscript':
      return `(${text(e.operand)})[${text(e.index)}]`
    case 'slice':
      return renderSlice(e, layout)
    case 'field':
      return `(${text(e.operand)}).${quoteIdentifier(e.field)}`
    case 'grouping':
      return `GROUPING(${layout.expressions(e.args)})`
    case 'try':
      return `TRY(${text(e.operand)})`
    case 'unpack':
      return `UNPACK(${text(e.operand)})`
    default:
      return unreachable(e)
  }
}

function renderCase(e: Case, layout: Layout): string {
  const branches = e.branches.map(
    ({ when, then }) => `WHEN ${layout.expression(when)} THEN ${layout.expression(then)}`,
  )
  return `CASE ${branches.join(' ')} ELSE ${layout.expression(e.else)} END`
}

const renderInterval = (e: Interval, layout: Layout): string =>
  `INTERVAL (${layout.expression(e.value)}) ${e.unit.toUpperCase()}`

function renderSlice(e: Slice, layout: Layout): string {
  const bound = (value: Expression | undefined): string =>
    value === undefined ? '' : layout.expression(value)
  const step = e.step === undefined ? '' : ` : ${layout.expression(e.step)}`
  // With a step, a missing upper bound is written as a minus.
  const upper = e.upper === undefined && step !== '' ? '-' : bound(e.upper)
  return `(${layout.expression(e.operand)})[${bound(e.lower)} : ${upper}${step}]`
}

function renderStar(e: Star, layout: Layout): string {
  if (e.columns && e.pattern !== undefined) {
    assert(isPlain(e), 'COLUMNS of a pattern has no lists of its own')
    return `COLUMNS(${layout.expression(e.pattern)})`
  }
  const star = [
    e.table === undefined ? '*' : `${quoteIdentifier(e.table)}.*`,
    ...clause('EXCLUDE', e.exclude.map(quotePath)),
    ...clause(
      'REPLACE',
      e.replace.map((r) => `${layout.expression(r.expression)} AS ${quoteIdentifier(r.name)}`),
    ),
    ...clause(
      'RENAME',
      e.rename.map((r) => `${quotePath(r.from)} AS ${quoteIdentifier(r.to)}`),
    ),
  ].join(' ')
  return e.columns ? `COLUMNS(${star})` : star
}

const isPlain = (e: Star): boolean =>
  e.table === undefined && e.exclude.length + e.replace.length + e.rename.length === 0

const clause = (word: string, parts: readonly string[]): readonly string[] =>
  parts.length === 0 ? [] : [`${word} (${parts.join(', ')})`]
