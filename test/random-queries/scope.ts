import type { GeneratedQuery, Item, ScopeColumn, Source } from './query.ts'
import type { ItemKind } from './tables.ts'

/** Something to read from, by name. */
export interface Relation {
  readonly name: string
  readonly columns: readonly OutputColumn[]
  /** True where no two rows have one `id`. */
  readonly isKeyed?: boolean | undefined
  /** How many rows it has, roughly. */
  readonly rows: number
}

export interface OutputColumn {
  readonly name: string
  readonly kind: ItemKind
}

/** A FROM clause and what can be said over it. */
export interface Scoped {
  readonly source: Source
  readonly scope: readonly ScopeColumn[]
  /** Columns that together tell all rows apart; absent where none are known to. */
  readonly unique: readonly string[] | undefined
  readonly rows: number
}

export const scopeOf = (columns: readonly OutputColumn[], source: string): readonly ScopeColumn[] =>
  columns.map(({ name, kind }) => ({ name, kind, source }))

/** The query with an alias for each column that would be hard to write by the name that it has. */
export const named = (query: GeneratedQuery): GeneratedQuery => ({
  ...query,
  items: query.items.map((item, i) =>
    item.alias === undefined && nameOf(item) === undefined ? { ...item, alias: `u${i}` } : item,
  ),
})

/** The name of an output column that is an alias or a column; undefined for an expression. */
function nameOf(item: Item): string | undefined {
  if (item.alias !== undefined) return item.alias
  const column = /^(?:[a-z]\w*\.)?(?:"(\w+)"|([A-Za-z_]\w*))$/.exec(item.sql)
  const name = column?.[1] ?? column?.[2]
  return name === undefined || /^(true|false|null)$/i.test(name) ? undefined : name
}

/** The columns that a query gives to whoever reads from it: those with a name that can be written. */
export const outputColumns = (query: GeneratedQuery): readonly OutputColumn[] => {
  const columns = query.items.flatMap((item) => {
    const name = nameOf(item)
    return name === undefined ? [] : [{ name, kind: item.kind }]
  })
  const fold = (name: string): string => name.toLowerCase()
  return columns.filter((c) => columns.filter((d) => fold(d.name) === fold(c.name)).length === 1)
}

export const sharedNames = (
  left: readonly ScopeColumn[],
  right: readonly ScopeColumn[],
): readonly string[] => [
  ...new Set(left.map((c) => c.name).filter((name) => right.some((d) => d.name === name))),
]

/** False where NATURAL would compare columns of one name and different kinds. */
export const isComparable = (
  left: readonly ScopeColumn[],
  right: readonly ScopeColumn[],
): boolean =>
  left.every((c) =>
    right.every((d) => c.name.toLowerCase() !== d.name.toLowerCase() || c.kind === d.kind),
  )

/** Without merged columns that another source has too: their name alone would be ambiguous. */
export const unmerged = (scope: readonly ScopeColumn[]): readonly ScopeColumn[] =>
  scope.filter((c) => c.source !== undefined || scope.filter((d) => d.name === c.name).length === 1)

/** A column that USING merged is known by its name alone. */
export const withoutNames = (
  scope: readonly ScopeColumn[],
  names: readonly string[],
): readonly ScopeColumn[] => scope.filter((c) => c.source === undefined || !names.includes(c.name))
