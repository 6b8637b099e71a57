/**
 * Joins that say more than is asked become plain ones.
 *
 * - A filter on the mark of a mark join is a semi join. A filter on NOT mark is an anti join where the mark is never
 *   NULL. Where it may be (`a NOT IN (…)` with NULLs), a row that matches nothing still does not pass, so the mark join
 *   stays. What stands above still finds the mark's column: it is the constant that the filter says.
 * - A single join whose right side has at most one partner for each left row is a left join.
 */
import type { Expression } from '../../sql/ir.ts'
import { columnName, FALSE, substitute, TRUE } from '../logical/expressions.ts'
import { isNeverNull, isUniqueOn, nonNullColumns } from '../logical/properties.ts'
import {
  columnRef,
  columnsOf,
  type FilterRelation,
  type JoinRelation,
  mapRelation,
  type Relation,
} from '../logical/relation.ts'
import { isNullSafe, isRepeatable } from '../logical/safety.ts'
import { filtered } from './filter-relation.ts'

export const marksToJoins = (relation: Relation): Relation =>
  mapRelation(relation, (part) => {
    if (part.kind === 'filter') return markToJoin(part)
    return part.kind === 'join' ? singleToLeft(part) : part
  })

function markToJoin(filter: FilterRelation): Relation {
  const { input: join } = filter
  if (join.kind !== 'join' || join.type !== 'mark' || join.mark === undefined) return filter
  const { mark } = join
  const asked = filter.conjuncts.find((e) => columnName(withoutNot(e)) === mark.name)
  if (asked === undefined) return filter
  const isAnti = asked.kind === 'not'
  if (isAnti && mayBeNull(join)) return filter
  const { mark: _, ...sides } = join
  const value = isAnti ? FALSE : TRUE
  const rest = filter.conjuncts
    .filter((e) => e !== asked)
    .map((e) => substitute(e, new Map([[mark.name, value]])))
  const items = columnsOf(join.left).map((column) => ({ column, expression: columnRef(column) }))
  return filtered(
    {
      kind: 'project',
      input: { ...sides, type: isAnti ? 'anti' : 'semi' },
      items: [...items, { column: mark, expression: value }],
    },
    rest,
  )
}

const withoutNot = (e: Expression): Expression => (e.kind === 'not' ? e.operand : e)

/** True unless each condition is TRUE or FALSE for all pairs of rows. */
function mayBeNull({ left, right, conditions, residual }: JoinRelation): boolean {
  const columns = new Set([...nonNullColumns(left), ...nonNullColumns(right)])
  return !(
    residual.every((e) => isNeverNull(e, columns)) &&
    conditions.every(
      (c) =>
        isNullSafe(c.operator) || (isNeverNull(c.left, columns) && isNeverNull(c.right, columns)),
    )
  )
}

/** The right columns that a left row's partners agree in make each of them the only one. */
export function singleToLeft(join: JoinRelation): JoinRelation {
  if (join.type !== 'single') return join
  const keys = join.conditions.flatMap(({ operator, left, right }) => {
    const isEqual = operator === '=' || operator === 'is not distinct from'
    const name = isEqual && isRepeatable(left) ? columnName(right) : undefined
    return name === undefined ? [] : [name]
  })
  return isUniqueOn(join.right, new Set(keys)) ? { ...join, type: 'left' } : join
}
