/**
 * A semi or anti join is a filter of its left side. Where that is an inner join and the condition reads one side of it
 * alone, it may be asked of that side before the join. That pays where it leaves few rows by a small table; else it would
 * be asked of rows that the join drops anyway.
 */
import type { Estimate } from '../fragment/cost.ts'
import { columnNames } from '../logical/expressions.ts'
import { type JoinRelation, mapRelation, type Relation } from '../logical/relation.ts'
import { isSafe } from '../logical/safety.ts'
import { type ColumnTypes, typesOfRelation } from '../logical/types.ts'
import { namesOf } from './demand.ts'

/** The part of the rows that may be left. */
const LEFT_MAX = 0.5

export function pushSemiJoins(
  root: Relation,
  estimate: Estimate,
  types: ColumnTypes = typesOfRelation(root),
): Relation {
  return mapRelation(root, (part) =>
    part.kind === 'join' && (part.type === 'semi' || part.type === 'anti')
      ? (pushed(part, estimate, types) ?? part)
      : part,
  )
}

function pushed(join: JoinRelation, estimate: Estimate, types: ColumnTypes): Relation | undefined {
  const { left: inner } = join
  if (inner.kind !== 'join' || inner.type !== 'inner') return undefined
  if (inner.dependent !== undefined || join.dependent !== undefined) return undefined
  const conditions = [...join.conditions.flatMap((c) => [c.left, c.right]), ...join.residual]
  // On its new place it meets rows without a partner in the inner join.
  if (!conditions.every((e) => isSafe(e, types))) return undefined
  const right = namesOf(join.right)
  const read = conditions.flatMap((e) => [...columnNames(e)].filter((name) => !right.has(name)))
  for (const side of ['left', 'right'] as const) {
    const columns = namesOf(inner[side])
    if (read.length === 0 || !read.every((name) => columns.has(name))) continue
    const below: JoinRelation = { ...join, left: inner[side] }
    const before = estimate(inner[side]).rows
    const isSmall = estimate(join.right).rows <= before
    if (!isSmall || estimate(below).rows > before * LEFT_MAX) return undefined
    return { ...inner, [side]: pushed(below, estimate, types) ?? below }
  }
  return undefined
}
