/**
 * `key IS NOT NULL` below a join that compares the key for equality says nothing: a row with NULL finds no partner there.
 * It is of use while rules look at which columns may be NULL, and harm afterwards: of each condition the kernel expects that
 * it leaves a fifth of the rows, and builds the hash table of the larger side.
 */
import type { Expression } from '../../sql/ir.ts'
import { columnName } from '../logical/expressions.ts'
import {
  type JoinRelation,
  type JoinType,
  mapRelation,
  type Relation,
  withInputs,
} from '../logical/relation.ts'
import { strictColumns } from '../logical/safety.ts'

/** Joins in which a row of the side does nothing without a partner. */
const DROPS: Readonly<Record<'left' | 'right', ReadonlySet<JoinType>>> = {
  left: new Set<JoinType>(['inner', 'semi', 'right']),
  right: new Set<JoinType>(['inner', 'left', 'semi', 'anti', 'single']),
}

export function dropNullTests(root: Relation): Relation {
  return mapRelation(root, (part) => {
    if (part.kind !== 'join' || part.dependent !== undefined) return part
    const left = without(part, 'left')
    const right = without(part, 'right')
    return left === part.left && right === part.right ? part : { ...part, left, right }
  })
}

function without(join: JoinRelation, side: 'left' | 'right'): Relation {
  if (!DROPS[side].has(join.type)) return join[side]
  const keys = join.conditions.flatMap((c) => (c.operator === '=' ? strictColumns(c[side]) : []))
  return keys.length === 0 ? join[side] : withoutTests(join[side], new Set(keys))
}

/** The relation without tests of these columns for NULL, as far as they are those of a filter at its top. */
function withoutTests(relation: Relation, keys: ReadonlySet<string>): Relation {
  if (relation.kind === 'project') {
    const below = relation.items.flatMap(({ column, expression }) =>
      keys.has(column.name) ? strictColumns(expression) : [],
    )
    return withInputs(relation, [withoutTests(relation.input, new Set(below))])
  }
  if (relation.kind !== 'filter') return relation
  const isSaid = (e: Expression): boolean =>
    e.kind === 'isNull' && e.negated && keys.has(columnName(e.operand) ?? '')
  const conjuncts = relation.conjuncts.filter((e) => !isSaid(e))
  if (conjuncts.length === relation.conjuncts.length) return relation
  return conjuncts.length === 0 ? relation.input : { ...relation, conjuncts }
}
