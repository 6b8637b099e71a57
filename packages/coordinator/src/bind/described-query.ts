import { foldName } from '@nyala/metastore'
import { quoteIdentifier } from '../sql/escape.ts'
import type { BaseTable, Query } from '../sql/ir.ts'
import { mapTree } from '../sql/ir/tree.ts'
import type { TableVersion } from './resolve.ts'

/** The schema of the mirror where relations stand for tables as they were. */
const VERSIONS_SCHEMA = '$versions'

/** By which names the mirror knows a reference. */
export const mirroredName = (
  ref: BaseTable,
  database: string,
  version: TableVersion | undefined,
): readonly [database: string, name: string] =>
  version === undefined
    ? [database, ref.table]
    : [VERSIONS_SCHEMA, `${foldName(database)}.${foldName(ref.table)}@${version.snapshot ?? ''}`]

/** The user's query with relations of the mirror in the place of tables at a snapshot. */
export interface DescribedQuery {
  readonly query: Query
  /** A name that the kernel makes of the text of an expression, with the user's names of these tables. */
  nameOf(text: string): string
}

/** Undefined where no table of the query is named at a snapshot. */
export function describedVersions(
  query: Query,
  versions: ReadonlyMap<BaseTable, TableVersion>,
  database: string,
): DescribedQuery | undefined {
  if (versions.size === 0) return undefined
  const shown: (readonly [mirrored: string, own: string])[] = []
  const described = mapTree(query, (node) => {
    const ref = node as BaseTable
    const version = node.kind === 'table' ? versions.get(ref) : undefined
    if (version === undefined) return undefined
    const [schema, table] = mirroredName(ref, ref.schema ?? database, version)
    const { asOf: _asOf, catalog: _catalog, ...rest } = ref
    const mirrored = `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
    const own = shownIdentifier(ref.table)
    shown.push([ref.alias === undefined ? `${mirrored} AS ${own}` : mirrored, own])
    return { ...rest, schema, table, alias: ref.alias ?? ref.table }
  })
  return {
    query: described,
    nameOf: (text) => shown.reduce((name, [mirrored, own]) => name.replaceAll(mirrored, own), text),
  }
}

/** As the kernel writes a name in a text of its own. */
const shownIdentifier = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteIdentifier(name)
