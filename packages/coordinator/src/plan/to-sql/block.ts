import { mapTree, someNode } from '../../sql/ir/tree.ts'
import type {
  ColumnRef,
  Expression,
  GroupBy,
  OrderItem,
  Query,
  Select,
  TableRef,
} from '../../sql/ir.ts'

/**
 * A SELECT that is being made: operators are added to it as long as it can say them, and when it cannot, it becomes a
 * table of another. All expressions in it are over the tables of its FROM, whose columns are `[alias, column]`.
 */
export interface Block {
  /** Absent: one row without columns. */
  readonly from?: TableRef | undefined
  /** The plan's columns that it has, and what each is in terms of FROM. */
  readonly columns: ReadonlyMap<string, Expression>
  readonly where: readonly Expression[]
  /** With no expressions: one row for all, which needs an aggregate to be said. */
  readonly groupBy?: GroupBy | undefined
  readonly having: readonly Expression[]
  readonly hasWindows: boolean
  /** Has UNNEST in its select list, so that all its columns must be selected just as they are. */
  readonly hasUnnest: boolean
  readonly distinct?: Select['distinct']
  readonly orderBy: readonly OrderItem[]
  readonly limit?: { readonly count: number | undefined; readonly offset: number } | undefined
  /** FROM is this query alone, of these columns: what it selects is in the end the query itself. */
  readonly query?: { readonly query: Query; readonly columns: readonly string[] } | undefined
}

export const emptyBlock: Block = {
  columns: new Map(),
  where: [],
  having: [],
  hasWindows: false,
  hasUnnest: false,
  orderBy: [],
}

/** Rows are still those of FROM, in no order: only WHERE may have been said. */
export const isOpen = (block: Block): boolean =>
  block.groupBy === undefined &&
  !block.hasWindows &&
  !block.hasUnnest &&
  block.distinct === undefined &&
  block.orderBy.length === 0 &&
  block.limit === undefined

/** Grouped, but nothing behind it. */
export const isGrouped = (block: Block): boolean =>
  block.groupBy !== undefined && isOpen({ ...block, groupBy: undefined })

/** With several grouping sets a key is NULL in some rows, so that it is not everywhere what it was computed from. */
export const hasSets = (block: Block): boolean =>
  block.groupBy !== undefined && block.groupBy.sets.length > 1

/** DISTINCT over all columns: none can be left out. */
export const isDistinct = (block: Block): boolean => block.distinct?.on.length === 0

const isPlain = (expression: Expression): boolean =>
  expression.kind === 'column' || expression.kind === 'constant'

/** True when all these columns are columns of FROM, and no constants either. */
export const arePlain = (block: Block, names: Iterable<string>): boolean => {
  for (const name of names) {
    const expression = block.columns.get(name)
    if (expression !== undefined && expression.kind !== 'column') return false
  }
  return true
}

/** How often each column of `block` that is computed is named in `expressions`. */
function countComputed(block: Block, expressions: readonly Expression[]): Map<string, number> {
  const counts = new Map<string, number>()
  someNode(expressions, (node) => {
    if (node.kind !== 'column') return false
    const name = (node as ColumnRef).path[0] ?? ''
    const expression = block.columns.get(name)
    if (expression !== undefined && !isPlain(expression)) {
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    return false
  })
  return counts
}

/**
 * True when expressions can be written in `block` without computing anything twice that was computed once: each computed
 * column is named once, by them or above. Aggregates are no matter: equal ones are computed once.
 */
export function canInline(
  block: Block,
  expressions: readonly Expression[],
  above: ReadonlySet<string> = new Set(),
): boolean {
  if (block.groupBy !== undefined && !block.hasWindows && !hasSets(block)) return true
  for (const [name, count] of countComputed(block, expressions)) {
    if (count > 1 || above.has(name)) return false
  }
  return true
}

/** Parts of expressions that are literals have a type of their own where literals bind otherwise than columns. */
const asOperand = (expression: Expression): Expression =>
  expression.kind === 'constant' &&
  expression.type.kind === 'simple' &&
  /INT/.test(expression.type.name)
    ? { kind: 'cast', operand: expression, type: expression.type, try: false }
    : expression

/** An expression over the plan's columns, as one over the tables of FROM. */
export function inBlock<T extends Expression>(expression: T, block: Block): Expression {
  if (expression.kind === 'column') return columnIn(expression, block) ?? expression
  return mapTree<Expression>(expression, (node) => {
    if (node.kind !== 'column') return undefined
    const found = columnIn(node as ColumnRef, block)
    return found === undefined ? node : asOperand(found)
  })
}

const columnIn = (column: ColumnRef, block: Block): Expression | undefined =>
  block.columns.get(column.path[0] ?? '')

export const allInBlock = (
  expressions: readonly Expression[],
  block: Block,
): readonly Expression[] => expressions.map((e) => inBlock(e, block))

export const orderInBlock = (items: readonly OrderItem[], block: Block): readonly OrderItem[] =>
  items.map((item) => ({ ...item, expression: inBlock(item.expression, block) }))
