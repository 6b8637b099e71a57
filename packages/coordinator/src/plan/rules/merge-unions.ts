/** UNION ALL of UNION ALLs is one of all their inputs; a UNION that drops duplicates takes the inputs of any within it. */
import { mapRelation, type Relation, type SetRelation } from '../logical/relation.ts'

export const mergeUnions = (root: Relation): Relation =>
  mapRelation(root, (part) =>
    part.kind === 'set' && part.operator === 'union' ? merged(part) : part,
  )

function merged(union: SetRelation): Relation {
  const isNested = (input: Relation): input is SetRelation =>
    input.kind === 'set' && input.operator === 'union' && (input.all || !union.all)
  if (!union.inputs.some(isNested)) return union
  const inputs = union.inputs.flatMap((input) => (isNested(input) ? input.inputs : [input]))
  return { ...union, inputs }
}
