/** A WITH that is used once stands where it is used, one that is not used goes, and one that is used twice stays. */
import {
  columnRef,
  columnsOf,
  type CteRelation,
  inputsOf,
  mapRelation,
  type Relation,
  type WithRelation,
} from '../logical/relation.ts'

export function shareCte(root: Relation): Relation {
  const uses = new Map<number, number>()
  const count = (relation: Relation): void => {
    if (relation.kind === 'cte') uses.set(relation.id, (uses.get(relation.id) ?? 0) + 1)
    inputsOf(relation).forEach(count)
  }
  count(root)
  return mapRelation(root, (part) => {
    if (part.kind !== 'with') return part
    const times = uses.get(part.id) ?? 0
    if (times === 0) return part.body
    return times === 1 ? inlined(part) : part
  })
}

function inlined({ id, definition, body }: WithRelation): Relation {
  return mapRelation(body, (part) =>
    part.kind === 'cte' && part.id === id ? renamed(definition, part) : part,
  )
}

/** The definition under the names that its use gives it. */
function renamed(definition: Relation, use: CteRelation): Relation {
  const columns = columnsOf(definition)
  return {
    kind: 'project',
    input: definition,
    items: use.columns.flatMap((column, i) => {
      const source = columns[i]
      return source === undefined ? [] : [{ column, expression: columnRef(source) }]
    }),
  }
}
