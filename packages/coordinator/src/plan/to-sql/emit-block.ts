import { foldName } from '@nyala/metastore'
import { equalIr } from '../../sql/ir/equal.ts'
import { mapTree } from '../../sql/ir/tree.ts'
import type {
  ColumnRef,
  Constant,
  Expression,
  OrderItem,
  Query,
  Select,
  SelectItem,
  TableRef,
} from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { allOf } from '../logical/expressions.ts'
import type { Block } from './block.ts'

/** A column of the plan, and the name under which it is selected. */
export interface Output {
  readonly column: string
  readonly name: string
}

export const integer = (value: number): Constant => ({
  kind: 'constant',
  type: simpleType(value < 2 ** 31 ? 'INTEGER' : 'BIGINT'),
  value: String(value),
})

/** Selected where no column is wanted and only the number of rows matters. */
const NO_COLUMN: SelectItem = { expression: integer(1), alias: 'one' }

/** The block as a query of these columns. */
export function emitBlock(block: Block, outputs: readonly Output[]): Query {
  const same = sameQuery(block, outputs)
  if (same !== undefined) return same
  const items = outputs.map(({ column, name }): SelectItem => {
    const expression = block.columns.get(column)
    if (expression === undefined) throw new Error(`column ${column} is nowhere made`)
    return { expression, alias: name }
  })
  const select: Select = {
    kind: 'select',
    ctes: [],
    ...(block.distinct === undefined ? {} : { distinct: block.distinct }),
    items: items.length === 0 ? [NO_COLUMN] : items,
    ...(block.from === undefined ? {} : { from: block.from }),
    ...(block.where.length === 0 ? {} : { where: allOf(block.where) }),
    ...(block.groupBy === undefined ||
    block.groupBy.expressions.length + block.groupBy.sets.length < 2
      ? {}
      : { groupBy: block.groupBy }),
    ...(block.having.length === 0 ? {} : { having: allOf(block.having) }),
    orderBy: orderTerms(block, items),
    ...(block.limit === undefined ? {} : { limit: limitOf(block.limit) }),
  }
  return withoutAliases(shortened(select))
}

function limitOf({ count, offset }: NonNullable<Block['limit']>): NonNullable<Select['limit']> {
  return {
    ...(count === undefined ? {} : { count: integer(count) }),
    ...(offset === 0 ? {} : { offset: integer(offset) }),
    percent: false,
  }
}

/** The query that a block selects from, where it selects just that. */
function sameQuery(block: Block, outputs: readonly Output[]): Query | undefined {
  const { query, where, groupBy, having, distinct, orderBy, limit } = block
  if (query === undefined || query.columns.length !== outputs.length) return undefined
  if (where.length + having.length + orderBy.length > 0) return undefined
  if (groupBy !== undefined || distinct !== undefined || limit !== undefined) return undefined
  const isSame = outputs.every(({ column, name }, i) => {
    const expression = block.columns.get(column)
    return (
      expression?.kind === 'column' &&
      expression.path[1] === query.columns[i] &&
      name === query.columns[i]
    )
  })
  return isSame ? query.query : undefined
}

/** Terms that are computed columns of the select list are named by them, so that they are not computed again. */
function orderTerms(block: Block, items: readonly SelectItem[]): readonly OrderItem[] {
  return block.orderBy.flatMap((term) => {
    const { expression } = term
    // The place of a constant is nowhere; written out, it would be the number of a column.
    if (expression.kind === 'constant') return []
    if (expression.kind === 'column' && block.distinct === undefined) return [term]
    const index = items.findIndex((item) => equalIr(item.expression, expression))
    if (index < 0) return [term]
    return [{ ...term, expression: namedOutput(items, index) }]
  })
}

/** A column of the select list by its alias, where that is no other's, else by its number. */
function namedOutput(items: readonly SelectItem[], index: number): Expression {
  const alias = foldName(items[index]?.alias ?? '')
  const isUnique = items.every((item, i) => i === index || foldName(item.alias ?? '') !== alias)
  if (!isUnique || !PLAIN_NAME.test(alias) || WORDS.has(alias)) return integer(index + 1)
  return { kind: 'column', path: [items[index]?.alias ?? ''] }
}

const PLAIN_NAME = /^[a-z_][a-z0-9_]*$/
/** Words that mean another thing than a column where they stand alone. */
const WORDS: ReadonlySet<string> = new Set(['all'])

/** Columns without the name of their table, where there is one table and no alias of the select list is in the way. */
function shortened(select: Select): Select {
  const table = onlyTable(select.from)
  if (table === undefined) return select
  const aliases = new Map<string, Expression | undefined>()
  for (const { alias, expression } of select.items) {
    const key = foldName(alias ?? '')
    aliases.set(key, aliases.has(key) ? undefined : expression)
  }
  const shorten = (column: ColumnRef): ColumnRef | undefined => {
    const [alias, name = ''] = column.path
    if (column.path.length !== 2 || alias !== table.alias) return column
    const key = foldName(name)
    if (WORDS.has(key) || (aliases.has(key) && !isColumn(aliases.get(key), alias, name))) {
      return column
    }
    return { kind: 'column', path: [name] }
  }
  const { from, ctes, ...rest } = select
  const changed = mapTree(rest, (node) => {
    // Inside a subquery the name could be that of a column there. The select itself is the first node.
    if ((node.kind === 'select' && node !== rest) || node.kind === 'setOperation') return node
    return node.kind === 'column' ? shorten(node as ColumnRef) : undefined
  })
  return { ...changed, ctes, from }
}

const isColumn = (e: Expression | undefined, alias: string | undefined, name: string): boolean =>
  e?.kind === 'column' && e.path.length === 2 && e.path[0] === alias && e.path[1] === name

const onlyTable = (from: TableRef | undefined): TableRef | undefined =>
  from === undefined || from.kind === 'join' ? undefined : from

/** Items without an alias that says nothing. */
const withoutAliases = (select: Select): Select => ({
  ...select,
  items: select.items.map((item) =>
    item.expression.kind === 'column' && item.expression.path.at(-1) === item.alias
      ? { expression: item.expression }
      : item,
  ),
})
