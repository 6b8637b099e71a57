import nodeSqlParser from 'node-sql-parser/build/postgresql.js'
import type { Expression, Query } from '../ir.ts'
import { walkQuery } from './walk.ts'

/**
 * What two independent readers of one query can be compared by: the tables and columns it names, with
 * repetitions, and the names of its select list. Names are in lower case, lists sorted; USING is left out.
 */
export interface QueryShape {
  readonly tables: readonly string[]
  readonly columns: readonly string[]
  /** Of the first SELECT: an alias, the name of a column, `*`, or `?` for any other expression. */
  readonly items: readonly string[]
}

export type Difference = 'refused' | 'tables' | 'columns' | 'items'

/** What our tree says. */
export function shapeOfQuery(query: Query): QueryShape {
  const tables: string[] = []
  const columns: string[] = []
  walkQuery(query, {
    table(r) {
      if (r.kind === 'table') tables.push(nameOf([r.catalog, r.schema, r.table]))
    },
    expression(e) {
      if (e.kind === 'column') columns.push(nameOf(e.path))
    },
  })
  return { tables: tables.toSorted(), columns: columns.toSorted(), items: itemsOf(query) }
}

const nameOf = (path: readonly (string | undefined)[]): string =>
  path
    .filter((part) => part !== undefined)
    .join('.')
    .toLowerCase()

function itemsOf(query: Query): readonly string[] {
  if (query.kind === 'setOperation') return itemsOf(query.left)
  return query.items.map(({ alias, expression }) => (alias ?? itemName(expression)).toLowerCase())
}

function itemName(e: Expression): string {
  if (e.kind === 'column') return e.path.at(-1) ?? '?'
  return e.kind === 'star' && !e.columns ? '*' : '?'
}

/** What node-sql-parser says, or undefined where it refuses the text. */
export function readWithSecondReader(sql: string): QueryShape | undefined {
  let ast: unknown
  try {
    ast = new nodeSqlParser.Parser().astify(sql, { database: 'postgresql' })
  } catch (error) {
    // Its grammar reports by exceptions of its own class; anything else is a defect of this module.
    if (error instanceof Error && error.name === 'SyntaxError') return undefined
    throw error
  }
  const statements: readonly unknown[] = Array.isArray(ast) ? ast : [ast]
  if (statements.length !== 1) return undefined
  const tables: string[] = []
  const columns: string[] = []
  collect(statements[0], tables, columns)
  return {
    tables: tables.toSorted(),
    columns: columns.toSorted(),
    items: secondItems(statements[0]),
  }
}

type Raw = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Visits the whole tree; its own lists of tables and columns are known to be incomplete. */
function collect(node: unknown, tables: string[], columns: string[]): void {
  if (Array.isArray(node)) {
    for (const child of node) collect(child, tables, columns)
    return
  }
  if (!isObject(node)) return
  if (node['type'] === 'column_ref') {
    const path = columnPath(node)
    if (path.at(-1) !== '*') columns.push(nameOf(path))
  }
  // A joined table in parentheses is a list of tables inside FROM.
  const list = node['type'] === 'tables' ? node['expr'] : node['from']
  for (const table of Array.isArray(list) ? (list as readonly unknown[]) : []) {
    if (isObject(table) && typeof table['table'] === 'string') {
      tables.push(nameOf([text(table['db']), text(table['schema']), table['table']]))
    }
  }
  const isCte = 'stmt' in node
  for (const [key, child] of Object.entries(node)) {
    const isNoReference =
      key === 'tableList' || key === 'columnList' || (isCte && key === 'columns')
    if (!isNoReference) collect(child, tables, columns)
  }
}

/** A name is a text, or an object that holds one, in several wrappings. */
function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!isObject(value)) return undefined
  return text(value['value']) ?? text(value['expr'])
}

const columnPath = (node: Raw): readonly string[] =>
  [text(node['schema']), text(node['table']), text(node['column'])].filter(
    (part) => part !== undefined,
  )

function secondItems(ast: unknown): readonly string[] {
  const items = isObject(ast) ? ast['columns'] : undefined
  if (!Array.isArray(items)) return items === '*' ? ['*'] : []
  return items.map((item: unknown) => {
    if (!isObject(item)) return '?'
    const alias = text(item['as'])
    const expression = item['expr']
    const isColumn = isObject(expression) && expression['type'] === 'column_ref'
    return (alias ?? (isColumn ? columnPath(expression).at(-1) : undefined) ?? '?').toLowerCase()
  })
}

/** In which respects the two shapes differ. */
export function differencesOf(
  ours: QueryShape,
  second: QueryShape | undefined,
): readonly Difference[] {
  if (second === undefined) return ['refused']
  const keys = ['tables', 'columns', 'items'] as const
  return keys.filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(second[key]))
}
