/**
 * COUNT, MIN and MAX over a whole table, or over row groups of which footers and partition values say that all rows or none
 * pass the filter, are known without opening a file. Only what the statistics say for certain is answered: bounds that were
 * cut, floating-point numbers, and columns whose NULLs were not counted are left to be read.
 */
import type { Cast, Expression } from '../../sql/ir.ts'
import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import type { ManifestFile } from '../../table/manifest.ts'
import { type Bound, boundText, compareBounds, convertBound, domainOf } from '../estimate/bounds.ts'
import { columnReader, type ColumnReader, type RowsBounds } from '../estimate/column-bounds.ts'
import { CAN_BE_TRUE } from '../estimate/outcomes.ts'
import { groupOutcomes } from '../estimate/prune-scan.ts'
import { columnName, substitute } from '../logical/expressions.ts'
import {
  type AggregateRelation,
  type ComputedAggregate,
  mapRelation,
  type Relation,
  type ScanRelation,
  type ValuesRelation,
} from '../logical/relation.ts'
import type { Scan } from '../scan.ts'

/** The plan with every aggregate that footers answer as the row that it is. */
export const answerAllFromFooters = (root: Relation, scans: ReadonlyMap<number, Scan>): Relation =>
  mapRelation(root, (part) => answerFromFooters(part, scans) ?? part)

/** The row of an aggregate without keys; undefined where a file must be read to know it, and for every other relation. */
export function answerFromFooters(
  relation: Relation,
  scans: ReadonlyMap<number, Scan>,
): ValuesRelation | undefined {
  if (relation.kind !== 'aggregate') return undefined
  const { keys, sets, groupings, aggregates } = relation
  if (keys.length > 0 || sets.length !== 1 || groupings.length > 0 || aggregates.length === 0)
    return undefined
  const source = sourceOf(relation, scans)
  if (source === undefined) return undefined
  const rows = wholeRows(source)
  if (rows === undefined) return undefined
  const cells: Expression[] = []
  for (const aggregate of aggregates) {
    const cell = answer(aggregate, source, rows)
    if (cell === undefined) return undefined
    cells.push(cell)
  }
  return { kind: 'values', columns: aggregates.map((a) => a.column), rows: [cells] }
}

interface Source {
  readonly scan: Scan
  readonly relation: ScanRelation
  readonly conjuncts: readonly Expression[]
  /** What the columns under the aggregate are, over the columns of the scan. */
  readonly values: ReadonlyMap<string, Expression>
}

/** The scan that projections and filters, and nothing else, lie between the aggregate and. */
function sourceOf(
  aggregate: AggregateRelation,
  scans: ReadonlyMap<number, Scan>,
): Source | undefined {
  let values = new Map<string, Expression>()
  let conjuncts: readonly Expression[] = []
  let isTop = true
  for (let at = aggregate.input; ;) {
    if (at.kind === 'scan') {
      const scan = scans.get(at.scan)
      // Statistics are of the files, deleted rows included.
      return scan === undefined || scan.deletes !== undefined
        ? undefined
        : { scan, relation: at, conjuncts, values }
    }
    if (at.kind === 'filter') conjuncts = [...conjuncts, ...at.conjuncts]
    else if (at.kind === 'project') {
      const items = new Map(at.items.map((item) => [item.column.name, item.expression]))
      conjuncts = conjuncts.map((e) => substitute(e, items))
      const below = [...values].map(([name, e]) => [name, substitute(e, items)] as const)
      values = isTop ? items : new Map(below)
      isTop = false
    } else return undefined
    at = at.input
  }
}

/** The row groups of a file that all pass: all of the file, or those of these numbers. */
interface PassingFile {
  readonly file: ManifestFile
  readonly groups: 'all' | readonly number[]
}

/** What passes the filter; undefined where a row group may have rows that pass and rows that do not. */
function wholeRows({ scan, relation, conjuncts }: Source): readonly PassingFile[] | undefined {
  const passing: PassingFile[] = []
  for (const file of scan.files) {
    if (conjuncts.length === 0) {
      passing.push({ file, groups: 'all' })
      continue
    }
    const outcomes = groupOutcomes(scan, relation, { file, conjuncts })
    const groups: number[] = []
    for (const [i, outcome] of outcomes.entries()) {
      if ((outcome & CAN_BE_TRUE) === 0) continue
      if (outcome !== CAN_BE_TRUE) return undefined
      groups.push(i)
    }
    if (groups.length === outcomes.length) passing.push({ file, groups: 'all' })
    else if (groups.length > 0) passing.push({ file, groups })
  }
  return passing
}

function answer(
  { expression: call, column }: ComputedAggregate,
  source: Source,
  passing: readonly PassingFile[],
): Expression | undefined {
  const name = call.name.toLowerCase()
  if (call.filter !== undefined || call.orderBy.length > 0) return undefined
  if (name === 'count_star' || (name === 'count' && call.args.length === 0))
    return literal(String(countRows(passing)), column.type)
  const [argument] = call.args
  if (argument === undefined || call.args.length !== 1) return undefined
  const reader = readerOf(argument, source)
  if (reader === undefined) return undefined
  const bounds = boundsOf(reader, passing)
  if (bounds === undefined) return undefined
  if (name === 'count' && !call.distinct) {
    const present = countPresent(bounds)
    return present === undefined ? undefined : literal(String(present), column.type)
  }
  if (name === 'min' || name === 'max') return extreme(name, reader, { bounds, type: column.type })
  return undefined
}

function readerOf(argument: Expression, source: Source): ColumnReader | undefined {
  const name = columnName(substitute(argument, source.values))
  const column = source.relation.columns.find((c) => c.name === name)
  return column === undefined ? undefined : columnReader(source.scan, column.source)
}

function countRows(passing: readonly PassingFile[]): number {
  let rows = 0
  for (const { file, groups } of passing) {
    if (groups === 'all') rows += file.rows
    else for (const group of groups) rows += file.rowGroups[group]?.rows ?? 0
  }
  return rows
}

/** Of what passes; undefined where the statistics are of whole files, and only a part of one passes. */
function boundsOf(
  reader: ColumnReader,
  passing: readonly PassingFile[],
): readonly RowsBounds[] | undefined {
  const found: RowsBounds[] = []
  for (const { file, groups } of passing) {
    const bounds = reader.boundsOf(file)
    if (groups === 'all') found.push(...bounds)
    else if (bounds.length !== file.rowGroups.length) return undefined
    else for (const group of groups) found.push(...bounds.slice(group, group + 1))
  }
  return found
}

function countPresent(bounds: readonly RowsBounds[]): number | undefined {
  let present = 0
  for (const { rows, nulls } of bounds) {
    if (nulls === undefined) return undefined
    present += rows - nulls
  }
  return present
}

function extreme(
  name: 'min' | 'max',
  reader: ColumnReader,
  of: { readonly bounds: readonly RowsBounds[]; readonly type: SqlType },
): Expression | undefined {
  const domain = domainOf(of.type)
  if (domain === undefined || reader.domain === undefined) return undefined
  let found: Bound | undefined
  for (const bounds of of.bounds) {
    if (bounds.nulls === bounds.rows) continue
    const value = name === 'min' ? bounds.min : bounds.max
    if (value === undefined || !bounds.exact) return undefined
    const order = found === undefined ? 0 : compareBounds(value, found)
    if (found === undefined || (name === 'min' ? order < 0 : order > 0)) found = value
  }
  if (found === undefined) return literal(null, of.type)
  const value = convertBound(found, reader.domain, domain)
  const text = value === undefined ? undefined : boundText(value, domain)
  return text === undefined ? undefined : literal(text, of.type)
}

const literal = (text: string | null, type: SqlType): Cast => ({
  kind: 'cast',
  operand: { kind: 'constant', type: simpleType(text === null ? 'NULL' : 'VARCHAR'), value: text },
  type,
  try: false,
})
