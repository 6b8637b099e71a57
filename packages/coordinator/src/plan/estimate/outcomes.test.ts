import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { Prng } from '@nyala/client/base'
import t from 'tap'
import type { Expression } from '../../sql/ir.ts'
import { renderExpression } from '../../sql/renderer.ts'
import { simpleType, type SqlType, typeText } from '../../sql/sql-types.ts'
import { parseType } from '../../sql/type-text.ts'
import { domainOf, parseBound } from './bounds.ts'
import { knownValue } from './constants.ts'
import {
  type BoundsOfColumn,
  CAN_BE_FALSE,
  CAN_BE_NULL,
  CAN_BE_TRUE,
  outcomesOf,
} from './outcomes.ts'

const TYPES = ['INTEGER', 'DECIMAL(6,2)', 'DATE', 'VARCHAR', 'BOOLEAN', 'TIMESTAMP'] as const
const VALUES: Readonly<Record<(typeof TYPES)[number], readonly string[]>> = {
  INTEGER: ['-7', '0', '1', '2', '3', '99'],
  'DECIMAL(6,2)': ['-1.50', '0.00', '0.01', '2.00', '12.30'],
  DATE: ['1969-12-31', '1970-01-01', '2024-01-31', '2024-02-29', '2024-03-01'],
  VARCHAR: ['', 'a', 'ab', 'abc', 'b', 'ü', '\ufffd', '😀', 'a%'],
  BOOLEAN: ['false', 'true'],
  TIMESTAMP: ['1969-12-31 23:59:59.5', '2024-01-31 00:00:00', '2024-02-29 12:00:00'],
}

const constant = (type: SqlType, value: string | null): Expression => ({
  kind: 'cast',
  operand: { kind: 'constant', type: simpleType('VARCHAR'), value },
  type,
  try: false,
})
const column = (name: string): Expression => ({ kind: 'column', path: [name] })
const call = (name: string, args: readonly Expression[]): Expression => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: !name.startsWith('to_'),
})

const COMPARISONS = [
  '=',
  '<>',
  '<',
  '<=',
  '>',
  '>=',
  'is distinct from',
  'is not distinct from',
] as const

/** Random predicates over the columns `c0` and on, one of each type. */
class Predicates {
  readonly #random: Prng

  constructor(random: Prng) {
    this.#random = random
  }

  make(depth: number): Expression {
    const kind = this.#random.below(depth > 0 ? 9 : 6)
    if (kind < 6) return this.#leaf(kind)
    if (kind === 6) return { kind: 'not', operand: this.make(depth - 1) }
    const operands = [this.make(depth - 1), this.make(depth - 1)]
    return { kind: 'conjunction', operator: kind === 7 ? 'and' : 'or', operands }
  }

  #leaf(kind: number): Expression {
    const index = this.#random.below(TYPES.length)
    const type = parseType(TYPES[index] ?? '')
    const value = (): Expression => constant(type, this.#value(index))
    const operand = column(`c${index}`)
    const operator = this.#pick(COMPARISONS)
    if (kind === 0) return { kind: 'isNull', operand, negated: this.#random.below(2) === 0 }
    if (kind === 1)
      return { kind: 'in', operand, list: [value(), value()], negated: this.#random.below(2) === 0 }
    if (kind === 2) return { kind: 'between', operand, lower: value(), upper: value() }
    if (kind === 3) {
      const later = call(this.#pick(['+', '-']), [
        constant(parseType('DATE'), this.#value(2)),
        call(this.#pick(['to_months', 'to_years', 'to_days']), [
          { kind: 'constant', type: simpleType('INTEGER'), value: '1' },
        ]),
      ])
      const wide: Expression = {
        kind: 'cast',
        operand: column('c2'),
        type: simpleType('TIMESTAMP'),
        try: false,
      }
      return { kind: 'comparison', operator, left: wide, right: later }
    }
    if (kind === 4) {
      const text = this.#pick(['a%', 'ab%', '%', 'b_%', 'abc', '😀%', 'ü%'])
      return call('~~', [
        column('c3'),
        { kind: 'constant', type: simpleType('VARCHAR'), value: text },
      ])
    }
    const test: Expression = { kind: 'comparison', operator, left: operand, right: value() }
    if (this.#random.below(3) > 0) return test
    const truth = { value: this.#random.below(2) === 0, negated: this.#random.below(2) === 0 }
    return { kind: 'isTruth', operand: test, ...truth }
  }

  #value(index: number): string | null {
    if (this.#random.below(8) === 0) return null
    return this.#pick(VALUES[TYPES[index] ?? 'INTEGER'])
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T
  }
}

/** A table of a few rows, and what a footer would say of it. */
async function makeRows(kernel: DuckDBConnection, random: Prng): Promise<BoundsOfColumn> {
  const rows = 1 + random.below(4)
  const nullRate = random.below(3)
  const cells = Array.from({ length: rows }, () =>
    TYPES.map((type) => {
      if (random.below(4) < nullRate) return null
      const values = VALUES[type]
      return values[random.below(values.length)] ?? null
    }),
  )
  const text = (value: string | null, i: number): string =>
    value === null ? `NULL::${TYPES[i]}` : `'${value}'::${TYPES[i]}`
  await kernel.run(
    `CREATE OR REPLACE TABLE rows AS SELECT * FROM (VALUES ${cells
      .map((row) => `(${row.map(text).join(', ')})`)
      .join(', ')}) t(${TYPES.map((_, i) => `c${i}`).join(', ')})`,
  )
  const all = await Promise.all(
    TYPES.map(async (type, i) => {
      const reader = await kernel.runAndReadAll(
        `SELECT min(c${i})::VARCHAR, max(c${i})::VARCHAR, count(*) - count(c${i}) FROM rows`,
      )
      const [min, max, nulls] = reader.getRows()[0] ?? []
      const domain = domainOf(parseType(type))
      const bound = (value: unknown): ReturnType<typeof parseBound> =>
        typeof value === 'string' && domain !== undefined ? parseBound(value, domain) : undefined
      const known = random.below(6) > 0
      return {
        domain,
        bounds: {
          rows,
          nulls: random.below(6) > 0 ? Number(nulls) : undefined,
          min: known ? bound(min) : undefined,
          max: known ? bound(max) : undefined,
          exact: known,
        },
      }
    }),
  )
  return (name) => all[Number(name.slice(1))]
}

t.test('no outcome that the kernel finds is left out', async (t) => {
  const kernel = await (await DuckDBInstance.create()).connect()
  const seed = 11
  const random = new Prng(seed)
  const predicates = new Predicates(random)
  let [pruned, certain] = [0, 0]
  for (let round = 0; round < 60; round++) {
    const columns = await makeRows(kernel, random)
    const tests = Array.from({ length: 30 }, () => predicates.make(2))
    const items = tests.map((e) => {
      const sql = renderExpression(e)
      return `max(CASE WHEN (${sql}) IS TRUE THEN 1 ELSE 0 END) + max(CASE WHEN (${sql}) IS FALSE THEN 2 ELSE 0 END)
        + max(CASE WHEN (${sql}) IS NULL THEN 4 ELSE 0 END)`
    })
    const reader = await kernel.runAndReadAll(`SELECT ${items.join(', ')} FROM rows`)
    const found = reader.getRows()[0] ?? []
    tests.forEach((e, i) => {
      const possible = outcomesOf(e, columns)
      const actual = Number(found[i])
      if ((actual & ~possible) !== 0)
        t.fail(`seed ${seed}: ${renderExpression(e)} came to ${actual}, possible was ${possible}`)
      if ((possible & CAN_BE_TRUE) === 0) pruned++
      if (possible === CAN_BE_TRUE) certain++
    })
  }
  t.ok(pruned > 200 && certain > 50, `${pruned} of 1800 cannot be true, ${certain} must be`)
})

t.test('a date with an interval added is the moment that the kernel gives', async (t) => {
  const kernel = await (await DuckDBInstance.create()).connect()
  for (const [date, unit, count] of [
    ['2024-01-31', 'month', '1'],
    ['2024-02-29', 'year', '1'],
    ['2024-02-29', 'year', '-4'],
    ['1970-01-01', 'day', '-1'],
    ['1999-12-31', 'quarter', '1'],
    ['2024-03-31', 'month', '-1'],
  ] as const) {
    const expression: Expression = call('+', [
      constant(parseType('DATE'), date),
      {
        kind: 'interval',
        unit,
        value: { kind: 'constant', type: simpleType('INTEGER'), value: count },
      },
    ])
    const reader = await kernel.runAndReadAll(
      `SELECT epoch_us((DATE '${date}' + INTERVAL (${count}) ${unit})::TIMESTAMP)`,
    )
    t.equal(knownValue(expression)?.value, reader.getRows()[0]?.[0], `${date} + ${count} ${unit}`)
  }
  t.equal(
    typeText(knownValue(constant(parseType('DATE'), null))?.type ?? simpleType('NULL')),
    'DATE',
  )
})

t.test('what depends on a setting, or is spelt oddly, is not known', (t) => {
  const cast = (type: string, text: string): unknown => knownValue(constant(parseType(type), text))
  t.equal(cast('TIMESTAMP WITH TIME ZONE', '2024-01-01 00:00:00'), undefined)
  t.not(cast('TIMESTAMP WITH TIME ZONE', '2024-01-01 00:00:00+00'), undefined)
  for (const [type, text] of [
    ['DATE', '2024-02-30'],
    ['DATE', 'infinity'],
    ['DATE', '2024-1-1'],
    ['INTEGER', '1e3'],
    ['INTEGER', ' 1'],
    ['DECIMAL(4,1)', '1.25'],
    ['TIMESTAMP', '2024-01-01 24:00:00'],
    ['TIME', '10:00:00'],
  ] as const) {
    t.equal(cast(type, text), undefined, `${type} ${text}`)
  }
  t.equal(
    outcomesOf(column('x'), () => undefined),
    CAN_BE_TRUE | CAN_BE_FALSE | CAN_BE_NULL,
  )
  t.end()
})
