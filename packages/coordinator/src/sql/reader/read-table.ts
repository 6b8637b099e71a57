import type { BaseTable, Constant, Join, PivotColumn, PivotEntry, Sample, TableRef } from '../ir.ts'
import { keySet, placed, type KeySet, type Raw, type ReadContext } from './context.ts'
import { readCall } from './read-function.ts'
import { readConstantValue } from './read-value.ts'

type Reader = (context: ReadContext, raw: Raw) => TableRef

interface TypeReader {
  readonly keys: KeySet
  readonly read: Reader
}

const typeOf = (read: Reader, ...keys: readonly string[]): TypeReader => ({
  keys: keySet('type', 'alias', 'sample', 'query_location', ...keys),
  read,
})

const TYPES: ReadonlyMap<string, TypeReader> = new Map([
  [
    'BASE_TABLE',
    typeOf(
      readBaseTable,
      'schema_name',
      'table_name',
      'column_name_alias',
      'catalog_name',
      'at_clause',
    ),
  ],
  ['SUBQUERY', typeOf(readSubqueryRef, 'subquery', 'column_name_alias')],
  [
    'JOIN',
    typeOf(
      readJoin,
      'left',
      'right',
      'condition',
      'join_type',
      'ref_type',
      'using_columns',
      'delim_flipped',
      'duplicate_eliminated_columns',
    ),
  ],
  ['TABLE_FUNCTION', typeOf(readTableFunction, 'function', 'column_name_alias', 'with_ordinality')],
  ['EXPRESSION_LIST', typeOf(readValues, 'expected_names', 'expected_types', 'values')],
  [
    'PIVOT',
    typeOf(
      readPivot,
      'source',
      'aggregates',
      'unpivot_names',
      'pivots',
      'groups',
      'column_name_alias',
      'include_nulls',
    ),
  ],
])

const EMPTY_KEYS = keySet('type', 'alias', 'sample', 'query_location')

/** FROM; undefined where the query has none. */
export function readFrom(context: ReadContext, value: unknown): TableRef | undefined {
  const raw = context.object(value, 'from_table')
  if (raw['type'] !== 'EMPTY') return readTable(context, raw)
  context.checkKeys(raw, EMPTY_KEYS, 'EMPTY')
  if (raw['alias'] !== '' || raw['sample'] !== null) context.unknown('alias of a missing FROM', raw)
  return undefined
}

export function readTable(context: ReadContext, raw: Raw): TableRef {
  const type = context.string(raw, 'type')
  if (type === 'SHOW_REF') context.refuse('SHOW or DESCRIBE inside a query', context.at(raw))
  const reader = TYPES.get(type) ?? context.unknown(`table reference ${type}`, raw)
  context.checkKeys(raw, reader.keys, type)
  return reader.read(context, raw)
}

const base = (
  context: ReadContext,
  raw: Raw,
): { alias: string | undefined; sample: Sample | undefined; at?: number } => ({
  alias: context.optionalString(raw, 'alias'),
  sample: readSample(context, raw['sample']),
  ...placed(context.at(raw)),
})

function readBaseTable(context: ReadContext, raw: Raw): BaseTable {
  return {
    kind: 'table',
    catalog: context.optionalString(raw, 'catalog_name'),
    schema: context.optionalString(raw, 'schema_name'),
    table: context.string(raw, 'table_name'),
    columnAliases: context.strings(raw, 'column_name_alias'),
    asOf: readAsOf(context, raw['at_clause']),
    ...base(context, raw),
  }
}

const AT_KEYS = keySet('unit', 'expr')
const AT_UNITS: ReadonlyMap<string, 'version' | 'timestamp'> = new Map([
  ['VERSION', 'version'],
  ['TIMESTAMP', 'timestamp'],
])

function readAsOf(context: ReadContext, value: unknown): BaseTable['asOf'] {
  if (value === null) return undefined
  const raw = context.object(value, 'at_clause')
  context.checkKeys(raw, AT_KEYS, 'at_clause')
  return {
    unit: context.oneOf(raw, 'unit', AT_UNITS),
    value: context.expression(context.object(raw['expr'], 'expr')),
  }
}

function readSubqueryRef(context: ReadContext, raw: Raw): TableRef {
  return {
    kind: 'subquery',
    query: context.query(context.object(raw['subquery'], 'subquery')),
    columnAliases: context.strings(raw, 'column_name_alias'),
    ...base(context, raw),
  }
}

const JOIN_TYPES: ReadonlyMap<string, Join['type']> = new Map([
  ['INNER', 'inner'],
  ['LEFT', 'left'],
  ['RIGHT', 'right'],
  ['FULL', 'full'],
  ['SEMI', 'semi'],
  ['ANTI', 'anti'],
])
const JOIN_FORMS: ReadonlyMap<string, Join['form']> = new Map([
  ['REGULAR', 'regular'],
  ['NATURAL', 'natural'],
  ['CROSS', 'cross'],
  ['ASOF', 'asof'],
  ['POSITIONAL', 'positional'],
])

function readJoin(context: ReadContext, raw: Raw): TableRef {
  if (
    raw['delim_flipped'] !== false ||
    context.list(raw, 'duplicate_eliminated_columns').length > 0
  ) {
    context.unknown('a join made by an optimizer', raw)
  }
  return {
    kind: 'join',
    type: context.oneOf(raw, 'join_type', JOIN_TYPES),
    form: context.oneOf(raw, 'ref_type', JOIN_FORMS),
    left: readTable(context, context.object(raw['left'], 'left')),
    right: readTable(context, context.object(raw['right'], 'right')),
    condition: context.optional(raw['condition']),
    using: context.strings(raw, 'using_columns'),
    columnAliases: [],
    ...base(context, raw),
  }
}

const ORDINALITY: ReadonlyMap<string, boolean> = new Map([
  ['WITHOUT_ORDINALITY', false],
  ['WITH_ORDINALITY', true],
])

const CALL_KEYS = keySet(
  'class',
  'type',
  'alias',
  'query_location',
  'function_name',
  'schema',
  'catalog',
  'children',
  'filter',
  'order_bys',
  'distinct',
  'is_operator',
  'export_state',
)

function readTableFunction(context: ReadContext, raw: Raw): TableRef {
  const call = context.object(raw['function'], 'function')
  if (call['class'] !== 'FUNCTION') context.unknown('table function that is no function', raw)
  context.checkKeys(call, CALL_KEYS, 'table function')
  if (call['alias'] !== '') context.unknown('alias of a table function call', raw)
  return {
    kind: 'tableFunction',
    call: readCall(context, call),
    withOrdinality: context.oneOf(raw, 'with_ordinality', ORDINALITY),
    columnAliases: context.strings(raw, 'column_name_alias'),
    ...base(context, raw),
  }
}

function readValues(context: ReadContext, raw: Raw): TableRef {
  if (
    context.list(raw, 'expected_names').length > 0 ||
    context.list(raw, 'expected_types').length > 0
  ) {
    context.unknown('a VALUES list with types', raw)
  }
  const rows = context.list(raw, 'values').map((row) => {
    if (!Array.isArray(row)) return context.unknown('a row of VALUES', raw)
    return row.map((value: unknown) => context.expression(context.object(value, 'value')))
  })
  return { kind: 'values', rows, columnAliases: [], ...base(context, raw) }
}

const PIVOT_KEYS = keySet('pivot_expressions', 'unpivot_names', 'entries', 'pivot_enum', 'subquery')
const ENTRY_KEYS = keySet('values', 'star_expr', 'alias')

function readPivot(context: ReadContext, raw: Raw): TableRef {
  return {
    kind: 'pivot',
    source: readTable(context, context.object(raw['source'], 'source')),
    aggregates: context.objects(raw, 'aggregates').map((item) => context.item(item)),
    unpivotNames: context.strings(raw, 'unpivot_names'),
    columns: context.objects(raw, 'pivots').map((column) => readPivotColumn(context, column)),
    groups: context.strings(raw, 'groups'),
    includeNulls: context.boolean(raw, 'include_nulls'),
    columnAliases: context.strings(raw, 'column_name_alias'),
    ...base(context, raw),
  }
}

function readPivotColumn(context: ReadContext, raw: Raw): PivotColumn {
  context.checkKeys(raw, PIVOT_KEYS, 'pivot column')
  if (raw['pivot_enum'] !== '') context.refuse('PIVOT over an enum', undefined, LIST_THE_VALUES)
  if ((raw['subquery'] ?? null) !== null)
    context.refuse('PIVOT over a subquery', undefined, LIST_THE_VALUES)
  return {
    expressions: context.expressions(raw, 'pivot_expressions'),
    unpivotNames: context.strings(raw, 'unpivot_names'),
    entries: context.objects(raw, 'entries').map((entry) => readPivotEntry(context, entry)),
  }
}

const LIST_THE_VALUES = 'list the values: PIVOT (… FOR column IN (value, …))'

function readPivotEntry(context: ReadContext, raw: Raw): PivotEntry {
  context.checkKeys(raw, ENTRY_KEYS, 'pivot entry')
  const values = context
    .objects(raw, 'values')
    .map((value): Constant => ({ kind: 'constant', ...readConstantValue(context, value) }))
  return {
    values,
    alias: context.optionalString(raw, 'alias'),
    star: context.optional(raw['star_expr']),
  }
}

const SAMPLE_KEYS = keySet('sample_size', 'is_percentage', 'method', 'seed')
const METHODS: ReadonlyMap<string, Sample['method']> = new Map([
  ['System', 'system'],
  ['Bernoulli', 'bernoulli'],
  ['Reservoir', 'reservoir'],
])

export function readSample(context: ReadContext, value: unknown): Sample | undefined {
  if (value === null || value === undefined) return undefined
  const raw = context.object(value, 'sample')
  context.checkKeys(raw, SAMPLE_KEYS, 'sample')
  const seed = context.number(raw, 'seed')
  const size = readConstantValue(context, context.object(raw['sample_size'], 'sample_size'))
  if (typeof size.value !== 'string') return context.unknown('sample size')
  return {
    size: { kind: 'constant', type: size.type, value: size.value },
    percent: context.boolean(raw, 'is_percentage'),
    method: context.oneOf(raw, 'method', METHODS),
    ...(seed < 0 ? {} : { seed }),
  }
}
