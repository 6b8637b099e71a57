import { assert } from '@nyala/client/base'
import { quoteIdentifier, quotePath } from '../escape.ts'
import type { Case, Conjunction, Expression, Lambda, Slice, Star } from '../ir.ts'
import { typeText } from '../sql-types.ts'
import type { Layout } from './layout.ts'
import { renderConstant } from './render-constant.ts'
import { renderFunction, renderWindow } from './render-function.ts'

type Renderer<E extends Expression> = (e: E, layout: Layout) => string

/** One renderer a kind; a new kind does not compile without one. */
const RENDERERS: {
  readonly [K in Expression['kind']]: Renderer<Extract<Expression, { readonly kind: K }>>
} = {
  column: (e) => quotePath(e.path),
  constant: renderConstant,
  function: renderFunction,
  window: renderWindow,
  cast: (e, l) =>
    `${e.try ? 'TRY_CAST' : 'CAST'}(${l.expression(e.operand)} AS ${typeText(e.type)})`,
  comparison: (e, l) =>
    `(${l.expression(e.left)} ${e.operator.toUpperCase()} ${l.expression(e.right)})`,
  conjunction: renderConjunction,
  not: (e, l) => `(NOT ${l.expression(e.operand)})`,
  isNull: (e, l) => `(${l.expression(e.operand)} IS ${e.negated ? 'NOT ' : ''}NULL)`,
  isTruth: (e, l) =>
    `(${l.expression(e.operand)} IS ${e.negated ? 'NOT ' : ''}${e.value ? 'TRUE' : 'FALSE'})`,
  between: (e, l) =>
    `(${l.expression(e.operand)} BETWEEN ${l.expression(e.lower)} AND ${l.expression(e.upper)})`,
  in: (e, l) =>
    `(${l.expression(e.operand)} ${e.negated ? 'NOT IN' : 'IN'} (${l.expressions(e.list)}))`,
  case: renderCase,
  coalesce: (e, l) => `COALESCE(${l.expressions(e.args)})`,
  interval: (e, l) => `INTERVAL (${l.expression(e.value)}) ${e.unit.toUpperCase()}`,
  scalarSubquery: (e, l) => l.subquery(e.query),
  exists: (e, l) => `EXISTS ${l.subquery(e.query)}`,
  anySubquery(e, l) {
    const operator = e.operator === '=' ? 'IN' : `${e.operator.toUpperCase()} ANY`
    return `(${l.expression(e.operand)} ${operator} ${l.subquery(e.query)})`
  },
  star: renderStar,
  lambda: renderLambda,
  parameter: (e) => `$${e.name}`,
  positional: (e) => `#${e.index}`,
  collate: (e, l) => `(${l.expression(e.operand)} COLLATE ${quotePath(e.collation.split('.'))})`,
  array: (e, l) => `ARRAY[${l.expressions(e.elements)}]`,
  subscript: (e, l) => `(${l.expression(e.operand)})[${l.expression(e.index)}]`,
  slice: renderSlice,
  field: (e, l) => `(${l.expression(e.operand)}).${quoteIdentifier(e.field)}`,
  grouping: (e, l) => `GROUPING(${l.expressions(e.args)})`,
  try: (e, l) => `TRY(${l.expression(e.operand)})`,
  unpack: (e, l) => `UNPACK(${l.expression(e.operand)})`,
}

/** An expression as SQL. Every operator is in parentheses, so no precedence of any reader matters. */
export function renderExpression(e: Expression, layout: Layout): string {
  // The table gives each kind its own renderer, which the type of a lookup cannot say.
  const render = RENDERERS[e.kind] as Renderer<Expression>
  return render(e, layout)
}

function renderConjunction(e: Conjunction, layout: Layout): string {
  assert(e.operands.length > 1, 'a conjunction has two operands or more')
  const texts = e.operands.map((operand) => layout.expression(operand))
  return `(${texts.join(` ${e.operator.toUpperCase()} `)})`
}

function renderLambda(e: Lambda, layout: Layout): string {
  const names = e.parameters.map(quoteIdentifier).join(', ')
  if (e.syntax === 'keyword') return `lambda ${names}: ${layout.expression(e.body)}`
  return `${e.parameters.length > 1 ? `(${names})` : names} -> ${layout.expression(e.body)}`
}

function renderCase(e: Case, layout: Layout): string {
  const branches = e.branches.map(
    ({ when, then }) => `WHEN ${layout.expression(when)} THEN ${layout.expression(then)}`,
  )
  return `CASE ${branches.join(' ')} ELSE ${layout.expression(e.else)} END`
}

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
