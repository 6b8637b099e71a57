import { foldName } from '@nyala/metastore'
import { type PartitionValue, transformed } from '../../iceberg/partition-transform.ts'
import type { ManifestFile } from '../../table/manifest.ts'
import type { Scan } from '../scan.ts'
import type { Bound } from './bounds.ts'

/** True where no row of the file has this value of the column, as it would lie in another partition. */
export type PartitionTest = (value: Bound, file: ManifestFile) => boolean

/**
 * Tells files by the partitions of a managed table, which say more than bounds where rows are divided by a hash. Undefined
 * where the column, by the table's own name of it, divides nothing.
 */
export function partitionTest(scan: Scan, source: string): PartitionTest | undefined {
  const { layout } = scan
  if (layout === undefined) return undefined
  const fields = layout.fields.flatMap((field, index) =>
    field.source !== undefined && foldName(field.source.name) === foldName(source)
      ? [{ transform: field.transform, type: field.source.type, index }]
      : [],
  )
  if (fields.length === 0) return undefined
  // A query asks for the same few values of each file.
  const wanted = new Map<Bound, readonly (PartitionValue | undefined)[]>()
  return (value, { partition }) => {
    const found =
      wanted.get(value) ?? fields.map(({ transform, type }) => transformed(transform, type, value))
    wanted.set(value, found)
    return fields.some(({ index }, i) => {
      const own = layout.values[partition]?.[index]
      return own !== undefined && found[i] !== undefined && found[i] !== own
    })
  }
}
