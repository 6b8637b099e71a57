import { inputsOf, type JoinRelation, type Relation } from '../logical/relation.ts'
import type { Expression } from '../../sql/ir.ts'
import { columnName } from '../logical/expressions.ts'
import { isSubset } from './columns.ts'
import type { Costs } from './cost.ts'
import { type ApartColumn, bucketKeys, type Source, type Stream } from './stream.ts'

interface World {
  readonly costs: Costs
  readonly slots: number
}

/**
 * A stream in which rows that agree in all of these keys are made by one task; undefined where they are not, and the
 * tables cannot be divided so. Unlike buckets, that says nothing of where the rows of another stream are.
 */
export function together(
  stream: Stream,
  keys: readonly Expression[],
  by: World,
): Stream | undefined {
  if (bucketKeys(stream).some((list) => isSubset(list, keys))) return stream
  const [branch] = stream.branches
  if (stream.branches.length !== 1 || branch === undefined) return undefined
  for (const key of keys) {
    const scans = apartBy(branch.relation, key, { ...by, source: branch.source })
    if (scans === undefined) continue
    return { branches: [{ relation: branch.relation, source: { kind: 'apart', scans } }] }
  }
  return undefined
}

/**
 * What to divide both sides of a join by, so that rows whose keys are equal are in one task; undefined where their tables
 * cannot be divided so.
 */
export function apartTogether(
  sides: readonly [Stream, Stream],
  pair: { readonly left: Expression; readonly right: Expression },
  by: World,
): readonly ApartColumn[] | undefined {
  const [left, right] = sides.map((stream, i) => {
    const [branch] = stream.branches
    if (stream.branches.length !== 1 || branch === undefined) return undefined
    const { relation, source } = branch
    return apartBy(relation, i === 0 ? pair.left : pair.right, { ...by, source })
  })
  if (left === undefined || right === undefined) return undefined
  const all = [...left, ...right]
  const isOnce = new Set(all.map(({ scan }) => scan)).size === all.length
  return isOnce && by.costs.canBeApart(all, by.slots) ? all : undefined
}

/** What a stream is divided by, or can be, so that no value of a column is made by two tasks. */
function apartBy(
  relation: Relation,
  key: Expression,
  { source, costs, slots }: World & { readonly source: Source },
): readonly ApartColumn[] | undefined {
  const name = columnName(key)
  if (name === undefined) return undefined
  if (source.kind === 'scan') {
    const column = scannedColumn(relation, name, source.scan)
    if (column === undefined) return undefined
    const scans = [{ scan: source.scan, column }]
    return costs.canBeApart(scans, slots) ? scans : undefined
  }
  if (source.kind !== 'apart') return undefined
  // It stays divided as it is: what is below may rest on that.
  const isBy = source.scans.some(
    ({ scan, column }) => scannedColumn(relation, name, scan) === column,
  )
  return isBy ? source.scans : undefined
}

/** The column of the table that a column of the relation is, if it comes from this scan as it is. */
function scannedColumn(relation: Relation, name: string, scan: number): string | undefined {
  switch (relation.kind) {
    case 'scan':
      if (relation.scan !== scan) return undefined
      return relation.columns.find((column) => column.name === name)?.source
    case 'project':
    case 'aggregate': {
      const items = relation.kind === 'project' ? relation.items : relation.keys
      const item = items.find(({ column }) => column.name === name)
      const below = item === undefined ? undefined : columnName(item.expression)
      return below === undefined ? undefined : scannedColumn(relation.input, below, scan)
    }
    case 'filter':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
    case 'limit':
      return scannedColumn(relation.input, name, scan)
    case 'join': {
      const sides = inputsOf(relation).filter((_, i) => isKept(relation, i))
      // A column has one name in the whole plan, so it is found on the side that it is of.
      const found = sides.map((input) => scannedColumn(input, name, scan))
      return found.find((column) => column !== undefined)
    }
    default:
      return undefined
  }
}

/** True for a side whose columns are as they were: the other's NULLs for want of a partner may be in any task. */
function isKept({ type }: JoinRelation, side: number): boolean {
  if (type === 'full') return false
  return type === 'inner' || (type === 'right' ? side === 1 : side === 0)
}
