import { type Infer, s } from '@nyala/client/base'
import { type Column, column, SqlError } from '@nyala/client/protocol'
import { fileStatistics, type ListedFile, type Listing } from '@nyala/executor/protocol'
import { foldName } from '@nyala/metastore'
import type { PartitionLayout } from '../iceberg/partition-layout.ts'

/**
 * The immutable list of a table's files as they were at one CREATE, REFRESH or RECOVER PARTITIONS. The table's head
 * in etcd points at it by path and checksum; a query reads exactly the manifest that its snapshot names, so a file
 * that comes or goes later does not change what a running query sees.
 */
export const manifestFile = s.object({
  /** Relative to `location`. */
  path: s.string,
  bytes: s.natural,
  modifiedMs: s.number,
  rows: s.natural,
  rowGroups: s.array(s.object({ rows: s.natural, bytes: s.natural })),
  /** Index into `schemas`. */
  schema: s.natural,
  /** By the columns of the schema; absent in manifests of before, and where footers say nothing. */
  statistics: s.optional(fileStatistics),
  /** Index into `partitions`; 0 where the table has no partition columns. */
  partition: s.natural,
})
export type ManifestFile = Infer<typeof manifestFile>

export const manifest = s.object({
  format: s.literal(1),
  location: s.string,
  partitionColumns: s.array(s.string),
  /** The distinct physical schemas of the files. */
  schemas: s.array(s.array(column)),
  /** The distinct tuples of partition values, as text; null is SQL NULL. One empty tuple where there are no columns. */
  partitions: s.array(s.array(s.nullable(s.string))),
  files: s.array(manifestFile),
})
/** A file whose rows say which rows of others are deleted: those that have the same values, NULL like any other. */
export interface EqualityDelete {
  /** Absolute. */
  readonly path: string
  /**
   * What is compared, as the table calls it now; ids are those of the fields in the files. Hidden ones are columns that the
   * table has no more, or not yet: they are in its files only.
   */
  readonly columns: readonly (Column & { readonly id: number; readonly isHidden: boolean })[]
}

export interface RowDeletes {
  /** Absolute paths of files that name rows by path and place. */
  readonly positions: readonly string[]
  readonly equality: readonly EqualityDelete[]
  /** By the path of a data file, as the manifest has it, the numbers of those of `equality` that it is subject to. */
  readonly of: ReadonlyMap<string, readonly number[]>
}

export interface Manifest extends Infer<typeof manifest> {
  /** Of a managed table: its partitions, whose columns are in the files like any other. Absent where it has none. */
  readonly layout?: PartitionLayout | undefined
  /** Of a table of another engine: which rows of its files are deleted. */
  readonly deletes?: RowDeletes | undefined
  /** Of a managed table: the field ids of its columns, where its files must be read by these. */
  readonly fieldIds?: readonly number[] | undefined
  /** Names of the columns that some of its files may have with a narrower type. */
  readonly retyped?: ReadonlySet<string> | undefined
  /** Of a managed table whose files are not all here, as a query asks nothing of the others. */
  readonly skipped?: SkippedManifests | undefined
}

/** How many manifests of a table's snapshot were read, of how many, and how many files they name together. */
export interface SkippedManifests {
  readonly read: number
  readonly total: number
  readonly filesTotal: number
}

/** The manifest of a listing. Fails with `schema_mismatch` when a file does not lie under the partition directories. */
export function manifestOf(listing: Listing, partitionColumns: readonly string[]): Manifest {
  const ordinals = new Map<string, number>()
  const partitions: (readonly (string | null)[])[] = []
  const ordinalOf = (values: readonly (string | null)[]): number => {
    const key = JSON.stringify(values)
    const known = ordinals.get(key)
    if (known !== undefined) return known
    ordinals.set(key, partitions.length)
    partitions.push(values)
    return partitions.length - 1
  }
  if (partitionColumns.length > 0) checkDirectories(listing, partitionColumns)
  const files = listing.files.map((file) => ({
    path: relativePath(listing.location, file.path),
    bytes: file.bytes,
    modifiedMs: file.modifiedMs,
    rows: file.rows,
    rowGroups: file.rowGroups,
    schema: file.schema,
    ...(file.statistics === undefined ? {} : { statistics: file.statistics }),
    partition: ordinalOf(partitionValues(file, partitionColumns)),
  }))
  return {
    format: 1,
    location: listing.location,
    partitionColumns,
    schemas: listing.schemas,
    partitions,
    files,
  }
}

/**
 * Where partition values are read from paths, the kernel takes every directory `key=value` for a column, also those
 * above the table's location, and lets it win over a column of the file.
 */
function checkDirectories(listing: Listing, partitionColumns: readonly string[]): void {
  const partitions = new Set(partitionColumns.map(foldName))
  const above = directoryKeys(listing.location)
  for (const file of listing.files) {
    const own = new Set((listing.schemas[file.schema] ?? []).map((c) => foldName(c.name)))
    const below = directoryKeys(
      file.path.slice(listing.location.length, file.path.lastIndexOf('/')),
    )
    const wrong =
      above.find(({ key }) => own.has(key) || partitions.has(key)) ??
      below.find(({ key }) => own.has(key) && !partitions.has(key))
    if (wrong === undefined) continue
    throw new SqlError(
      'schema_mismatch',
      `directory "${wrong.directory}" of file "${file.path}" has the name of a column`,
      { hint: 'rename the directory, or declare the column in PARTITIONED BY' },
    )
  }
}

const directoryKeys = (
  path: string,
): readonly { readonly directory: string; readonly key: string }[] =>
  path.split('/').flatMap((directory) => {
    const key = /^([^=]+)=/.exec(directory)?.[1]
    return key === undefined ? [] : [{ directory, key: foldName(key) }]
  })

function partitionValues(file: ListedFile, columns: readonly string[]): readonly (string | null)[] {
  return columns.map((name) => {
    const found = file.partition.find((entry) => foldName(entry.key) === foldName(name))
    if (found !== undefined) return found.value
    throw new SqlError(
      'schema_mismatch',
      `file "${file.path}" does not lie under a directory "${name}=<value>"`,
      { hint: 'move it under its partition directory, or out of the location of the table' },
    )
  })
}

function relativePath(location: string, path: string): string {
  const prefix = location.endsWith('/') ? location : `${location}/`
  return path.startsWith(prefix) ? path.slice(prefix.length) : path
}

/** The path to open a file of a manifest by. */
export const absolutePath = (location: string, path: string): string =>
  path.startsWith('/') ? path : `${location.replace(/\/$/, '')}/${path}`

export const totalRows = (files: readonly { readonly rows: number }[]): number =>
  files.reduce((sum, file) => sum + file.rows, 0)

export const totalBytes = (files: readonly { readonly bytes: number }[]): number =>
  files.reduce((sum, file) => sum + file.bytes, 0)

/** The columns of a file's schema without those that are partition columns, which come from the path. */
export function dataColumns(
  schema: readonly Column[],
  partitionColumns: readonly { readonly name: string }[],
): readonly Column[] {
  const taken = new Set(partitionColumns.map((c) => foldName(c.name)))
  return schema.filter((c) => !taken.has(foldName(c.name)))
}
