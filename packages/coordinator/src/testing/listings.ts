import type { Column } from '@nyala/client/protocol'
import type { FileStatistics, ListedFile, Listing } from '@nyala/executor/protocol'

/** What the footer of a file says of a column: a value for each row group, or one for all of them. */
export interface SketchedBounds {
  readonly min: readonly (number | string | null)[]
  readonly max: readonly (number | string | null)[]
  /** Absent: no value is NULL. */
  readonly nulls?: readonly number[]
  /** Absent: the writer has not counted them. */
  readonly distinct?: readonly number[]
}

export interface SketchedFile {
  readonly path: string
  readonly rows?: number
  readonly bytes?: number
  /** Rows of its row groups, which share its bytes evenly; absent: one group. */
  readonly rowGroups?: readonly number[]
  /** Index into the schemas. */
  readonly schema?: number
  /** By the names of columns, as ColumnBounds has them; of the others the footer says nothing. */
  readonly bounds?: Readonly<Record<string, SketchedBounds>>
}

const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'

/** A listing of files that need not exist: enough for whatever plans and never reads. */
export function sketchListing(
  location: string,
  schemas: readonly (readonly Column[])[],
  files: readonly SketchedFile[],
): Listing {
  return { location, schemas, files: files.map((file) => sketchFile(location, file, schemas)) }
}

export function sketchFile(
  location: string,
  file: SketchedFile,
  schemas: readonly (readonly Column[])[] = [],
): ListedFile {
  const groups = file.rowGroups ?? [file.rows ?? 100]
  const bytes = file.bytes ?? 1000
  return {
    path: `${location}/${file.path}`,
    bytes,
    modifiedMs: 0,
    rows: groups.reduce((sum, rows) => sum + rows, 0),
    rowGroups: groups.map((rows) => ({ rows, bytes: Math.floor(bytes / groups.length) })),
    schema: file.schema ?? 0,
    ...(file.bounds === undefined
      ? {}
      : { statistics: sketchStatistics(file.bounds, schemas[file.schema ?? 0] ?? []) }),
    partition: file.path
      .split('/')
      .slice(0, -1)
      .map((directory) => {
        const [key = '', value = ''] = directory.split('=')
        return { key, value: value === HIVE_NULL ? null : decodeURIComponent(value) }
      }),
  }
}

const sketchStatistics = (
  bounds: Readonly<Record<string, SketchedBounds>>,
  schema: readonly Column[],
): FileStatistics =>
  schema.map(({ name }) => {
    const own = bounds[name]
    return own === undefined ? null : { nulls: own.min.map(() => 0), ...own }
  })

/** `a INTEGER, b DECIMAL(10, 2)` as columns. */
export function sketchColumns(text: string): readonly Column[] {
  return text.split(/,\s*(?![^(]*\))/).map((part) => {
    const [name = '', ...type] = part.trim().split(' ')
    return { name, type: type.join(' ') }
  })
}
