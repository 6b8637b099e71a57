import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import type { PlanColumn, Relation } from '../logical/relation.ts'
import { type Found, type PlanScope, type RelationReader, scopeOf } from './plan-scope.ts'
import {
  checkEmpty,
  checkKeys,
  countOf,
  keySet,
  listOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
} from './raw.ts'
import { readConstant } from './read-constant.ts'
import { readAll, readExpression, type Scope } from './read-expression.ts'
import { readType } from './read-type.ts'

/** Rows that `range` may make here: they are made as one list. */
const RANGE_ROWS_MAX = 1_000_000n
const BIGINT = simpleType('BIGINT')

/** `unnest(…)`, `range(…)` and `generate_series(…)` in FROM, as the elements of a list. */
export function readTableFunction(raw: Raw, plan: PlanScope, read: RelationReader): Found {
  const name = textOf(raw, 'name')
  if (name !== 'unnest' && name !== 'range' && name !== 'generate_series') {
    return refuse(`the table function ${name}`)
  }
  checkEmpty(raw, 'named_parameters')
  checkEmpty(raw, 'projection_ids')
  const [index, ...more] = objectsOf(raw, 'column_indexes')
  if (index === undefined || more.length > 0) return refuse(`${name} of more than one column`)
  const column = plan.names.column(
    String(listOf(raw, 'names')[0]),
    name,
    readType(listOf(raw, 'returned_types')[0]),
  )
  const [input, ...others] = objectsOf(raw, 'children')
  if (others.length > 0) return refuse(`${name} of several inputs`)
  // Position 0 is a column, or what stands for the number of rows; nothing else is known of it.
  const position = index['index'] === 0 ? column : undefined
  if (input === undefined) {
    checkEmpty(raw, 'projected_input')
    const values: Relation = { kind: 'values', columns: [], rows: [[]] }
    const list = constantList(name, raw)
    return {
      relation: { kind: 'unnest', input: values, items: [{ column, expression: list }] },
      columns: [position],
    }
  }
  if (name !== 'unnest') return refuse(`${name} over the columns of a table`)
  return unnestInput(raw, { input, column, position }, { plan, read })
}

function constantList(name: string, raw: Raw): Expression {
  const values = objectsOf(raw, 'parameters').map(readConstant)
  const [only, ...more] = values
  if (only === undefined) return refuse(`${name} of nothing`)
  if (name === 'unnest') return more.length === 0 ? only : refuse('unnest of several lists')
  const numbers = values.map((value) =>
    value.kind === 'constant' &&
    value.type.kind === 'simple' &&
    value.type.name === 'BIGINT' &&
    value.value !== null
      ? BigInt(value.value)
      : refuse(`${name} of other than numbers`),
  )
  const [first = 0n, second, step = 1n] = numbers
  const [from, to] = second === undefined ? [0n, first] : [first, second]
  if (step === 0n || (to - from) / step > RANGE_ROWS_MAX) refuse(`${name} of more than a million`)
  return functionOf(
    name,
    numbers.map((value) => ({ kind: 'constant', type: BIGINT, value: String(value) })),
  )
}

const functionOf = (name: string, args: readonly Expression[]): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})

const PROJECTION_KEYS = keySet('type', 'children', 'table_index', 'expressions')

/**
 * A list of each row of an input: a projection that has the list and, behind it, the columns that pass. References in it
 * are by table and column, the table being the only operator below it.
 */
function unnestInput(
  raw: Raw,
  about: {
    readonly input: Raw
    readonly column: PlanColumn
    readonly position: PlanColumn | undefined
  },
  using: { readonly plan: PlanScope; readonly read: RelationReader },
): Found {
  const { input, column, position } = about
  if (input['type'] !== 'LOGICAL_PROJECTION') return refuse('unnest over an operator')
  checkKeys(input, PROJECTION_KEYS, 'a projection')
  const [below, ...more] = objectsOf(input, 'children')
  if (below?.['type'] !== 'LOGICAL_DELIM_GET' || more.length > 0)
    return refuse('unnest over an operator')
  const found = using.read(below, using.plan)
  const table = countOf(below['table_index'], 'table_index')
  const scope: Scope = { ...scopeOf(using.plan, found.columns), table }
  const [list, ...expressions] = objectsOf(input, 'expressions')
  if (list === undefined) return refuse('unnest of nothing')
  const expression = readExpression(list, scope)
  const passed = readAll(expressions, scope).map((e) => {
    const name = e.kind === 'column' ? e.path[0] : undefined
    return (
      found.columns.find((c) => c !== undefined && c.name === name) ??
      refuse('unnest beside an expression')
    )
  })
  const columns = listOf(raw, 'projected_input').map(
    (i) => passed[countOf(i, 'projected_input') - 1],
  )
  if (columns.includes(undefined)) return refuse('unnest beside what is not there')
  return {
    relation: { kind: 'unnest', input: found.relation, items: [{ column, expression }] },
    columns: [position, ...columns],
  }
}
