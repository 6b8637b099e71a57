import { inputsOf, type Relation } from '../logical/relation.ts'
import type { Expression } from '../../sql/ir.ts'
import { columnName, isSubset } from './columns.ts'
import type { Costs } from './cost.ts'
import { bucketKeys, type Stream } from './stream.ts'

/**
 * A stream in which rows that agree in all of these keys are made by one task; undefined where they are not, and the
 * tables cannot be divided so. Unlike buckets, that says nothing of where the rows of another stream are.
 */
export function together(
  stream: Stream,
  keys: readonly Expression[],
  by: { readonly costs: Costs; readonly slots: number },
): Stream | undefined {
  if (bucketKeys(stream).some((list) => isSubset(list, keys))) return stream
  const [branch] = stream.branches
  if (stream.branches.length !== 1 || branch?.source.kind !== 'scan') return undefined
  const { relation, source } = branch
  for (const key of keys) {
    const column = scannedColumn(relation, columnName(key), source.scan)
    if (column === undefined) continue
    // One that is divided by a column already stays so: what is below may rest on it.
    const isApart =
      source.apart === undefined
        ? by.costs.canBeApart(source.scan, column, by.slots)
        : source.apart === column
    if (isApart) return { branches: [{ relation, source: { ...source, apart: column } }] }
  }
  return undefined
}

/** The column of the table that a column of the relation is, if it comes from this scan as it is. */
function scannedColumn(
  relation: Relation,
  name: string | undefined,
  scan: number,
): string | undefined {
  if (name === undefined) return undefined
  switch (relation.kind) {
    case 'scan':
      if (relation.scan !== scan) return undefined
      return relation.columns.find((column) => column.name === name)?.source
    case 'project':
    case 'aggregate': {
      const items = relation.kind === 'project' ? relation.items : relation.keys
      const item = items.find(({ column }) => column.name === name)
      if (item === undefined) return undefined
      return scannedColumn(relation.input, columnName(item.expression), scan)
    }
    case 'filter':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
    case 'limit':
    case 'join': {
      // A column has one name in the whole plan, so it is found on the side that it is of.
      const found = inputsOf(relation).map((input) => scannedColumn(input, name, scan))
      return found.find((column) => column !== undefined)
    }
    default:
      return undefined
  }
}
