import type { Expression, OrderItem } from '../../sql/ir.ts'
import type { Computed, JoinCondition, Relation } from './relation.ts'

/**
 * The relation with each of its own expressions changed, those of its inputs left alone. Calls of aggregates and window
 * functions are not given to `change`, their arguments are.
 */
export function mapExpressions(
  relation: Relation,
  change: (e: Expression) => Expression,
): Relation {
  const all = (list: readonly Expression[]): readonly Expression[] => mapList(list, change)
  const items = <C extends Computed>(list: readonly C[]): readonly C[] =>
    mapList(list, (item) => mapItem(item, change))
  switch (relation.kind) {
    case 'values':
      return changed(relation, { rows: mapList(relation.rows, (row) => all(row)) })
    case 'filter':
      return changed(relation, { conjuncts: all(relation.conjuncts) })
    case 'project':
      return changed(relation, { items: items(relation.items) })
    case 'unnest':
      return changed(relation, { items: items(relation.items) })
    case 'join':
      return changed(relation, {
        conditions: mapList(relation.conditions, (c) => mapCondition(c, change)),
        residual: all(relation.residual),
      })
    case 'aggregate':
      return changed(relation, {
        keys: items(relation.keys),
        aggregates: mapList(relation.aggregates, (a) => {
          const args = all(a.expression.args)
          const filter = a.expression.filter && change(a.expression.filter)
          const isSame = args === a.expression.args && filter === a.expression.filter
          return isSame ? a : { ...a, expression: { ...a.expression, args, filter } }
        }),
      })
    case 'sort':
      return changed(relation, { orderBy: mapOrder(relation.orderBy, change) })
    case 'distinct':
    case 'window':
    case 'scan':
    case 'exchange':
    case 'limit':
    case 'set':
    case 'with':
    case 'cte':
    case 'dependent':
      return relation
  }
}

function mapItem<C extends Computed>(item: C, change: (e: Expression) => Expression): C {
  const expression = change(item.expression)
  return expression === item.expression ? item : { ...item, expression }
}

function mapCondition(
  condition: JoinCondition,
  change: (e: Expression) => Expression,
): JoinCondition {
  const left = change(condition.left)
  const right = change(condition.right)
  return left === condition.left && right === condition.right
    ? condition
    : { ...condition, left, right }
}

const mapOrder = (
  list: readonly OrderItem[],
  change: (e: Expression) => Expression,
): readonly OrderItem[] =>
  mapList(list, (item) => {
    const expression = change(item.expression)
    return expression === item.expression ? item : { ...item, expression }
  })

/** The list with each element changed; the list itself where nothing has changed. */
export function mapList<T>(list: readonly T[], change: (item: T) => T): readonly T[] {
  const mapped = list.map(change)
  return mapped.every((item, i) => item === list[i]) ? list : mapped
}

/** The relation with other fields; itself where they are the same. */
function changed<R extends Relation>(relation: R, fields: Partial<R>): R {
  const isSame = (Object.keys(fields) as (keyof R)[]).every((key) => fields[key] === relation[key])
  return isSame ? relation : { ...relation, ...fields }
}
