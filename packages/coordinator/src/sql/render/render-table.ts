import { assert, unreachable } from '@nyala/client/base'
import { quoteIdentifier, quotePath } from '../escape.ts'
import type {
  BaseTable,
  Expression,
  Join,
  Pivot,
  PivotColumn,
  PivotEntry,
  Sample,
  TableRef,
} from '../ir.ts'
import type { Layout } from './layout.ts'
import { renderCallOf, renderItem, renderRows } from './render-parts.ts'

/** What stands in FROM. Chains of joins lean to the left; any other join is in parentheses. */
export function renderTable(table: TableRef, layout: Layout): string {
  switch (table.kind) {
    case 'table':
      return `${renderName(table)}${name(table)}${asOf(table, layout)}${sampleOf(table)}`
    case 'subquery':
      return `${layout.subquery(table.query)}${tail(table)}`
    case 'join':
      return renderJoin(table, layout, true)
    case 'tableFunction': {
      const ordinality = table.withOrdinality ? ' WITH ORDINALITY' : ''
      return `${renderCallOf(table.call, layout)}${ordinality}${tail(table)}`
    }
    case 'values':
      return `(${renderRows(table, layout)})${tail(table)}`
    case 'pivot':
      return `${renderPivot(table, layout)}${tail(table)}`
    default:
      return unreachable(table)
  }
}

const renderName = (table: BaseTable): string =>
  quotePath([table.catalog, table.schema, table.table].filter((part) => part !== undefined))

/** Alias, column aliases and sample, which all references but joins may have. */
const tail = (table: TableRef): string => `${name(table)}${sampleOf(table)}`

function name({ alias, columnAliases }: TableRef): string {
  assert(alias !== undefined || columnAliases.length === 0, 'column aliases need an alias')
  if (alias === undefined) return ''
  const columns = columnAliases.map(quoteIdentifier).join(', ')
  return ` AS ${quoteIdentifier(alias)}${columns === '' ? '' : `(${columns})`}`
}

const sampleOf = ({ sample }: TableRef): string =>
  sample === undefined ? '' : ` TABLESAMPLE ${renderSample(sample)}`

function asOf(table: BaseTable, layout: Layout): string {
  if (table.asOf === undefined) return ''
  return ` AT (${table.asOf.unit.toUpperCase()} => ${layout.expression(table.asOf.value)})`
}

/** `reservoir(20 ROWS) REPEATABLE (3)`. */
export function renderSample(sample: Sample): string {
  const { size, percent, method, seed } = sample
  assert(typeof size.value === 'string', 'a sample has a size')
  const count = percent ? `${size.value} PERCENT` : `${size.value} ROWS`
  return `${method}(${count})${seed === undefined ? '' : ` REPEATABLE (${seed})`}`
}

const FORMS: Readonly<Record<Join['form'], string>> = {
  regular: '',
  natural: 'NATURAL ',
  asof: 'ASOF ',
  cross: 'CROSS ',
  positional: 'POSITIONAL ',
}

/**
 * A PIVOT cannot be in parentheses and, after JOIN, would apply to the whole join. So it follows a comma
 * where the comma list allows it, and is a subquery elsewhere.
 */
function renderJoin(join: Join, layout: Layout, isInCommaList: boolean): string {
  assert(join.alias === undefined && join.sample === undefined, 'a join has no alias and no sample')
  const isComma = isInCommaList && join.form === 'cross' && join.right.kind === 'pivot'
  const left =
    join.left.kind === 'join'
      ? renderJoin(join.left, layout, isComma)
      : renderTable(join.left, layout)
  if (isComma) return `${left},${layout.line}${renderTable(join.right, layout)}`
  const type = join.type === 'inner' ? '' : `${join.type.toUpperCase()} `
  const operator = `${FORMS[join.form]}${type}JOIN`
  return `${left}${layout.line}${operator} ${rightOperand(join.right, layout)}${on(join, layout)}`
}

function rightOperand(table: TableRef, layout: Layout): string {
  if (table.kind === 'join') return `(${renderJoin(table, layout, false)})`
  if (table.kind !== 'pivot') return renderTable(table, layout)
  return `(SELECT * FROM ${renderPivot(table, layout)})${tail(table)}`
}

function on(join: Join, layout: Layout): string {
  const takesCondition = join.form === 'regular' || join.form === 'asof'
  const { condition, using } = join
  assert(!(condition !== undefined && using.length > 0), 'a join has ON or USING, not both')
  const has = condition !== undefined || using.length > 0
  assert(takesCondition === has, () => `condition of a ${join.form} join`)
  if (using.length > 0) return ` USING (${using.map(quoteIdentifier).join(', ')})`
  return condition === undefined ? '' : ` ON ${layout.expression(condition)}`
}

function renderPivot(pivot: Pivot, layout: Layout): string {
  const isUnpivot = pivot.unpivotNames.length > 0
  const source = renderTable(pivot.source, layout)
  const from = pivot.source.kind === 'join' ? `(${source})` : source
  const columns = pivot.columns.map((column) => renderPivotColumn(column, layout)).join(' ')
  if (isUnpivot) {
    const nulls = pivot.includeNulls ? ' INCLUDE NULLS' : ''
    return `${from} UNPIVOT${nulls} (${nameList(pivot.unpivotNames)} FOR ${columns})`
  }
  const aggregates = pivot.aggregates.map((item) => renderItem(item, layout)).join(', ')
  const groups =
    pivot.groups.length === 0 ? '' : ` GROUP BY ${pivot.groups.map(quoteIdentifier).join(', ')}`
  return `${from} PIVOT (${aggregates} FOR ${columns}${groups})`
}

function renderPivotColumn(column: PivotColumn, layout: Layout): string {
  const names =
    column.unpivotNames.length > 0
      ? nameList(column.unpivotNames)
      : one(column.expressions.map((e) => layout.expression(e)))
  const isUnpivot = column.unpivotNames.length > 0
  const entries = column.entries.map((entry) => renderEntry(entry, isUnpivot, layout))
  return `${names} IN (${entries.join(', ')})`
}

function renderEntry(entry: PivotEntry, isUnpivot: boolean, layout: Layout): string {
  const value = (e: Expression): string =>
    isUnpivot && e.kind === 'constant' && typeof e.value === 'string'
      ? quoteIdentifier(e.value)
      : layout.expression(e)
  const text =
    entry.star === undefined ? one(entry.values.map(value)) : layout.expression(entry.star)
  return entry.alias === undefined ? text : `${text} AS ${quoteIdentifier(entry.alias)}`
}

const one = (texts: readonly string[]): string =>
  texts.length === 1 ? (texts[0] ?? '') : `(${texts.join(', ')})`

const nameList = (names: readonly string[]): string => one(names.map(quoteIdentifier))
