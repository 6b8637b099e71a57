import type { ComparisonOperator, Expression, Star } from '../ir.ts'
import { keySet, placed, type KeySet, type Raw, type ReadContext } from './context.ts'
import { readFunction } from './read-function.ts'
import { readOperator } from './read-operator.ts'
import { readConstantValue, readType } from './read-value.ts'
import { readWindow } from './read-window.ts'

type Reader = (context: ReadContext, raw: Raw) => Expression

interface ClassReader {
  readonly keys: KeySet
  readonly read: Reader
}

const classOf = (read: Reader, ...keys: readonly string[]): ClassReader => ({
  keys: keySet('class', 'type', 'alias', 'query_location', ...keys),
  read,
})

/** Every class of expression the parser can make and we can plan. Bound classes never come from a text. */
const CLASSES: ReadonlyMap<string, ClassReader> = new Map([
  ['BETWEEN', classOf(readBetween, 'input', 'lower', 'upper')],
  ['CASE', classOf(readCase, 'case_checks', 'else_expr')],
  ['CAST', classOf(readCast, 'child', 'cast_type', 'try_cast')],
  ['COLLATE', classOf(readCollate, 'child', 'collation')],
  ['COLUMN_REF', classOf(readColumn, 'column_names')],
  ['COMPARISON', classOf(readComparison, 'left', 'right')],
  ['CONJUNCTION', classOf(readConjunction, 'children')],
  ['CONSTANT', classOf(readConstant, 'value')],
  [
    'FUNCTION',
    classOf(
      readFunction,
      'function_name',
      'schema',
      'catalog',
      'children',
      'filter',
      'order_bys',
      'distinct',
      'is_operator',
      'export_state',
    ),
  ],
  // A lambda outside of an argument list is JSON's arrow.
  ['LAMBDA', classOf(readArrow, 'lhs', 'expr')],
  ['OPERATOR', classOf(readOperator, 'children')],
  ['PARAMETER', classOf(readParameter, 'identifier')],
  ['POSITIONAL_REFERENCE', classOf(readPositional, 'index')],
  [
    'STAR',
    classOf(
      readStar,
      'relation_name',
      'exclude_list',
      'qualified_exclude_list',
      'replace_list',
      'rename_list',
      'columns',
      'expr',
    ),
  ],
  ['SUBQUERY', classOf(readSubquery, 'subquery_type', 'subquery', 'child', 'comparison_type')],
  [
    'WINDOW',
    classOf(
      readWindow,
      'function_name',
      'schema',
      'catalog',
      'children',
      'partitions',
      'orders',
      'start',
      'end',
      'start_expr',
      'end_expr',
      'offset_expr',
      'default_expr',
      'ignore_nulls',
      'filter_expr',
      'exclude_clause',
      'distinct',
      'arg_orders',
    ),
  ],
])

/** The expression without its alias, which the caller has dealt with. */
export function readAnyExpression(context: ReadContext, raw: Raw): Expression {
  const name = context.string(raw, 'class')
  if (name === 'DEFAULT') {
    const hint = 'it is a whole value of INSERT … VALUES, of SET, or of a clause of MERGE'
    // A database may have that name, too.
    const at = context.at(raw) ?? context.onlyPlaceOf(/\bdefault\b(?!\s*\.)/gi)
    context.refuse('DEFAULT in an expression or a query', at, hint)
  }
  const reader = CLASSES.get(name) ?? context.unknown(`expression class ${name}`, raw)
  context.checkKeys(raw, reader.keys, name)
  return reader.read(context, raw)
}

function expectType(context: ReadContext, raw: Raw, type: string): void {
  if (raw['type'] !== type) context.unknown(`${String(raw['class'])} ${String(raw['type'])}`, raw)
}

function readBetween(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'COMPARE_BETWEEN')
  return {
    kind: 'between',
    operand: context.child(raw, 'input'),
    lower: context.child(raw, 'lower'),
    upper: context.child(raw, 'upper'),
    ...placed(context.at(raw)),
  }
}

const CASE_KEYS = keySet('when_expr', 'then_expr')

function readCase(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'CASE_EXPR')
  const branches = context.objects(raw, 'case_checks').map((check) => {
    context.checkKeys(check, CASE_KEYS, 'case_check')
    return { when: context.child(check, 'when_expr'), then: context.child(check, 'then_expr') }
  })
  return {
    kind: 'case',
    branches,
    else: context.child(raw, 'else_expr'),
    ...placed(context.at(raw)),
  }
}

function readCast(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'OPERATOR_CAST')
  const operand = context.child(raw, 'child')
  const type = readType(context, raw['cast_type'])
  const isTry = context.boolean(raw, 'try_cast')
  const place = placed(context.at(raw) ?? operand.at)
  // TRUE and FALSE are parsed as casts of 't' and 'f'.
  if (!isTry && type.kind === 'simple' && type.name === 'BOOLEAN' && operand.kind === 'constant') {
    if (operand.value === 't') return { kind: 'constant', type, value: true, ...place }
    if (operand.value === 'f') return { kind: 'constant', type, value: false, ...place }
  }
  return { kind: 'cast', operand, type, try: isTry, ...place }
}

function readCollate(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'COLLATE')
  return {
    kind: 'collate',
    operand: context.child(raw, 'child'),
    collation: context.string(raw, 'collation'),
    ...placed(context.at(raw)),
  }
}

function readColumn(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'COLUMN_REF')
  return { kind: 'column', path: context.strings(raw, 'column_names'), ...placed(context.at(raw)) }
}

const COMPARISONS: ReadonlyMap<string, ComparisonOperator> = new Map([
  ['COMPARE_EQUAL', '='],
  ['COMPARE_NOTEQUAL', '<>'],
  ['COMPARE_LESSTHAN', '<'],
  ['COMPARE_LESSTHANOREQUALTO', '<='],
  ['COMPARE_GREATERTHAN', '>'],
  ['COMPARE_GREATERTHANOREQUALTO', '>='],
  ['COMPARE_DISTINCT_FROM', 'is distinct from'],
  ['COMPARE_NOT_DISTINCT_FROM', 'is not distinct from'],
])

function readComparison(context: ReadContext, raw: Raw): Expression {
  const operator = context.oneOf(raw, 'type', COMPARISONS)
  const left = context.child(raw, 'left')
  const rawRight = context.object(raw['right'], 'right')
  const right = context.expression(rawRight)
  const place = placed(context.at(raw))
  // A literal of type BOOLEAN, not a cast of 't', is only made for IS [NOT] TRUE and FALSE.
  if (
    rawRight['class'] === 'CONSTANT' &&
    right.kind === 'constant' &&
    typeof right.value === 'boolean'
  ) {
    if (left.kind !== 'cast') return context.unknown('comparison with a boolean literal', raw)
    const negated = operator === 'is distinct from'
    return { kind: 'isTruth', operand: left.operand, value: right.value, negated, ...place }
  }
  return { kind: 'comparison', operator, left, right, ...place }
}

const CONJUNCTIONS: ReadonlyMap<string, 'and' | 'or'> = new Map([
  ['CONJUNCTION_AND', 'and'],
  ['CONJUNCTION_OR', 'or'],
])

function readConjunction(context: ReadContext, raw: Raw): Expression {
  return {
    kind: 'conjunction',
    operator: context.oneOf(raw, 'type', CONJUNCTIONS),
    operands: context.expressions(raw, 'children'),
    ...placed(context.at(raw)),
  }
}

function readConstant(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'VALUE_CONSTANT')
  const { type, value } = readConstantValue(context, context.object(raw['value'], 'value'))
  return { kind: 'constant', type, value, ...placed(context.at(raw)) }
}

function readArrow(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'LAMBDA')
  return {
    kind: 'function',
    name: '->',
    args: [context.child(raw, 'lhs'), context.child(raw, 'expr')],
    distinct: false,
    orderBy: [],
    operator: true,
    ...placed(context.at(raw)),
  }
}

function readParameter(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'VALUE_PARAMETER')
  return {
    kind: 'parameter',
    name: context.string(raw, 'identifier'),
    ...placed(context.at(raw)),
  }
}

function readPositional(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'POSITIONAL_REFERENCE')
  return { kind: 'positional', index: context.number(raw, 'index'), ...placed(context.at(raw)) }
}

const ENTRY_KEYS = keySet('key', 'value')
const PATH_KEYS = keySet('catalog', 'schema', 'table', 'column')

function readPath(context: ReadContext, value: unknown): readonly string[] {
  const raw = context.object(value, 'qualified name')
  context.checkKeys(raw, PATH_KEYS, 'qualified name')
  const parts = ['catalog', 'schema', 'table', 'column'].map((key) => context.string(raw, key))
  return parts.filter((part) => part !== '')
}

function readStar(context: ReadContext, raw: Raw): Star {
  expectType(context, raw, 'STAR')
  const replace = context.objects(raw, 'replace_list').map((entry) => {
    context.checkKeys(entry, ENTRY_KEYS, 'replace')
    return { name: context.string(entry, 'key'), expression: context.child(entry, 'value') }
  })
  const rename = context.objects(raw, 'rename_list').map((entry) => {
    context.checkKeys(entry, ENTRY_KEYS, 'rename')
    return { from: readPath(context, entry['key']), to: context.string(entry, 'value') }
  })
  const qualified = context.list(raw, 'qualified_exclude_list')
  return {
    kind: 'star',
    table: context.optionalString(raw, 'relation_name'),
    // The parser keeps these lists in hash tables; sorted, equal stars have equal trees.
    exclude: [
      ...context.strings(raw, 'exclude_list').map((name) => [name]),
      ...qualified.map((entry) => readPath(context, entry)),
    ].toSorted((a, b) => compareTexts(a.join(), b.join())),
    replace: replace.toSorted((a, b) => compareTexts(a.name, b.name)),
    rename: rename.toSorted((a, b) => compareTexts(a.to, b.to)),
    columns: context.boolean(raw, 'columns'),
    pattern: context.optional(raw['expr']),
    ...placed(context.at(raw)),
  }
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function readSubquery(context: ReadContext, raw: Raw): Expression {
  expectType(context, raw, 'SUBQUERY')
  const query = context.query(context.object(raw['subquery'], 'subquery'))
  const place = placed(context.at(raw))
  const kind = context.string(raw, 'subquery_type')
  if (kind === 'ANY') {
    return {
      kind: 'anySubquery',
      operand: context.child(raw, 'child'),
      operator: context.oneOf(raw, 'comparison_type', COMPARISONS),
      query,
      ...place,
    }
  }
  if (raw['child'] !== null || raw['comparison_type'] !== 'INVALID') {
    return context.unknown(`operand of a ${kind} subquery`, raw)
  }
  if (kind === 'SCALAR') return { kind: 'scalarSubquery', query, ...place }
  if (kind === 'EXISTS') return { kind: 'exists', query, ...place }
  return context.unknown(`subquery ${kind}`, raw)
}
