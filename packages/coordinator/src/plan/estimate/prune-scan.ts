import type { Expression } from '../../sql/ir.ts'
import type { ManifestFile } from '../../table/manifest.ts'
import { columnNames } from '../logical/expressions.ts'
import type { ScanRelation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import type { Bound } from './bounds.ts'
import { columnReader, type ColumnReader } from './column-bounds.ts'
import { partitionTest } from './partition-test.ts'
import { type BoundsOfColumn, CAN_BE_TRUE, type Outcomes, outcomesOf } from './outcomes.ts'

/**
 * The scan without files and row groups that can hold no row for which all conjuncts are true, by the statistics of their
 * footers and by partition values. The conjuncts are those of a filter directly above the scan, in the plan's names.
 * Row groups of a file that is left are in `rowGroupsLeft`; reading more of the file than that is no error.
 */
export function pruneScan(
  scan: Scan,
  relation: ScanRelation,
  conjuncts: readonly Expression[],
): Scan {
  const useful = conjuncts.filter((e) => columnNames(e).size > 0)
  const files: ManifestFile[] = []
  const left = new Map<ManifestFile, readonly number[]>(scan.rowGroupsLeft)
  for (const file of scan.files) {
    const before = left.get(file)
    const verdicts = groupOutcomes(scan, relation, { file, conjuncts: useful })
    const kept = verdicts.flatMap((outcomes, i) =>
      outcomes & CAN_BE_TRUE && (before?.includes(i) ?? true) ? [i] : [],
    )
    if (kept.length === 0 && verdicts.length > 0) {
      left.delete(file)
      continue
    }
    files.push(file)
    if (kept.length < verdicts.length) left.set(file, kept)
  }
  if (files.length === scan.files.length && left.size === (scan.rowGroupsLeft?.size ?? 0)) {
    const isSame = [...left].every(
      ([file, kept]) => scan.rowGroupsLeft?.get(file)?.length === kept.length,
    )
    if (isSame) return scan
  }
  return { ...scan, files, rowGroupsLeft: left }
}

/** For each row group of a file what the conjuncts together can come to. */
export function groupOutcomes(
  scan: Scan,
  relation: ScanRelation,
  of: { readonly file: ManifestFile; readonly conjuncts: readonly Expression[] },
): readonly Outcomes[] {
  const readers = new Map<string, ColumnReader>()
  const excluding = new Map<string, (value: Bound) => boolean>()
  for (const { name, source } of relation.columns) {
    const reader = columnReader(scan, source)
    if (reader !== undefined) readers.set(name, reader)
    const test = partitionTest(scan, source)
    if (test !== undefined) excluding.set(name, (value) => test(value, of.file))
  }
  return of.file.rowGroups.map((group, i) => {
    const columns: BoundsOfColumn = (name) => {
      const reader = readers.get(name)
      if (reader === undefined) return undefined
      const all = reader.boundsOf(of.file)
      const [first] = all
      const excludes = excluding.get(name)
      if (all.length === of.file.rowGroups.length) return boundsAt(all[i], reader, excludes)
      if (all.length !== 1 || first === undefined) return undefined
      // Of the whole file: how many NULLs are in this group is known where there are none, or nothing else.
      const nulls = first.nulls === 0 ? 0 : first.nulls === first.rows ? group.rows : undefined
      return boundsAt({ ...first, rows: group.rows, nulls, exact: false }, reader, excludes)
    }
    const [head, ...rest] = of.conjuncts
    if (head === undefined) return CAN_BE_TRUE
    return outcomesOf(
      rest.length === 0 ? head : { kind: 'conjunction', operator: 'and', operands: of.conjuncts },
      columns,
    )
  })
}

const boundsAt = (
  bounds: ReturnType<ColumnReader['boundsOf']>[number] | undefined,
  { domain }: ColumnReader,
  excludes: ((value: Bound) => boolean) | undefined,
): ReturnType<BoundsOfColumn> => (bounds === undefined ? undefined : { bounds, domain, excludes })

/** Numbers for people, before and after pruning. */
export interface PruningCounts {
  readonly files: number
  readonly filesTotal: number
  readonly rowGroups: number
  readonly rowGroupsTotal: number
}

export function pruningCounts(scan: Scan): PruningCounts {
  let rowGroups = 0
  for (const file of scan.files)
    rowGroups += scan.rowGroupsLeft?.get(file)?.length ?? file.rowGroups.length
  return {
    files: scan.files.length,
    filesTotal: scan.filesTotal,
    rowGroups,
    rowGroupsTotal: Math.max(rowGroups, scan.rowGroupsTotal ?? 0),
  }
}

/** `files 3 of 10, row groups 12 of 80`; row groups only where some of them are left out. */
export function pruningText(scan: Scan): string {
  const { files, filesTotal, rowGroups, rowGroupsTotal } = pruningCounts(scan)
  const text = files === filesTotal ? `files ${files}` : `files ${files} of ${filesTotal}`
  return rowGroups === rowGroupsTotal
    ? text
    : `${text}, row groups ${rowGroups} of ${rowGroupsTotal}`
}
