import { DuckDBInstance } from '@duckdb/node-api'
import t from 'tap'
import type { Constant, Expression } from '../../sql/ir.ts'
import { simpleType, type SimpleTypeName } from '../../sql/sql-types.ts'
import { columnRef } from './relation.ts'
import { isRepeatable, isSafe, rejectedNulls, VOLATILE_FUNCTIONS } from './safety.ts'

const types = new Map(
  (
    [
      ['i', 'INTEGER'],
      ['l', 'BIGINT'],
      ['s', 'VARCHAR'],
      ['x', 'DOUBLE'],
      ['d', 'DATE'],
    ] as const
  ).map(([name, type]) => [name, simpleType(type)]),
)
const column = (name: string): Expression => columnRef({ name })
const constant = (value: string, type: SimpleTypeName): Constant => ({
  kind: 'constant',
  type: simpleType(type),
  value,
})
const call = (name: string, ...args: readonly Expression[]): Expression => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})
const cast = (operand: Expression, type: SimpleTypeName): Expression => ({
  kind: 'cast',
  operand,
  type: simpleType(type),
  try: false,
})
const equals = (left: Expression, right: Expression): Expression => ({
  kind: 'comparison',
  operator: '=',
  left,
  right,
})

t.test('the functions that are not repeatable are those that the kernel calls so', async (t) => {
  const instance = await DuckDBInstance.create(':memory:')
  const kernel = await instance.connect()
  t.teardown(() => {
    kernel.closeSync()
    instance.closeSync()
  })
  const reader = await kernel.runAndReadAll(
    "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'",
  )
  const volatile = reader.getRows().map(([name]) => String(name))
  t.strictSame([...VOLATILE_FUNCTIONS].sort(), volatile.sort())
})

t.test('what may raise an error is not safe, however deep it stands', (t) => {
  const safe: readonly Expression[] = [
    equals(column('i'), constant('1', 'INTEGER')),
    equals(cast(column('i'), 'BIGINT'), column('l')),
    call('~~', column('s'), constant('a%', 'VARCHAR')),
    call('substring', column('s'), constant('1', 'BIGINT'), constant('2', 'BIGINT')),
    call('+', column('x'), constant('1e0', 'DOUBLE')),
    cast(column('i'), 'VARCHAR'),
    { kind: 'coalesce', args: [column('i'), constant('1', 'INTEGER')] },
  ]
  const unsafe: readonly Expression[] = [
    cast(column('s'), 'INTEGER'),
    cast(column('l'), 'INTEGER'),
    cast(column('d'), 'TIMESTAMP'),
    call('+', column('i'), constant('1', 'INTEGER')),
    call('substring', column('s'), column('l'), constant('2', 'BIGINT')),
    call('a function that nobody knows', column('i')),
    call('error', column('s')),
    call('random'),
  ]
  for (const e of safe) t.ok(isSafe(e, types), JSON.stringify(e))
  for (const e of unsafe) {
    t.notOk(isSafe(e, types), JSON.stringify(e))
    t.notOk(isSafe(equals(column('i'), call('coalesce', e)), types), 'nor around it')
  }
  t.notOk(isRepeatable(call('concat', call('random'))))
  t.end()
})

t.test('a condition rejects the NULLs without which it is not true', (t) => {
  const i = column('i')
  const l = column('l')
  const one = constant('1', 'INTEGER')
  const or: Expression = {
    kind: 'conjunction',
    operator: 'or',
    operands: [equals(i, one), equals(call('+', i, l), one)],
  }
  t.strictSame(rejectedNulls(equals(i, l)), ['i', 'l'])
  t.strictSame(rejectedNulls(or), ['i'], 'of OR only what all alternatives reject')
  t.strictSame(rejectedNulls({ kind: 'isNull', operand: i, negated: true }), ['i'])
  t.strictSame(rejectedNulls({ kind: 'isNull', operand: i, negated: false }), [])
  t.strictSame(
    rejectedNulls({ kind: 'comparison', operator: 'is not distinct from', left: i, right: l }),
    [],
  )
  t.strictSame(rejectedNulls(equals({ kind: 'coalesce', args: [i, one] }, one)), [])
  t.end()
})
