import type { ItemKind } from './tables.ts'

/** A column of a scope: how to write it, and what it holds. */
export interface ScopeColumn {
  readonly name: string
  readonly kind: ItemKind
  /** The name of its source; absent for the one column of USING. */
  readonly source?: string | undefined
}

/** An output column. Its id stays while others are dropped, so that ORDER BY and GROUP BY can still mean it. */
export interface Item {
  readonly id: number
  readonly sql: string
  readonly kind: ItemKind
  readonly alias?: string | undefined
}

export type JoinType = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti'

export type Source =
  | {
      readonly kind: 'table'
      readonly name: string
      readonly alias?: string | undefined
      readonly columnAliases: readonly string[]
    }
  | {
      readonly kind: 'subquery'
      readonly query: GeneratedQuery
      readonly alias: string
      readonly lateral: boolean
    }
  /** Rows that are no table's: VALUES, unnest. */
  | { readonly kind: 'rows'; readonly sql: string; readonly alias: string }
  | {
      readonly kind: 'join'
      readonly type: JoinType
      readonly form: 'on' | 'using' | 'natural' | 'cross' | 'comma'
      readonly left: Source
      readonly right: Source
      readonly on: readonly string[]
      readonly using: readonly string[]
    }

export interface Grouping {
  readonly style: 'expressions' | 'ordinals' | 'aliases' | 'all' | 'rollup' | 'cube' | 'sets'
  /** Ids of the items that are grouped by. */
  readonly keys: readonly number[]
  /** Expressions that are grouped by and are no items. */
  readonly extra: readonly string[]
}

export interface OrderTerm {
  /** An item by its id, written as `style` says; or an expression. */
  readonly item?: number | undefined
  readonly style?: 'ordinal' | 'alias' | 'expression' | undefined
  readonly sql?: string | undefined
  readonly suffix: string
}

export interface GeneratedQuery {
  readonly ctes: readonly { readonly name: string; readonly query: GeneratedQuery }[]
  readonly distinct: boolean
  /** DISTINCT ON these expressions; ORDER BY then leaves no choice. */
  readonly distinctOn?: readonly string[] | undefined
  readonly items: readonly Item[]
  readonly from?: Source | undefined
  readonly where: readonly string[]
  readonly group?: Grouping | undefined
  readonly having: readonly string[]
  readonly qualify: readonly string[]
  readonly order: readonly OrderTerm[]
  readonly limit?: number | undefined
  readonly offset?: number | undefined
  /** True where each row of FROM that WHERE lets pass makes one row. */
  readonly byRow?: boolean | undefined
  readonly set?: { readonly operator: string; readonly right: GeneratedQuery } | undefined
}

export const plainQuery = (
  parts: Partial<GeneratedQuery> & Pick<GeneratedQuery, 'items'>,
): GeneratedQuery => ({
  ctes: [],
  distinct: false,
  where: [],
  having: [],
  qualify: [],
  order: [],
  ...parts,
})

/** Words that cannot stand as a name without quotes. */
const RESERVED: ReadonlySet<string> = new Set(['group', 'order', 'select'])

export const quoteName = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : `"${name}"`

export function queryText(query: GeneratedQuery): string {
  const ctes = query.ctes.map((c) => `${quoteName(c.name)} AS (${queryText(c.query)})`)
  const out = [ctes.length === 0 ? '' : `WITH ${ctes.join(', ')}`, selectText(query)]
  if (query.set !== undefined) out.push(query.set.operator, `(${queryText(query.set.right)})`)
  if (query.order.length > 0) {
    out.push(`ORDER BY ${query.order.map((term) => orderText(term, query)).join(', ')}`)
  }
  if (query.limit !== undefined) out.push(`LIMIT ${query.limit}`)
  if (query.offset !== undefined) out.push(`OFFSET ${query.offset}`)
  return out.filter((part) => part !== '').join(' ')
}

function selectText(query: GeneratedQuery): string {
  const items = query.items.map((item) =>
    item.alias === undefined ? item.sql : `${item.sql} AS ${quoteName(item.alias)}`,
  )
  const on = query.distinctOn === undefined ? '' : `DISTINCT ON (${query.distinctOn.join(', ')}) `
  const out = [`SELECT ${query.distinct ? 'DISTINCT ' : on}${items.join(', ')}`]
  if (query.from !== undefined) out.push(`FROM ${sourceText(query.from)}`)
  if (query.where.length > 0) out.push(`WHERE ${conjunction(query.where)}`)
  if (query.group !== undefined) out.push(`GROUP BY ${groupText(query.group, query)}`)
  if (query.having.length > 0) out.push(`HAVING ${conjunction(query.having)}`)
  if (query.qualify.length > 0) out.push(`QUALIFY ${conjunction(query.qualify)}`)
  return out.join(' ')
}

const conjunction = (parts: readonly string[]): string =>
  parts.length === 1 ? (parts[0] ?? '') : parts.map((p) => `(${p})`).join(' AND ')

function sourceText(source: Source): string {
  switch (source.kind) {
    case 'table': {
      const names =
        source.columnAliases.length === 0
          ? ''
          : `(${source.columnAliases.map(quoteName).join(', ')})`
      return source.alias === undefined ? source.name : `${source.name} AS ${source.alias}${names}`
    }
    case 'subquery':
      return `${source.lateral ? 'LATERAL ' : ''}(${queryText(source.query)}) AS ${source.alias}`
    case 'rows':
      return `${source.sql} AS ${source.alias}`
    case 'join':
      return joinText(source)
  }
}

function joinText(join: Extract<Source, { kind: 'join' }>): string {
  const left = sourceText(join.left)
  const right = join.right.kind === 'join' ? `(${sourceText(join.right)})` : sourceText(join.right)
  const words = join.type === 'inner' ? 'JOIN' : `${join.type.toUpperCase()} JOIN`
  switch (join.form) {
    case 'comma':
      return `${left}, ${right}`
    case 'cross':
      return `${left} CROSS JOIN ${right}`
    case 'natural':
      return `${left} NATURAL ${words} ${right}`
    case 'using':
      return `${left} ${words} ${right} USING (${join.using.map(quoteName).join(', ')})`
    case 'on':
      return `${left} ${words} ${right} ON ${join.on.length === 0 ? 'true' : conjunction(join.on)}`
  }
}

function groupText(group: Grouping, query: GeneratedQuery): string {
  if (group.style === 'all') return 'ALL'
  const keys = group.keys.map((id) => {
    const index = query.items.findIndex((item) => item.id === id)
    const item = query.items[index]
    if (group.style === 'ordinals') return String(index + 1)
    if (group.style === 'aliases' && item?.alias !== undefined) return quoteName(item.alias)
    return item?.sql ?? 'NULL'
  })
  const all = [...keys, ...group.extra]
  switch (group.style) {
    case 'rollup':
    case 'cube':
      return `${group.style.toUpperCase()} (${all.join(', ')})`
    case 'sets':
      // Each but the first alone, all, and none.
      return `GROUPING SETS (${[...all.slice(1).map((key) => `(${key})`), `(${all.join(', ')})`, '()'].join(', ')})`
    default:
      return all.join(', ')
  }
}

function orderText(term: OrderTerm, query: GeneratedQuery): string {
  if (term.item === undefined) return `${term.sql ?? 'NULL'} ${term.suffix}`.trim()
  const index = query.items.findIndex((item) => item.id === term.item)
  const item = query.items[index]
  const text =
    term.style === 'expression' && item !== undefined
      ? item.sql
      : term.style === 'alias' && item?.alias !== undefined
        ? quoteName(item.alias)
        : String(index + 1)
  return `${text} ${term.suffix}`.trim()
}

/** Which output columns the rows are ordered by, as far as ORDER BY names outputs; and whether that is all of them. */
export function orderOf(query: GeneratedQuery): {
  readonly columns: readonly number[]
  readonly total: boolean
} {
  const columns: number[] = []
  for (const term of query.order) {
    const index = query.items.findIndex((item) => item.id === term.item)
    // What comes after a term that is no output orders rows that cannot be told apart here.
    if (index < 0) break
    columns.push(index)
  }
  const named = query.order.map((term) => term.item)
  return { columns, total: query.items.every((item) => named.includes(item.id)) }
}
