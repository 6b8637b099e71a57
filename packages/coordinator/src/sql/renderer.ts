import type { Expression, Query, TableRef } from './ir.ts'
import { Layout, type Renderers } from './render/layout.ts'
import { renderExpression as writeExpression } from './render/render-expression.ts'
import { renderQuery as writeQuery } from './render/render-query.ts'
import { renderTable as writeTable } from './render/render-table.ts'

export interface RenderOptions {
  /** `compact` is one line, for the kernel; `readable` breaks lines at clauses, for people. */
  readonly layout?: 'compact' | 'readable'
}

const RENDERERS: Renderers = { expression: writeExpression, query: writeQuery }

const layoutOf = (options: RenderOptions): Layout =>
  new Layout(options.layout === 'readable', RENDERERS)

/** A query as SQL of DuckDB: every operator in parentheses, every name quoted. */
export const renderQuery = (query: Query, options: RenderOptions = {}): string =>
  writeQuery(query, layoutOf(options))

export const renderExpression = (expression: Expression, options: RenderOptions = {}): string =>
  writeExpression(expression, layoutOf(options))

/** What may stand in FROM. */
export const renderTableRef = (table: TableRef, options: RenderOptions = {}): string =>
  writeTable(table, layoutOf(options))
