import type { Column } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import {
  absolutePath,
  type EqualityDelete,
  type Manifest,
  type ManifestFile,
} from '../table/manifest.ts'
import type { TableStatistics } from '../table/statistics.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'

/** Columns that tell where a row lies: the path of its file, and its place in it from 0. */
export const FILE_COLUMN = '$file'
export const ROW_COLUMN = '$row'
export const PLACE_COLUMNS: readonly ColumnRecord[] = [
  { name: FILE_COLUMN, type: 'VARCHAR' },
  { name: ROW_COLUMN, type: 'BIGINT' },
]

/** One use of a table in a query: the files that are left after pruning, and how to read each as the declared columns. */
export interface Scan {
  /** Number within the query; the same table used twice is two scans. */
  readonly id: number
  readonly database: string
  readonly table: string
  /** The name that the query knows it by. */
  readonly alias: string
  readonly location: string
  readonly columns: readonly ColumnRecord[]
  readonly partitionColumns: readonly ColumnRecord[]
  readonly schemas: readonly (readonly Column[])[]
  readonly files: readonly ManifestFile[]
  /** Of files of which only some row groups can matter, the numbers of those. Reading all of them is no error. */
  readonly rowGroupsLeft?: ReadonlyMap<ManifestFile, readonly number[]> | undefined
  /** The values of the table's partitions, by the number that each file has. */
  readonly partitions?: Manifest['partitions'] | undefined
  /** Its columns end in {@link PLACE_COLUMNS}. */
  readonly places?: boolean | undefined
  /** Which rows of the files are deleted. */
  readonly deletes?: Manifest['deletes']
  /** Of a managed table that is partitioned. */
  readonly layout?: Manifest['layout']
  /** By which a managed table's files must be read, where their columns may have other names or places. */
  readonly fieldIds?: Manifest['fieldIds']
  readonly retyped?: Manifest['retyped']
  /** Of a managed table, where not all of its manifests were read: then its row groups and partitions are not all known. */
  readonly skipped?: Manifest['skipped']
  /** What COMPUTE STATS found, and whether the table has been listed anew since. */
  readonly statistics?: { readonly found: TableStatistics; readonly stale: boolean } | undefined
  /** Files and row groups of the table before pruning. */
  readonly filesTotal: number
  readonly rowGroupsTotal?: number | undefined
  readonly partitionsTotal: number
  readonly partitionsLeft: number
}

/** A part of a file: all of it, or the rows of some row groups that follow each other. */
export interface Split {
  readonly file: ManifestFile
  /** First row and number of rows; absent for the whole file. */
  readonly range?: { readonly first: number; readonly rows: number } | undefined
  readonly bytes: number
}

export const wholeFiles = (files: readonly ManifestFile[]): readonly Split[] =>
  files.map((file) => ({ file, bytes: file.bytes }))

/** All columns of a scan in the order of `SELECT *`. */
export const scanColumns = (scan: Scan): readonly ColumnRecord[] => [
  ...scan.columns,
  ...scan.partitionColumns,
]

/**
 * The relation that a scan reads, as SQL without an alias: one `read_parquet` over an explicit list of paths for each
 * distinct physical schema, so that missing and widened columns are cast to what the table declares, and one for each
 * file that is read in part.
 */
export function scanSql(scan: Scan, splits: readonly Split[]): string {
  const whole = new Map<string, FileGroup & { readonly paths: string[] }>()
  const branches: string[] = []
  for (const { file, range } of splits) {
    const path = absolutePath(scan.location, file.path)
    const group = { schema: file.schema, deletes: scan.deletes?.of.get(file.path) ?? [] }
    if (range !== undefined) {
      branches.push(readSql(scan, group, [path], range))
      continue
    }
    const key = `${group.schema} ${group.deletes.join(' ')}`
    const known = whole.get(key)
    if (known === undefined) whole.set(key, { ...group, paths: [path] })
    else known.paths.push(path)
  }
  for (const group of whole.values()) branches.unshift(readSql(scan, group, group.paths))
  if (branches.length === 0) return `(${emptySql(scan)})`
  return `(${branches.join(' UNION ALL ')})`
}

/** What files have in common that are read as one. */
interface FileGroup {
  /** Number of their physical schema. */
  readonly schema: number
  /** Numbers of the equality deletes that they are subject to. */
  readonly deletes: readonly number[]
}

function readSql(
  scan: Scan,
  group: FileGroup,
  paths: readonly string[],
  range?: { readonly first: number; readonly rows: number },
): string {
  const options =
    scan.partitionColumns.length > 0
      ? ['hive_partitioning=true', 'hive_types_autocast=false']
      : ['hive_partitioning=false']
  const { positions = [] } = scan.deletes ?? {}
  const needsPlaces = scan.places === true || positions.length > 0
  if (needsPlaces) options.push('filename=true')
  if (range !== undefined || needsPlaces) options.push('file_row_number=true')
  if (scan.fieldIds !== undefined) {
    const hidden = hiddenColumns(scan, group.deletes)
    const ids = [...scan.fieldIds, ...hidden.map(({ id }) => id)]
    // Columns that tell places are in no file.
    const own = scan.columns.slice(0, scan.fieldIds.length)
    options.push(`schema=${schemaSql([...own, ...hidden], ids)}`)
  }
  const list = paths.map(quoteLiteral).join(', ')
  const where =
    range === undefined
      ? ''
      : ` WHERE file_row_number BETWEEN ${range.first} AND ${range.first + range.rows - 1}`
  const items = selectItems(scan, scan.schemas[group.schema] ?? [])
  const source = `read_parquet([${list}], ${options.join(', ')})`
  const without = [
    ...(positions.length === 0 ? [] : [deletedSql(positions)]),
    ...equalitySql(scan, group.deletes),
  ]
  if (without.length === 0) return `SELECT ${items} FROM ${source}${where}`
  const joins = without.map((rows) => ` ANTI JOIN ${rows}`).join('')
  return `SELECT ${items} FROM ${source} AS "$data"${joins}${where}`
}

/** The rows that position deletes name, and what joins them to the data. */
function deletedSql(paths: readonly string[]): string {
  const list = paths.map(quoteLiteral).join(', ')
  return (
    `(SELECT regexp_replace(file_path, '^file:(//)?', '') AS deleted_file, pos AS deleted_row ` +
    `FROM read_parquet([${list}], hive_partitioning=false, union_by_name=true)) AS "$deleted" ` +
    'ON "$deleted".deleted_file = "$data".filename AND "$deleted".deleted_row = "$data".file_row_number'
  )
}

/** The values that equality deletes name, those of the same columns together, and what joins them to the data. */
function equalitySql(scan: Scan, numbers: readonly number[]): readonly string[] {
  const groups = new Map<string, EqualityDelete[]>()
  for (const number of numbers) {
    const one = scan.deletes?.equality[number]
    if (one === undefined) continue
    const key = one.columns.map(({ id }) => id).join(' ')
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return [...groups.values()].map((files, n) => {
    const { columns = [] } = files[0] ?? {}
    const alias = quoteIdentifier(`$equal${n}`)
    const options = ['hive_partitioning=false']
    const ids = columns.map(({ id }) => id)
    if (scan.fieldIds !== undefined) options.push(`schema=${schemaSql(columns, ids)}`)
    const list = files.map(({ path }) => quoteLiteral(path)).join(', ')
    const items = columns.map(
      ({ name, type }, i) => `CAST(${quoteIdentifier(name)} AS ${type}) AS value${i}`,
    )
    const on = columns.map(
      ({ name, type }, i) =>
        `${alias}.value${i} IS NOT DISTINCT FROM CAST("$data".${quoteIdentifier(name)} AS ${type})`,
    )
    const rows = `SELECT ${items.join(', ')} FROM read_parquet([${list}], ${options.join(', ')})`
    return `(${rows}) AS ${alias} ON ${on.join(' AND ')}`
  })
}

/** Columns that only the deletes of these numbers ask for, each once. */
function hiddenColumns({ deletes }: Scan, numbers: readonly number[]): EqualityDelete['columns'] {
  const found = numbers.flatMap((number) => deletes?.equality[number]?.columns ?? [])
  const byId = new Map(found.filter(({ isHidden }) => isHidden).map((one) => [one.id, one]))
  return [...byId.values()]
}

/** The columns by the ids that they have in the files, whatever they are called there: NULL where there is none. */
function schemaSql(columns: readonly Column[], fieldIds: readonly number[]): string {
  const entries = fieldIds.flatMap((id, i) => {
    const column = columns[i]
    if (column === undefined) return []
    const [name, type] = [quoteLiteral(column.name), quoteLiteral(column.type)]
    return [`${id}: {name: ${name}, type: ${type}, default_value: NULL}`]
  })
  return `MAP {${entries.join(', ')}}`
}

/** Each declared column from a file's own: as it is, cast where the type differs, NULL where the file has none. */
function selectItems(scan: Scan, schema: readonly Column[]): string {
  const physical = new Map(schema.map((c) => [foldName(c.name), c]))
  const items = scan.columns.map((declared) => {
    const name = quoteIdentifier(declared.name)
    if (scan.places === true && declared.name === FILE_COLUMN) return `filename AS ${name}`
    if (scan.places === true && declared.name === ROW_COLUMN) return `file_row_number AS ${name}`
    const found = physical.get(foldName(declared.name))
    if (found === undefined) return `CAST(NULL AS ${declared.type}) AS ${name}`
    const source = quoteIdentifier(found.name)
    // The kernel gives up where it is to push a join's filter into files that it reads as another type (1.5.6: "Can't
    // convert TableFilterType (BLOOM_FILTER)"), and does not push it through what it cannot take away.
    if (scan.retyped?.has(declared.name) === true) return `coalesce(${source}, NULL) AS ${name}`
    if (found.type !== declared.type)
      return `${widen(source, found.type, declared.type)} AS ${name}`
    return source === name ? name : `${source} AS ${name}`
  })
  // The values come out of the path as text, decoded by the kernel in the same way as by the listing.
  for (const column of scan.partitionColumns) {
    const name = quoteIdentifier(column.name)
    items.push(`CAST(${name} AS ${column.type}) AS ${name}`)
  }
  return items.join(', ')
}

/** A value as a wider type. A cast between text and bytes would write and read escapes: here they are the same bytes. */
function widen(source: string, from: string, to: string): string {
  if (from === 'BLOB' && to === 'VARCHAR') return `decode(${source})`
  if (from === 'VARCHAR' && to === 'BLOB') return `encode(${source})`
  if (/^(BLOB|VARCHAR)\[/.test(from) && from !== to && to.endsWith('[]')) {
    const element = widen('"v"', from.slice(0, -2), to.slice(0, -2))
    return `list_transform(${source}, lambda "v": ${element})`
  }
  return `CAST(${source} AS ${to})`
}

function emptySql(scan: Scan): string {
  const items = scanColumns(scan).map(
    (c) => `CAST(NULL AS ${c.type}) AS ${quoteIdentifier(c.name)}`,
  )
  return `SELECT ${items.join(', ')} WHERE false`
}
