import type { Expression, OrderItem } from '../../sql/ir.ts'
import { renderExpression } from '../../sql/renderer.ts'
import {
  columnsOf,
  type ExchangeRelation,
  inputsOf,
  type JoinRelation,
  type Relation,
} from './relation.ts'

/** A line for each relation, its inputs below it and further to the right, with expressions as SQL. */
export function relationTree(relation: Relation, depth = 0): string {
  const line = '  '.repeat(depth) + describe(relation)
  return [line, ...inputsOf(relation).map((input) => relationTree(input, depth + 1))].join('\n')
}

/** One relation without its inputs, on one line. */
export function describe(relation: Relation): string {
  switch (relation.kind) {
    case 'scan': {
      const columns = relation.columns.map((c) => renamed(c.name, c.source))
      return `scan ${relation.scan} [${columns.join(', ')}]`
    }
    case 'exchange':
      return `exchange ${relation.exchange} [${namesOf(relation)}]${inRanges(relation)}`
    case 'values':
      return `values [${namesOf(relation)}] ${counted(relation.rows.length, 'row')}`
    case 'filter':
      return `filter ${relation.conjuncts.map(sql).join(' AND ')}`
    case 'project':
      return `project ${relation.items.map(computed).join(', ')}`
    case 'join':
      return describeJoin(relation)
    case 'aggregate':
      return describeAggregate(relation)
    case 'distinct': {
      const on = relation.on === undefined ? '' : ` on ${relation.on.map(sql).join(', ')}`
      return `distinct${on}${ordered(relation.orderBy)}`
    }
    case 'window':
      return `window ${relation.windows.map(computed).join(', ')}`
    case 'unnest':
      return `unnest ${relation.items.map(computed).join(', ')}`
    case 'sort':
      return `sort${ordered(relation.orderBy)}`
    case 'limit': {
      const count = relation.count === undefined ? 'all' : String(relation.count)
      return `limit ${count}${relation.offset === 0 ? '' : ` offset ${relation.offset}`}`
    }
    case 'set':
      return `${relation.operator}${relation.all ? ' all' : ''} [${namesOf(relation)}]`
    case 'with':
      return `with ${relation.id}`
    case 'cte':
      return `cte ${relation.id} [${namesOf(relation)}]`
    case 'dependent':
      return `dependent ${relation.id} [${namesOf(relation)}]`
  }
}

const inRanges = ({ range }: ExchangeRelation): string =>
  range === undefined ? '' : ` in ranges${ordered(range.orderBy)}`

function describeJoin(join: JoinRelation): string {
  const on = join.conditions.map((c) => `${sql(c.left)} ${c.operator} ${sql(c.right)}`)
  const conditions = [...on, ...join.residual.map(sql)]
  const isCross = join.type === 'inner' && conditions.length === 0
  const parts = [isCross ? 'cross join' : `${join.type} join`]
  if (conditions.length > 0) parts.push(`on ${conditions.join(' AND ')}`)
  if (join.mark !== undefined) parts.push(`as ${join.mark.name}`)
  if (join.dependent !== undefined) {
    parts.push(`dependent ${join.dependent.id} (${join.dependent.columns.map(sql).join(', ')})`)
  }
  return parts.join(' ')
}

function describeAggregate(relation: Extract<Relation, { kind: 'aggregate' }>): string {
  const { keys, sets, aggregates, groupings } = relation
  const values = [
    ...aggregates.map(computed),
    ...groupings.map((g) => `${g.column.name} := GROUPING(${g.keys.join(', ')})`),
  ]
  const by = keys.length === 0 ? '' : ` by ${keys.map(computed).join(', ')}`
  const [first] = sets
  const isPlain = sets.length === 1 && first?.length === keys.length
  const of = isPlain ? '' : ` in sets ${sets.map((set) => `(${set.join(', ')})`).join(' ')}`
  return `aggregate ${values.join(', ')}${by}${of}`.replace(/ {2,}/g, ' ')
}

const sql = (e: Expression): string =>
  // Quotes are for the kernel: people read the tree better without.
  renderExpression(e).replace(/"([A-Za-z_][A-Za-z0-9_]*)"/g, '$1')

const renamed = (name: string, source: string): string =>
  name === source ? name : `${source} AS ${name}`

const computed = (item: {
  readonly column: { readonly name: string }
  readonly expression: Expression
}): string =>
  item.expression.kind === 'column' && item.expression.path[0] === item.column.name
    ? item.column.name
    : `${item.column.name} := ${sql(item.expression)}`

function ordered(items: readonly OrderItem[]): string {
  if (items.length === 0) return ''
  const texts = items.map(({ expression, direction, nulls }) => {
    const way = direction === 'default' ? '' : ` ${direction}`
    return `${sql(expression)}${way}${nulls === 'default' ? '' : ` nulls ${nulls}`}`
  })
  return ` by ${texts.join(', ')}`
}

const namesOf = (relation: Relation): string =>
  columnsOf(relation)
    .map((c) => c.name)
    .join(', ')

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
