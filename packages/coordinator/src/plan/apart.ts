/**
 * Scans whose files or row groups have values of a column that no other has: a table that was written in the order of a
 * key, or is partitioned by it. Where a task gets all that may hold a value, its groups are whole, and nothing has to be
 * exchanged before they are aggregated; and where several tables are divided by one key alike, nothing before they are
 * joined by it.
 *
 * Ranges by footers or partition values are never too small, so rows that agree in the column are in one piece. Texts are
 * left out, as they may be equal by a collation that does not order them by their bytes; so is a column with NULLs among
 * its values. Where it has nothing but NULLs, those pieces are one.
 */
import { type Bound, compareBounds } from './estimate/bounds.ts'
import {
  boundsTogether,
  columnReader,
  type ColumnReader,
  type RowsBounds,
} from './estimate/column-bounds.ts'
import type { Scan, Split } from './scan.ts'
import { joinNeighbours } from './splits.ts'
import type { ManifestFile } from '../table/manifest.ts'

/** The largest group has no more than this many times its share. */
const SKEW_MAX = 1.5

/** A scan, and the column of its table by which it is divided. */
export interface ApartScan {
  readonly scan: Scan
  readonly column: string
}

/** What is read at once and lies between two values, or has NULLs alone. */
interface Piece {
  /** Which of the scans it is of. */
  readonly of: number
  readonly split: Split
  readonly range: { readonly min: Bound; readonly max: Bound } | 'nulls'
}

/**
 * For each of the scans its splits in `tasks` groups, no value of the columns being in groups of two numbers: groups of one
 * number have together about as many bytes as those of another. Undefined where the pieces are too few, too unequal or
 * not known, or the columns are not of one type.
 */
export function divideApart(
  parts: readonly ApartScan[],
  tasks: number,
): readonly (readonly (readonly Split[])[])[] | undefined {
  const pieces: Piece[] = []
  const kinds = new Set<string>()
  for (const [of, { scan, column }] of parts.entries()) {
    const reader = columnReader(scan, column)
    if (reader?.domain === undefined || reader.domain.kind === 'text') return undefined
    kinds.add(JSON.stringify(reader.domain))
    for (const file of scan.files) {
      const own = piecesOf(file, reader, scan.rowGroupsLeft?.get(file))
      if (own === undefined) return undefined
      pieces.push(...own.map((piece) => ({ ...piece, of })))
    }
  }
  const clusters = clustersOf(pieces)
  if (kinds.size !== 1 || clusters.length < tasks) return undefined
  const groups = Array.from({ length: tasks }, () => ({ bytes: 0, pieces: [] as Piece[] }))
  let total = 0
  for (const cluster of clusters.toSorted((x, y) => y.bytes - x.bytes)) {
    const least = groups.reduce((best, group) => (group.bytes < best.bytes ? group : best))
    least.bytes += cluster.bytes
    least.pieces.push(...cluster.pieces)
    total += cluster.bytes
  }
  const largest = Math.max(...groups.map((group) => group.bytes))
  if (largest > (total / tasks) * SKEW_MAX) return undefined
  return parts.map((_, of) =>
    groups.map((group) =>
      joinNeighbours(group.pieces.flatMap((piece) => (piece.of === of ? [piece.split] : []))),
    ),
  )
}

/** The row groups of a file, or the file where no more is known; undefined where a range is not known. */
function piecesOf(
  file: ManifestFile,
  reader: ColumnReader,
  left: readonly number[] | undefined,
): readonly Omit<Piece, 'of'>[] | undefined {
  const all = reader.boundsOf(file)
  if (all.length !== file.rowGroups.length || all.length < 2) {
    if (file.rows === 0) return []
    const range = rangeOf(boundsTogether(all))
    return range === undefined ? undefined : [{ split: { file, bytes: file.bytes }, range }]
  }
  const pieces: Omit<Piece, 'of'>[] = []
  let first = 0
  for (const [i, { rows, bytes }] of file.rowGroups.entries()) {
    const bounds = all[i]
    if (rows > 0 && (left === undefined || left.includes(i))) {
      const range = bounds === undefined ? undefined : rangeOf(bounds)
      if (range === undefined) return undefined
      pieces.push({ split: { file, range: { first, rows }, bytes }, range })
    }
    first += rows
  }
  return pieces
}

function rangeOf({ rows, nulls, min, max }: RowsBounds): Piece['range'] | undefined {
  if (nulls === rows) return 'nulls'
  return nulls !== 0 || min === undefined || max === undefined ? undefined : { min, max }
}

interface Cluster {
  bytes: number
  readonly pieces: Piece[]
}

/** Pieces that may share a value, together. */
function clustersOf(pieces: readonly Piece[]): readonly Cluster[] {
  const nulls: Cluster = { bytes: 0, pieces: [] }
  const clusters: Cluster[] = []
  const ranged: { readonly piece: Piece; readonly min: Bound; readonly max: Bound }[] = []
  for (const piece of pieces) {
    if (piece.range === 'nulls') add(nulls, piece)
    else ranged.push({ piece, ...piece.range })
  }
  let end: Bound | undefined
  let last: Cluster = nulls
  for (const { piece, min, max } of ranged.toSorted((a, b) => compareBounds(a.min, b.min))) {
    if (end === undefined || compareBounds(min, end) > 0) {
      last = { bytes: 0, pieces: [] }
      clusters.push(last)
      end = max
    }
    add(last, piece)
    if (compareBounds(max, end) > 0) end = max
  }
  return nulls.pieces.length > 0 ? [...clusters, nulls] : clusters
}

function add(cluster: Cluster, piece: Piece): void {
  cluster.bytes += piece.split.bytes
  cluster.pieces.push(piece)
}
