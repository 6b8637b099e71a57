import {
  checkEmpty,
  checkKeys,
  childOf,
  countOf,
  keySet,
  listOf,
  objectOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
  truthOf,
} from './raw.ts'
import { checkType, type Found, type PlanScope, scopeOf } from './plan-scope.ts'
import { readExpression, typeOf } from './read-expression.ts'
import { readType } from './read-type.ts'

const FILTERS_KEYS = keySet('filters')
const GET_KEYS = keySet(
  'type',
  'children',
  'table_index',
  'returned_types',
  'names',
  'projection_ids',
  'table_filters',
  'name',
  'arguments',
  'original_arguments',
  'catalog_name',
  'schema_name',
  'has_serialize',
  'function_data',
  'projected_input',
  'column_indexes',
  'extra_info',
  'ordinality_idx',
)
const TABLE_KEYS = keySet(
  'catalog',
  'schema',
  'table',
  'is_index_scan',
  'is_create_index',
  'result_ids',
)
const INDEX_KEYS = keySet('index', 'child_indexes', 'index_type', 'type', 'field', 'has_index')
const EXTRA_KEYS = keySet('file_filters', 'total_files', 'filtered_files')
/** What the kernel reads of a table of which no column is wanted; 2^64 - 1, which JSON.parse rounds. */
const ROW_ID = 2 ** 64

/** A scan of a table. */
export function readGet(raw: Raw, plan: PlanScope): Found {
  checkKeys(raw, GET_KEYS, 'a scan')
  checkEmpty(raw, 'children')
  checkEmpty(raw, 'projection_ids')
  checkEmpty(raw, 'projected_input')
  const filters = childOf(raw, 'table_filters')
  checkKeys(filters, FILTERS_KEYS, 'a scan')
  checkEmpty(filters, 'filters')
  const data = childOf(raw, 'function_data')
  checkKeys(data, TABLE_KEYS, 'a scan')
  if (truthOf(data, 'is_index_scan')) refuse('a scan of an index')
  const extra = childOf(raw, 'extra_info')
  checkKeys(extra, EXTRA_KEYS, 'a scan')
  if (extra['file_filters'] !== '') refuse('a scan with filters of its own')
  const table = textOf(data, 'table')
  const known = plan.tables.get(table) ?? refuse(`the table ${table}`)
  const types = listOf(raw, 'returned_types')
  const columns = objectsOf(raw, 'column_indexes').map((index) => {
    checkKeys(index, INDEX_KEYS, 'a column of a scan')
    checkEmpty(index, 'child_indexes')
    if (index['index_type'] !== 'FULL_READ') refuse('a part of a column')
    if (index['index'] === ROW_ID) return undefined
    const position = countOf(index['index'], 'index')
    const source = known.columns[position]
    if (source === undefined || listOf(raw, 'names')[position] !== source) {
      return refuse(`column ${position} of a scan`)
    }
    return { ...plan.names.column(source, 'column', readType(types[position])), source }
  })
  const read = columns.filter((column) => column !== undefined)
  return { relation: { kind: 'scan', scan: known.scan, columns: read }, columns }
}

/** Constant rows; `child` is the one row without columns over which they are computed. */
export function readValues(raw: Raw, child: Found, plan: PlanScope): Found {
  if (child.relation.kind !== 'values') return refuse('rows of values over a relation')
  const columns = listOf(raw, 'expr_types').map((type, i) =>
    plan.names.column(`col${i}`, 'column', readType(type)),
  )
  const scope = scopeOf(plan, child.columns)
  const rows = listOf(raw, 'expressions').map((row) => {
    if (!Array.isArray(row) || row.length !== columns.length) return refuse('a row of values')
    return row.map((value, i) => {
      const cell = objectOf(value, 'a value')
      checkType(columns[i]?.type, typeOf(cell))
      return readExpression(cell, scope)
    })
  })
  return { relation: { kind: 'values', columns, rows }, columns }
}
