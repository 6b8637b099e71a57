import type { EqualityDelete, RowDeletes } from '../table/manifest.ts'
import { typeText } from '../sql/sql-types.ts'
import type { DataFile } from './manifest-file.ts'
import type { TableMetadata } from './metadata.ts'
import { fromUri } from './table-files.ts'
import { type IcebergField, sqlTypeOf } from './types.ts'

/** A file of a snapshot, of data or of deletes, and what its manifest says of it. */
export interface PlacedFile {
  readonly file: DataFile
  readonly specId: number
  readonly sequenceNumber: bigint
}

/**
 * Which rows the delete files of a snapshot take out; undefined where it has none. A file that deletes by values is about
 * files that are older than itself, of its own partition, or of all where its partition spec has no fields. Pure; throws an
 * Error where one deletes by a column that no schema of the table has. `pathOf`: how a data file is called by queries.
 */
export function rowDeletes(
  {
    data,
    deletes,
  }: { readonly data: readonly PlacedFile[]; readonly deletes: readonly PlacedFile[] },
  table: { readonly metadata: TableMetadata; readonly fields: readonly IcebergField[] },
  pathOf: (file: DataFile) => string,
): RowDeletes | undefined {
  if (deletes.length === 0) return undefined
  const positions = deletes.filter(({ file }) => file.content === 1)
  const byValues = deletes.filter(({ file }) => file.content === 2)
  const scopes = new Map<string, number[]>()
  byValues.forEach((one, i) => {
    const key = isGlobal(one, table.metadata) ? EVERYWHERE : partitionKey(one)
    const scope = scopes.get(key)
    if (scope === undefined) scopes.set(key, [i])
    else scope.push(i)
  })
  const of = new Map<string, readonly number[]>()
  for (const one of data) {
    const near = [...(scopes.get(EVERYWHERE) ?? []), ...(scopes.get(partitionKey(one)) ?? [])]
    const later = near.filter((i) => (byValues[i]?.sequenceNumber ?? 0n) > one.sequenceNumber)
    if (later.length > 0)
      of.set(
        pathOf(one.file),
        later.toSorted((a, b) => a - b),
      )
  }
  return {
    positions: positions.map(({ file }) => fromUri(file.path)),
    equality: byValues.map(({ file }) => equalityDelete(file, table)),
    of,
  }
}

const EVERYWHERE = ''

const isGlobal = ({ specId }: PlacedFile, metadata: TableMetadata): boolean =>
  metadata['partition-specs'].some((spec) => spec['spec-id'] === specId && spec.fields.length === 0)

const partitionKey = ({ specId, file }: PlacedFile): string =>
  `${specId} ${JSON.stringify(file.partition, (_, value: unknown) =>
    typeof value === 'bigint' ? [String(value)] : value,
  )}`

function equalityDelete(
  file: DataFile,
  { metadata, fields }: Parameters<typeof rowDeletes>[1],
): EqualityDelete {
  const ids = file.equalityIds ?? []
  if (ids.length === 0) throw new Error(`"${file.path}" does not say by which columns it deletes`)
  return {
    path: fromUri(file.path),
    columns: ids.map((id) => {
      const field = fields.find((one) => one.id === id)
      if (field !== undefined) {
        return { id, name: field.name, type: typeText(sqlTypeOf(field.type)), isHidden: false }
      }
      const known = metadata.schemas.flatMap((schema) => schema.fields)
      const other = known.findLast((one) => one.id === id)
      if (other === undefined) {
        throw new Error(`"${file.path}" deletes by column ${id}, which the table does not have`)
      }
      // Its name may be that of another column by now.
      return { id, name: `$field${id}`, type: typeText(sqlTypeOf(other.type)), isHidden: true }
    }),
  }
}
