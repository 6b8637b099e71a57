import { unreachable } from '@nyala/client/base'
import { someNode } from '../../sql/ir/tree.ts'
import type { Expression, FunctionCall, Join, Query, TableRef } from '../../sql/ir.ts'
import { allOf, columnName, columnNames, conjunctsOf, TRUE } from '../logical/expressions.ts'
import { isNeverNull, isUniqueOn } from '../logical/properties.ts'
import {
  columnsOf,
  inputsOf,
  type JoinCondition,
  type JoinRelation,
  type Relation,
} from '../logical/relation.ts'
import { isNullSafe } from '../logical/safety.ts'
import { arePlain, type Block, inBlock, isOpen } from './block.ts'
import { emitBlock } from './emit-block.ts'
import type { Names, QueryBuilder } from './to-query.ts'

/** A join as a block, all of whose columns are columns of its FROM but for the mark and what a subquery gives. */
export function buildJoin(builder: QueryBuilder, join: JoinRelation, needed: Names): Block {
  const own = (side: 'left' | 'right'): Names => {
    const columns = new Set(columnsOf(join[side]).map((c) => c.name))
    const read = [...join.conditions.map((c) => c[side]), ...join.residual]
    const names = new Set([...needed].filter((name) => columns.has(name)))
    for (const e of read) for (const name of columnNames(e)) if (columns.has(name)) names.add(name)
    return names
  }
  const sides = { left: own('left'), right: own('right') }
  if (join.type === 'mark') {
    const left = leftSide(builder, join, { needed: sides.left, plain: readOf(join) })
    return markJoin(builder, join, { left, needed })
  }
  if (join.type === 'single' && !isUnique(join)) {
    const left = leftSide(builder, join, { needed: sides.left, plain: readOf(join) })
    return subqueryJoin(builder, join, { left, needed })
  }
  const left = leftSide(builder, join, { needed: sides.left, plain: sides.left })
  const right = tableSide(builder, builder.build(join.right, sides.right), sides.right)
  return plainJoin(builder, join, { ...inOurOrder(builder, join, { left, right, sides }), sides })
}

/**
 * The kernel puts joins into an order of its own, for which it does not know how many different values an exchange has
 * in a column: joining one by a column of few values multiplied rows by 400. It does not look into a subquery that is
 * joined, so that there the order is that of the plan.
 */
function inOurOrder(
  builder: QueryBuilder,
  join: JoinRelation,
  { left, right, sides }: Sides,
): Pick<Sides, 'left' | 'right'> {
  const isJoin = (block: Block): boolean => block.from?.kind === 'join'
  // It also puts semi and anti joins before inner joins that would leave them fewer rows.
  const isAsked = join.type === 'semi' || join.type === 'anti'
  if ((!isJoin(left) && !isJoin(right)) || !(isAsked || readsExchange(join))) return { left, right }
  return {
    left: isJoin(left) ? builder.wrap(left, sides.left) : left,
    right: isJoin(right) ? builder.wrap(right, sides.right) : right,
  }
}

const readsExchange = (relation: Relation): boolean =>
  relation.kind === 'exchange' || inputsOf(relation).some(readsExchange)

/** The columns that conditions read. */
const readOf = (join: JoinRelation): Names =>
  new Set(
    [...join.conditions.map((c) => c.left), ...join.residual].flatMap((e) => [...columnNames(e)]),
  )

interface LeftNames {
  readonly needed: Names
  /** Of these, what has to be columns of tables rather than computed. */
  readonly plain: Names
}

/** The left side; once for all, where the right side reads it too. */
function leftSide(builder: QueryBuilder, join: JoinRelation, { needed, plain }: LeftNames): Block {
  const { dependent } = join
  if (dependent === undefined) {
    const block = builder.build(join.left, needed)
    const isInside = plain !== needed && isOpen(block) && arePlain(block, plain)
    return isInside && block.from !== undefined ? block : tableSide(builder, block, needed)
  }
  const names = new Set(needed)
  for (const e of dependent.columns) for (const name of columnNames(e)) names.add(name)
  const columns = columnsOf(join.left).flatMap(({ name }) => (names.has(name) ? [name] : []))
  const query = builder.query(
    join.left,
    columns.map((name) => ({ column: name, name })),
  )
  // Materialized: computed twice, the two could differ, where LIMIT takes any rows.
  const named = builder.name('l', query, columns, true)
  const block = builder.tableOf(named)
  builder.addDependent(dependent.id, block, dependent.columns)
  return block
}

/** A block that is no more than tables and a WHERE over them, all columns needed of it being columns of these. */
function tableSide(builder: QueryBuilder, block: Block, needed: Names): Block {
  const isTable = isOpen(block) && arePlain(block, needed) && !block.where.some(hasSubquery)
  const isNothing = block.from === undefined && (needed.size > 0 || block.where.length > 0)
  return isTable && !isNothing ? block : builder.wrap(block, needed)
}

const hasSubquery = (e: Expression): boolean =>
  someNode(e, (node) => node.kind === 'select' || node.kind === 'setOperation')

interface Sides {
  readonly left: Block
  readonly right: Block
  readonly sides: { readonly left: Names; readonly right: Names }
}

function plainJoin(builder: QueryBuilder, join: JoinRelation, given: Sides): Block {
  let { left, right } = given
  const { type } = join
  // Where the other side's rows are kept, a filter of this side belongs before the join.
  if (type === 'full' && left.where.length > 0) {
    left = builder.wrap(left, given.sides.left)
  }
  if (type === 'full' && right.where.length > 0) right = builder.wrap(right, given.sides.right)
  const both: Block = { ...left, columns: new Map([...left.columns, ...right.columns]) }
  const conditions = conditionsOf(join, both)
  const columns = type === 'semi' || type === 'anti' ? left.columns : both.columns
  const [before, after] = splitWhere(type, left, right)
  const on = [...conditions, ...before]
  const from = joinTables(type, { left: left.from, right: right.from }, on)
  if (from === undefined) return { ...both, columns, where: [...after, ...on], query: undefined }
  return { ...left, from: from.table, columns, where: [...after, ...from.where], query: undefined }
}

/** What is said in WHERE of the sides: what then stands in ON, and what in WHERE of the whole. */
function splitWhere(
  type: JoinRelation['type'],
  left: Block,
  right: Block,
): readonly [readonly Expression[], readonly Expression[]] {
  switch (type) {
    case 'inner':
    case 'full':
      return [[], [...left.where, ...right.where]]
    case 'left':
    case 'semi':
    case 'anti':
    case 'mark':
    case 'single':
      return [right.where, left.where]
    case 'right':
      return [left.where, right.where]
    default:
      return unreachable(type)
  }
}

const conditionsOf = (join: JoinRelation, block: Block): readonly Expression[] =>
  [...join.conditions.map(comparisonOf), ...join.residual].map((e) => inBlock(e, block))

const comparisonOf = ({ operator, left, right }: JoinCondition): Expression => ({
  kind: 'comparison',
  operator,
  left,
  right,
})

/** Tables joined. A side that is one row without columns adds nothing to an inner join. */
function joinTables(
  type: JoinRelation['type'],
  { left, right }: { readonly left: TableRef | undefined; readonly right: TableRef | undefined },
  on: readonly Expression[],
): { readonly table: TableRef; readonly where: readonly Expression[] } | undefined {
  const one = left ?? right
  if (left === undefined || right === undefined) {
    if (type === 'inner' && one !== undefined) return { table: one, where: on }
    if (type === 'inner') return undefined
  }
  const base = { kind: 'join', columnAliases: [], using: [] } as const
  const sides = { left: left ?? oneRow, right: right ?? oneRow }
  const joined = type === 'mark' || type === 'single' ? 'left' : type
  const table: Join =
    on.length === 0 && type === 'inner'
      ? { ...base, ...sides, type: 'inner', form: 'cross' }
      : { ...base, ...sides, type: joined, form: 'regular', condition: allOf(on) }
  return { table, where: [] }
}

/** A table of one row of which nothing is read. */
const oneRow: TableRef = {
  kind: 'values',
  rows: [[TRUE]],
  alias: 'one_row',
  columnAliases: ['one'],
}

/** The value of IN and of EXISTS as a column that is computed. */
function markJoin(
  builder: QueryBuilder,
  join: JoinRelation,
  { left, needed }: { readonly left: Block; readonly needed: Names },
): Block {
  const { mark } = join
  if (mark === undefined || !needed.has(mark.name)) return left
  const value = markValue(builder, join, left)
  return { ...left, query: undefined, columns: new Map([...left.columns, [mark.name, value]]) }
}

/**
 * Whether a right row matches: true where for one all conditions are true, else NULL where for one they are neither true
 * nor false, else false. What is never NULL only chooses among the rows. With a single condition that may be NULL this is
 * IN (or ANY), with none EXISTS, and with several equalities IN of a row.
 */
function markValue(builder: QueryBuilder, join: JoinRelation, left: Block): Expression {
  const open = join.conditions.filter((c) => !isNullSafe(c.operator))
  const closed = join.conditions.filter((c) => isNullSafe(c.operator)).map(comparisonOf)
  const isClosed = (e: Expression): boolean => isNeverNull(e, NO_COLUMNS)
  const rest = join.residual.filter((e) => !isClosed(e))
  const where = [...closed, ...join.residual.filter(isClosed)]
  const isRow = open.every((c) => c.operator === '=')
  if (rest.length === 0 && (open.length < 2 || isRow)) {
    const query = subquery(builder, join, { left, items: open.map((c) => c.right), where })
    const operands = open.map((c) => inBlock(c.left, left))
    const [operand] = operands
    if (operand === undefined) return { kind: 'exists', query }
    const whole = operands.length === 1 ? operand : rowOf(operands)
    return { kind: 'anySubquery', operand: whole, operator: open[0]?.operator ?? '=', query }
  }
  const item = allOf([...open.map(comparisonOf), ...rest])
  const query = subquery(builder, join, { left, items: [item], where })
  return { kind: 'anySubquery', operand: TRUE, operator: '=', query }
}

const NO_COLUMNS: ReadonlySet<string> = new Set()

const rowOf = (args: readonly Expression[]): FunctionCall => ({
  kind: 'function',
  name: 'row',
  schema: 'main',
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})

/** The right side of a join as a query of `items`, its rows those for which `where` is true beside a row of `left`. */
function subquery(
  builder: QueryBuilder,
  join: JoinRelation,
  about: {
    readonly left: Block
    readonly items: readonly Expression[]
    readonly where: readonly Expression[]
  },
): Query {
  const { left, items, where } = about
  const own = new Set(columnsOf(join.right).map((c) => c.name))
  const needed = new Set<string>()
  for (const e of [...items, ...where]) {
    for (const name of columnNames(e)) if (own.has(name)) needed.add(name)
  }
  const block = builder.build(join.right, needed)
  const right = readsNamed(join.right)
    ? namedSide(builder, block, needed)
    : tableSide(builder, block, needed)
  const both: Block = { ...right, columns: new Map([...left.columns, ...right.columns]) }
  const columns = items.map((item, i) => [`item ${i}`, inBlock(item, both)] as const)
  return emitBlock(
    {
      ...right,
      query: undefined,
      where: [...right.where, ...where.flatMap(conjunctsOf).map((e) => inBlock(e, both))],
      columns: new Map(columns),
    },
    columns.map(([column], i) => ({ column, name: `item_${i + 1}` })),
  )
}

/**
 * A block as a query of the WITH list. The kernel takes all that reads one of an outer query for correlated, and refuses
 * a semi or anti join over it in a subquery.
 */
function namedSide(builder: QueryBuilder, block: Block, needed: Names): Block {
  const wrapped = builder.wrap(block, needed)
  if (wrapped.query === undefined) return wrapped
  const { query, columns } = wrapped.query
  return builder.tableOf(builder.name('r', query, columns, true))
}

const readsNamed = (relation: Relation): boolean =>
  relation.kind === 'cte' || relation.kind === 'dependent' || inputsOf(relation).some(readsNamed)

/** True when no left row can have two right rows. */
function isUnique(join: JoinRelation): boolean {
  const keys = join.conditions.flatMap((c) => {
    const name = columnName(c.right)
    const isEqual = c.operator === '=' || c.operator === 'is not distinct from'
    return name === undefined || !isEqual ? [] : [name]
  })
  return isUniqueOn(join.right, new Set(keys))
}

/** Each left row with the one right row that matches, if any. That two are an error only a subquery can say. */
function subqueryJoin(
  builder: QueryBuilder,
  join: JoinRelation,
  { left, needed }: { readonly left: Block; readonly needed: Names },
): Block {
  const outputs = columnsOf(join.right).flatMap((c) => (needed.has(c.name) ? [c.name] : []))
  const items = outputs.map((name): Expression => ({ kind: 'column', path: [name] }))
  const where = [...join.conditions.map(comparisonOf), ...join.residual]
  const [only, ...more] = items
  if (only === undefined) return left
  if (more.length === 0) {
    const query = subquery(builder, join, { left, items, where })
    return withColumns(left, [[outputs[0] ?? '', { kind: 'scalarSubquery', query }]])
  }
  const packed: FunctionCall = { ...rowOf(items), name: 'struct_pack', argNames: outputs }
  const query = subquery(builder, join, { left, items: [packed], where })
  const whole = withColumns(left, [['whole row', { kind: 'scalarSubquery', query }]])
  const base = builder.wrap(whole, new Set(whole.columns.keys()))
  const row = base.columns.get('whole row')
  return withColumns(
    base,
    outputs.map((name) => [name, fieldOf(row ?? TRUE, name)]),
  )
}

const withColumns = (block: Block, columns: readonly (readonly [string, Expression])[]): Block => ({
  ...block,
  query: undefined,
  columns: new Map([...block.columns, ...columns]),
})

const fieldOf = (row: Expression, name: string): FunctionCall => ({
  ...rowOf([row, { kind: 'constant', type: { kind: 'simple', name: 'VARCHAR' }, value: name }]),
  name: 'struct_extract',
})
