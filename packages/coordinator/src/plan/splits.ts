import type { ManifestFile } from '../table/manifest.ts'
import { type Split, wholeFiles } from './scan.ts'

/** A piece of a file smaller than this costs more to start than it saves. */
const SPLIT_BYTES_MIN = 1024 * 1024

/**
 * Divides the files of a scan into at most `tasks` groups of nearly equal bytes. A file larger than a fair share is cut
 * between row groups. Deterministic: largest piece first to the least loaded group (longest processing time, Graham
 * 1969). Every row, but for those of row groups that are not left, is in exactly one group; empty groups are left out, but there is always at least one group.
 */
export function divideSplits(
  files: readonly ManifestFile[],
  tasks: number,
  rowGroupsLeft?: ReadonlyMap<ManifestFile, readonly number[]>,
): readonly (readonly Split[])[] {
  const bytesOf = (file: ManifestFile): number => leftBytes(file, rowGroupsLeft?.get(file))
  const total = files.reduce((sum, file) => sum + bytesOf(file), 0)
  const share = Math.max(SPLIT_BYTES_MIN, total / Math.max(1, tasks))
  const pieces = files.flatMap((file) => cutFile(file, share, rowGroupsLeft?.get(file)))
  const groups = Array.from({ length: Math.max(1, tasks) }, () => ({
    bytes: 0,
    splits: [] as Split[],
  }))
  for (const piece of pieces.toSorted((a, b) => b.bytes - a.bytes)) {
    const least = groups.reduce((best, group) => (group.bytes < best.bytes ? group : best))
    least.bytes += piece.bytes
    least.splits.push(piece)
  }
  const used = groups.filter((group) => group.splits.length > 0)
  return used.length > 0 ? used.map((group) => joinNeighbours(group.splits)) : [[]]
}

/** Bytes of the row groups that are to be read. */
function leftBytes(file: ManifestFile, left: readonly number[] | undefined): number {
  if (left === undefined) return file.bytes
  return left.reduce((sum, group) => sum + (file.rowGroups[group]?.bytes ?? 0), 0)
}

/**
 * A file in pieces of about `share` bytes, cut between row groups, those not in `left` being left out; whole where what
 * is to be read of it is small enough, as the kernel does not read row groups that its filters rule out.
 */
function cutFile(
  file: ManifestFile,
  share: number,
  left: readonly number[] | undefined,
): readonly Split[] {
  const total = leftBytes(file, left)
  if (total <= share * 1.25 || file.rowGroups.length < 2) return [{ file, bytes: total }]
  const kept = left === undefined ? undefined : new Set(left)
  const pieces: Split[] = []
  let first = 0
  let rows = 0
  let bytes = 0
  const flush = (): void => {
    if (rows > 0) pieces.push({ file, range: { first, rows }, bytes })
    first += rows
    rows = 0
    bytes = 0
  }
  for (const [i, group] of file.rowGroups.entries()) {
    if (kept !== undefined && !kept.has(i)) {
      flush()
      first += group.rows
      continue
    }
    if (bytes > 0 && bytes + group.bytes / 2 > share) flush()
    rows += group.rows
    bytes += group.bytes
  }
  flush()
  return pieces.length > 1 || kept !== undefined ? pieces : wholeFiles([file])
}

/** Pieces of one file that follow each other are read as one; a file that is complete again is read whole. */
export function joinNeighbours(splits: readonly Split[]): readonly Split[] {
  const ordered = splits.toSorted(
    (a, b) =>
      (a.file.path < b.file.path ? -1 : a.file.path > b.file.path ? 1 : 0) ||
      (a.range?.first ?? 0) - (b.range?.first ?? 0),
  )
  const out: Split[] = []
  for (const split of ordered) {
    const last = out.at(-1)
    if (last?.range === undefined || split.range === undefined || last.file !== split.file) {
      out.push(split)
      continue
    }
    if (last.range.first + last.range.rows !== split.range.first) {
      out.push(split)
      continue
    }
    const range = { first: last.range.first, rows: last.range.rows + split.range.rows }
    const whole = range.first === 0 && range.rows === split.file.rows
    out[out.length - 1] = {
      file: split.file,
      range: whole ? undefined : range,
      bytes: last.bytes + split.bytes,
    }
  }
  return out
}
