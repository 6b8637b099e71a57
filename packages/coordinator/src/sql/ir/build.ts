import { assert } from '@nyala/client/base'
import type {
  BaseTable,
  Cast,
  ColumnRef,
  Comparison,
  ComparisonOperator,
  Constant,
  Expression,
  FunctionCall,
  Join,
  OrderItem,
  Query,
  Select,
  SelectItem,
  Star,
  SubqueryRef,
  TableRef,
} from '../ir.ts'
import { decimalType, simpleType, type SqlType } from '../sql-types.ts'

/** Constructors of the nodes that rules make most. They fill the fields that are lists or flags. */

export const column = (...path: readonly [string, ...string[]]): ColumnRef => ({
  kind: 'column',
  path,
})

export const constant = (type: SqlType, value: Constant['value']): Constant => ({
  kind: 'constant',
  type,
  value,
})

export const nullConstant: Constant = constant(simpleType('NULL'), null)
export const text = (value: string): Constant => constant(simpleType('VARCHAR'), value)
export const truth = (value: boolean): Constant => constant(simpleType('BOOLEAN'), value)

/** A whole number with the type its digits have in SQL. */
export function integer(value: number | bigint): Constant {
  const whole = BigInt(value)
  const magnitude = whole < 0n ? -whole : whole
  if (magnitude < 1n << 31n) return constant(simpleType('INTEGER'), whole.toString())
  const isBigint = magnitude < 1n << 63n
  return constant(simpleType(isBigint ? 'BIGINT' : 'HUGEINT'), whole.toString())
}

export function double(value: number): Constant {
  return constant(
    simpleType('DOUBLE'),
    Number.isFinite(value) ? value.toExponential() : String(value),
  )
}

/** `decimal("1.50")` is DECIMAL(3,2), as the literal is. */
export function decimal(value: string): Constant {
  const match = /^-?(\d+)(?:\.(\d*))?$/.exec(value)
  assert(match !== null, () => `not a decimal: ${value}`)
  const [, whole = '', fraction = ''] = match
  return constant(decimalType(whole.length + fraction.length, fraction.length), value)
}

type CallOptions = Partial<
  Pick<FunctionCall, 'schema' | 'distinct' | 'filter' | 'orderBy' | 'argNames'>
>

export const call = (
  name: string,
  args: readonly Expression[],
  options: CallOptions = {},
): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
  ...options,
})

/** `left + right`, `-operand`: a function written as an operator. */
export const operator = (name: string, ...operands: readonly Expression[]): FunctionCall => ({
  ...call(name, operands),
  operator: true,
})

export const cast = (operand: Expression, type: SqlType): Cast => ({
  kind: 'cast',
  operand,
  type,
  try: false,
})

export const comparison = (
  left: Expression,
  op: ComparisonOperator,
  right: Expression,
): Comparison => ({ kind: 'comparison', operator: op, left, right })

export const equals = (left: Expression, right: Expression): Comparison =>
  comparison(left, '=', right)

/** AND of all terms: none is TRUE, one is itself. */
export const and = (...terms: readonly Expression[]): Expression => conjunction('and', terms)

/** OR of all terms: none is FALSE, one is itself. */
export const or = (...terms: readonly Expression[]): Expression => conjunction('or', terms)

function conjunction(op: 'and' | 'or', terms: readonly Expression[]): Expression {
  const [first, ...rest] = terms
  if (first === undefined) return truth(op === 'and')
  return rest.length === 0 ? first : { kind: 'conjunction', operator: op, operands: terms }
}

export const not = (operand: Expression): Expression => ({ kind: 'not', operand })

export const star = (table?: string): Star => ({
  kind: 'star',
  table,
  exclude: [],
  replace: [],
  rename: [],
  columns: false,
})

export const item = (expression: Expression, alias?: string): SelectItem =>
  alias === undefined ? { expression } : { expression, alias }

export const orderItem = (
  expression: Expression,
  direction: OrderItem['direction'] = 'default',
  nulls: OrderItem['nulls'] = 'default',
): OrderItem => ({ expression, direction, nulls })

/** A SELECT with what is given and nothing else. */
export const select = (
  fields: Partial<Omit<Select, 'kind' | 'items'>> & Pick<Select, 'items'>,
): Select => ({ kind: 'select', ctes: [], orderBy: [], ...fields })

export const table = (path: readonly string[], alias?: string): BaseTable => {
  const name = path.at(-1)
  assert(name !== undefined && path.length <= 3, 'a table has one to three names')
  const [schema, catalog] = [path.at(-2), path.at(-3)]
  return { kind: 'table', catalog, schema, table: name, alias, columnAliases: [] }
}

export const subquery = (query: Query, alias?: string): SubqueryRef => ({
  kind: 'subquery',
  query,
  alias,
  columnAliases: [],
})

/** A join with ON; without a condition the cross join. */
export const join = (
  left: TableRef,
  right: TableRef,
  condition: Expression | undefined,
  type: Join['type'] = 'inner',
): Join => ({
  kind: 'join',
  type,
  form: condition === undefined ? 'cross' : 'regular',
  left,
  right,
  condition,
  using: [],
  columnAliases: [],
})
