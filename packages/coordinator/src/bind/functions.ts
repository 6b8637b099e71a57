import type { ColumnRef, FunctionCall, TableFunction } from '../sql/ir.ts'
import { someNode } from '../sql/ir/tree.ts'

/** Table functions that read nothing but their arguments. */
const PURE_TABLE_FUNCTIONS: ReadonlySet<string> = new Set([
  'range',
  'generate_series',
  'unnest',
  'repeat',
  'repeat_row',
  'generate_subscripts',
  'json_each',
  'json_tree',
  'regexp_split_to_table',
  'string_split_table',
])

/** Table functions whose first argument is a path, a glob or a list of them, by what their files are. */
const FILE_FUNCTIONS: Readonly<Record<string, 'parquet' | 'other'>> = {
  read_parquet: 'parquet',
  parquet_scan: 'parquet',
  parquet_metadata: 'parquet',
  parquet_schema: 'parquet',
  parquet_file_metadata: 'parquet',
  parquet_kv_metadata: 'parquet',
  read_csv: 'other',
  read_csv_auto: 'other',
  read_json: 'other',
  read_json_auto: 'other',
  read_ndjson: 'other',
  read_ndjson_auto: 'other',
  read_json_objects: 'other',
  read_text: 'other',
  read_blob: 'other',
  glob: 'other',
}

export type TableFunctionUse = 'pure' | 'parquet' | 'other' | 'refused'

export function tableFunctionUse(ref: TableFunction): TableFunctionUse {
  const name = ref.call.name.toLowerCase()
  if (PURE_TABLE_FUNCTIONS.has(name)) return 'pure'
  return Object.hasOwn(FILE_FUNCTIONS, name) ? (FILE_FUNCTIONS[name] ?? 'refused') : 'refused'
}

export const ALLOWED_TABLE_FUNCTIONS: readonly string[] = [
  ...PURE_TABLE_FUNCTIONS,
  ...Object.keys(FILE_FUNCTIONS),
]

/** What the kernel says of its functions, read once at start, so that no list of ours can fall behind it. */
export interface KernelFunctions {
  readonly aggregates: ReadonlySet<string>
  /** Those whose value differs between two calls, queries or tasks: a query that has one runs in one place. */
  readonly unrepeatable: ReadonlySet<string>
}

/** Known to the kernel's grammar rather than to its list of functions, or macros over such. */
const MORE_UNREPEATABLE = [
  'current_timestamp',
  'localtime',
  'localtimestamp',
  'current_time',
  'age',
  'ago',
]

/** `rows`: name, type, stability and macro text of each function of the kernel. */
export function kernelFunctions(
  rows: readonly {
    readonly name: string
    readonly type: string
    readonly stability: string
    readonly definition: string
  }[],
): KernelFunctions {
  const aggregates = new Set(['count_star'])
  const unrepeatable = new Set(MORE_UNREPEATABLE)
  for (const row of rows) {
    if (row.type === 'aggregate') aggregates.add(row.name)
    if (row.stability !== 'CONSISTENT' && row.type === 'scalar') unrepeatable.add(row.name)
  }
  for (const row of rows) {
    if (row.type !== 'macro') continue
    const called = [...row.definition.matchAll(/([a-z_][a-z0-9_]*)\s*\(/gi)].map((m) => m[1] ?? '')
    if (called.some((name) => aggregates.has(name))) aggregates.add(row.name)
    if (called.some((name) => unrepeatable.has(name))) unrepeatable.add(row.name)
  }
  // It has no value that could differ; the kernel says so of it lest it be computed too early.
  unrepeatable.delete('error')
  return { aggregates, unrepeatable }
}

/** The time of day as SQL writes it, without parentheses: a column to the parser, unless a table has one. */
const TIME_WORDS: ReadonlySet<string> = new Set([
  'current_date',
  'current_time',
  'current_timestamp',
  'localtime',
  'localtimestamp',
])

export const isUnrepeatable = (tree: unknown, functions: KernelFunctions): boolean =>
  someNode(tree, (node) => {
    if (node.kind === 'column') {
      const { path } = node as ColumnRef
      return path.length === 1 && TIME_WORDS.has((path[0] ?? '').toLowerCase())
    }
    return (
      (node.kind === 'function' || node.kind === 'window') &&
      functions.unrepeatable.has((node as FunctionCall).name.toLowerCase())
    )
  })

export const isAggregate = (call: FunctionCall, functions: KernelFunctions): boolean =>
  call.distinct ||
  call.filter !== undefined ||
  call.orderBy.length > 0 ||
  functions.aggregates.has(call.name.toLowerCase())
