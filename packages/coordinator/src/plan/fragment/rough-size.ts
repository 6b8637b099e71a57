import { columnsOf, inputsOf, type Relation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import type { Estimate, Size } from './cost.ts'

const VALUE_BYTES = 8

/** Sizes from the numbers of rows of the files alone, for tests of the cutting that need no better. */
export function roughEstimate(root: Relation, scans: ReadonlyMap<number, Scan>): Estimate {
  const definitions = new Map<number, Relation>()
  const note = (relation: Relation): void => {
    if (relation.kind === 'with') definitions.set(relation.id, relation.definition)
    inputsOf(relation).forEach(note)
  }
  note(root)
  const rowsOf = (relation: Relation): number => {
    const inputs = inputsOf(relation).map(rowsOf)
    const [first = 0, second = 0] = inputs
    switch (relation.kind) {
      case 'scan':
        return scans.get(relation.scan)?.files.reduce((sum, file) => sum + file.rows, 0) ?? 0
      case 'values':
        return relation.rows.length
      case 'filter':
        return first * 0.3
      case 'join':
        return relation.conditions.length === 0 && relation.type === 'inner'
          ? first * second
          : Math.max(first, relation.type === 'full' || relation.type === 'right' ? second : 0)
      case 'aggregate':
        return relation.keys.length === 0 ? 1 : first ** 0.75
      case 'distinct':
        return first ** 0.9
      case 'limit':
        return Math.min(first, relation.count ?? first)
      case 'set':
        return inputs.reduce((a, b) => a + b, 0)
      case 'with':
        return second
      case 'cte': {
        const definition = definitions.get(relation.id)
        return definition === undefined ? 0 : rowsOf(definition)
      }
      case 'dependent':
      case 'exchange':
        return 1
      case 'project':
      case 'window':
      case 'sort':
      case 'unnest':
        return first
    }
  }
  const known = new WeakMap<Relation, Size>()
  return (relation) => {
    const found = known.get(relation)
    if (found !== undefined) return found
    const rows = rowsOf(relation)
    const size = { rows, bytes: rows * columnsOf(relation).length * VALUE_BYTES }
    known.set(relation, size)
    return size
  }
}
