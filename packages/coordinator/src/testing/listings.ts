import type { Column } from '@nyala/client/protocol'
import type { ListedFile, Listing } from '@nyala/executor/protocol'

export interface SketchedFile {
  readonly path: string
  readonly rows?: number
  readonly bytes?: number
  /** Rows of its row groups, which share its bytes evenly; absent: one group. */
  readonly rowGroups?: readonly number[]
  /** Index into the schemas. */
  readonly schema?: number
}

const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'

/** A listing of files that need not exist: enough for whatever plans and never reads. */
export function sketchListing(
  location: string,
  schemas: readonly (readonly Column[])[],
  files: readonly SketchedFile[],
): Listing {
  return { location, schemas, files: files.map((file) => sketchFile(location, file)) }
}

export function sketchFile(location: string, file: SketchedFile): ListedFile {
  const groups = file.rowGroups ?? [file.rows ?? 100]
  const bytes = file.bytes ?? 1000
  return {
    path: `${location}/${file.path}`,
    bytes,
    modifiedMs: 0,
    rows: groups.reduce((sum, rows) => sum + rows, 0),
    rowGroups: groups.map((rows) => ({ rows, bytes: Math.floor(bytes / groups.length) })),
    schema: file.schema ?? 0,
    partition: file.path
      .split('/')
      .slice(0, -1)
      .map((directory) => {
        const [key = '', value = ''] = directory.split('=')
        return { key, value: value === HIVE_NULL ? null : decodeURIComponent(value) }
      }),
  }
}

/** `a INTEGER, b DECIMAL(10, 2)` as columns. */
export function sketchColumns(text: string): readonly Column[] {
  return text.split(/,\s*(?![^(]*\))/).map((part) => {
    const [name = '', ...type] = part.trim().split(' ')
    return { name, type: type.join(' ') }
  })
}
