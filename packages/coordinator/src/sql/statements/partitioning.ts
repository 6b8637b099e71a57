import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { ColumnDefinition, PartitionTransform, SortColumn } from '../statement.ts'
import { parseColumn } from './column-definition.ts'

const EXAMPLE =
  'write a column, or year(c), month(c), day(c), hour(c), bucket(16, c) or truncate(4, c)'

/** Spellings of Spark, Impala and Trino. */
const TRANSFORMS: ReadonlyMap<string, PartitionTransform['transform']> = new Map([
  ['YEAR', 'year'],
  ['YEARS', 'year'],
  ['MONTH', 'month'],
  ['MONTHS', 'month'],
  ['DAY', 'day'],
  ['DAYS', 'day'],
  ['DATE', 'day'],
  ['HOUR', 'hour'],
  ['HOURS', 'hour'],
  ['DATE_HOUR', 'hour'],
  ['BUCKET', 'bucket'],
  ['TRUNCATE', 'truncate'],
  ['IDENTITY', 'identity'],
] as const)

export interface Partitioning {
  readonly transforms: readonly PartitionTransform[]
  /** Columns that are declared here, as Hive does; they come behind the others. */
  readonly columns: readonly ColumnDefinition[]
}

/** After PARTITIONED BY [SPEC], of a managed table: `(region, days(ts), bucket(16, id))`, or Hive's `(region STRING)`. */
export function parsePartitioning(cursor: Cursor): Partitioning {
  const columns: ColumnDefinition[] = []
  const transforms = cursor.list((): PartitionTransform => {
    const at = cursor.at
    if (cursor.isSymbol('(', 1)) return parseTransform(cursor)
    if (cursor.isSymbol(',', 1) || cursor.isSymbol(')', 1)) {
      return { transform: 'identity', argument: undefined, column: cursor.name('a column'), at }
    }
    const column = parseColumn(cursor)
    columns.push(column)
    return { transform: 'identity', argument: undefined, column: column.name, at }
  })
  return { transforms, columns }
}

function parseTransform(cursor: Cursor): PartitionTransform {
  const at = cursor.at
  const word = cursor.name(EXAMPLE)
  const transform = TRANSFORMS.get(word.toUpperCase())
  if (transform === undefined) {
    throw notSupported(cursor.script, at, `the transform "${word}" is not supported`, EXAMPLE)
  }
  cursor.expectSymbol('(')
  if (transform !== 'bucket' && transform !== 'truncate') {
    const column = cursor.name('a column')
    cursor.expectSymbol(')')
    return { transform, argument: undefined, column, at }
  }
  // Trino has the column first.
  const isFirst = cursor.peek()?.kind === 'number'
  let argument = isFirst ? cursor.integer('a number') : 0
  if (isFirst) cursor.expectSymbol(',')
  const column = cursor.name('a column')
  if (!isFirst) {
    cursor.expectSymbol(',')
    argument = cursor.integer('a number')
  }
  if (argument < 1) {
    throw notSupported(cursor.script, at, `${transform} of ${argument} is not supported`, EXAMPLE)
  }
  cursor.expectSymbol(')')
  return { transform, argument, column, at }
}

/** After SORT BY: `(a, b DESC NULLS LAST)`. Without a word NULLs come first, and last where the order is descending. */
export function parseSortBy(cursor: Cursor): readonly SortColumn[] {
  return cursor.list(() => {
    const at = cursor.at
    const column = cursor.name('a column')
    const descending = cursor.takeOneOf('ASC', 'DESC') === 'DESC'
    if (!cursor.takeWords('NULLS')) return { column, descending, nullsFirst: !descending, at }
    const place = cursor.takeOneOf('FIRST', 'LAST')
    if (place === undefined) throw cursor.error('write NULLS FIRST or NULLS LAST')
    return { column, descending, nullsFirst: place === 'FIRST', at }
  })
}
