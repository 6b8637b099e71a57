import { type Column, SqlError } from '@nyala/client/protocol'
import type { Listing } from '@nyala/executor/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import { canWidenText } from './widening.ts'

/** The directory of LOCATION as a path. Fails with `feature_not_supported` for stores that cannot be read. */
export function locationPath(location: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]
  if (scheme !== undefined && scheme.toLowerCase() !== 'file') {
    throw new SqlError(
      'feature_not_supported',
      `location "${location}" is on ${scheme}, which cannot be read`,
      {
        hint: 'use a directory of a local or mounted file system',
      },
    )
  }
  const path = scheme === undefined ? location : location.slice('file://'.length)
  if (!path.startsWith('/')) {
    throw new SqlError(
      'invalid_parameter_value',
      `location "${location}" is not an absolute path`,
      {
        hint: 'write it from the root of the file system, starting with /',
      },
    )
  }
  return path
}

/** Fails with `duplicate_column` where two columns differ in case at most. */
export function checkDistinct(columns: readonly { readonly name: string }[]): void {
  const seen = new Set<string>()
  for (const { name } of columns) {
    if (seen.has(foldName(name))) {
      throw new SqlError('duplicate_column', `column "${name}" is there more than once`, {
        hint: 'names of columns, partition columns included, must differ in more than case',
      })
    }
    seen.add(foldName(name))
  }
}

/**
 * Fails with `schema_mismatch`, naming file and column, where a file has a column that cannot be read as its declared
 * type. A column that a file lacks reads as NULL; one that the table does not declare is not read.
 */
export function checkSchemas(listing: Listing, columns: readonly ColumnRecord[]): void {
  listing.schemas.forEach((schema, index) => {
    const wrong = mismatch(schema, columns)
    if (wrong === undefined) return
    const file = listing.files.find((f) => f.schema === index)?.path ?? 'unknown'
    throw new SqlError(
      'schema_mismatch',
      `column "${wrong.column.name}" has type ${wrong.found} in file "${file}", which cannot be read as ${wrong.column.type}`,
      { hint: `declare the column as ${wrong.found}, or write the file anew` },
    )
  })
}

function mismatch(
  schema: readonly Column[],
  columns: readonly ColumnRecord[],
): { readonly column: ColumnRecord; readonly found: string } | undefined {
  const physical = new Map(schema.map((c) => [foldName(c.name), c.type]))
  for (const column of columns) {
    const found = physical.get(foldName(column.name))
    if (found !== undefined && !canWidenText(found, column.type)) return { column, found }
  }
  return undefined
}

/**
 * Columns of a table whose files are to say what they are: those of all files, in order of first appearance, each as
 * the widest of its types. Fails with `schema_mismatch` where no type holds all.
 */
export function inferColumns(listing: Listing): readonly ColumnRecord[] {
  const merged = new Map<string, ColumnRecord>()
  listing.schemas.forEach((schema, index) => {
    for (const column of schema) {
      const known = merged.get(foldName(column.name))
      const wider = known === undefined || canWidenText(known.type, column.type)
      const narrower = known !== undefined && canWidenText(column.type, known.type)
      // Text and bytes can be read as each other; writers that leave the annotation out mean text.
      if (wider && !(narrower && known.type.includes('VARCHAR'))) {
        merged.set(foldName(column.name), { name: known?.name ?? column.name, type: column.type })
      } else if (!wider && !narrower) {
        const file = listing.files.find((f) => f.schema === index)?.path ?? 'unknown'
        throw new SqlError(
          'schema_mismatch',
          `column "${column.name}" has type ${column.type} in file "${file}" and ${known.type} in another`,
          { hint: 'list the columns with their types in CREATE EXTERNAL TABLE' },
        )
      }
    }
  })
  return [...merged.values()]
}
