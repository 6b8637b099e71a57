import { DuckDBInstance } from '@duckdb/node-api'
import t from 'tap'
import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { renderExpression } from '../../sql/renderer.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { parseType } from '../../sql/type-text.ts'
import { manifestOf } from '../../table/manifest.ts'
import { sketchColumns, sketchListing } from '../../testing/listings.ts'
import type { AggregateRelation, Relation, ScanRelation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { answerAllFromFooters, answerFromFooters } from './answer-from-footers.ts'

const COLUMNS =
  'id BIGINT, price DECIMAL(9,2), day DATE, at TIMESTAMP, zoned TIMESTAMP WITH TIME ZONE, nano TIMESTAMP_NS, flag BOOLEAN, name VARCHAR, cut VARCHAR, score DOUBLE, none INTEGER'

const counted = (min: number | string | null, max: number | string | null, nulls = 1) => ({
  nulls: [nulls, 0],
  min: [min, min],
  max: [min, max],
})

/** Two files of two row groups of 10 rows, in partitions y = 2000 and 2001. */
function sketchScan(): Scan {
  const schema = sketchColumns(COLUMNS)
  const listing = sketchListing(
    '/data/t',
    [schema],
    [2000, 2001].map((year) => ({ path: `y=${year}/f.parquet`, rowGroups: [10, 10] })),
  )
  const files = listing.files.map((file, i) => ({
    ...file,
    statistics: [
      { nulls: [0, 0], min: [100 * i, 100 * i + 50], max: [100 * i + 49, 100 * i + 99] },
      counted(-1050 - i, 999_999),
      counted(-1, 19_782 + i),
      counted(-1, 1_704_067_200_500_000),
      counted(-1, 1_704_067_200_500_000),
      counted('1704067200123456789', '1704067200123456790'),
      counted(0, 1),
      counted('apple', 'zoë', 2),
      { ...counted('a', 'z'), inexact: true },
      { nulls: [3, 0], min: [null, null], max: [null, null] },
      { nulls: [10, 10], min: [null, null], max: [null, null] },
    ],
  }))
  const manifest = manifestOf({ ...listing, files }, ['y'])
  return {
    id: 0,
    database: 'd',
    table: 't',
    alias: 't',
    location: '/data/t',
    columns: schema,
    partitionColumns: sketchColumns('y INTEGER'),
    schemas: manifest.schemas,
    partitions: manifest.partitions,
    files: manifest.files,
    filesTotal: 2,
    partitionsTotal: 2,
    partitionsLeft: 2,
  }
}

const scan = sketchScan()
const scans = new Map([[0, scan]])
const relation: ScanRelation = {
  kind: 'scan',
  scan: 0,
  columns: [...scan.columns, ...scan.partitionColumns].map(({ name, type }) => ({
    name: `t.${name}`,
    source: name,
    type: parseType(type),
  })),
}
const column = (name: string): Expression => ({ kind: 'column', path: [`t.${name}`] })
const call = (name: string, args: readonly Expression[]): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})
const aggregate = (
  calls: readonly (readonly [call: FunctionCall, type: string])[],
  input: Relation = relation,
): AggregateRelation => ({
  kind: 'aggregate',
  input,
  keys: [],
  sets: [[]],
  aggregates: calls.map(([expression, type], i) => ({
    column: { name: `a${i}`, type: parseType(type) },
    expression,
    argumentTypes: [],
  })),
  groupings: [],
})
const where = (conjunct: Expression): Relation => ({
  kind: 'filter',
  input: relation,
  conjuncts: [conjunct],
})
const compare = (
  name: string,
  operator: '=' | '>=' | '<',
  value: number,
  type = 'BIGINT',
): Expression => ({
  kind: 'comparison',
  operator,
  left: column(name),
  right: { kind: 'constant', type: parseType(type), value: String(value) },
})
const count: readonly [FunctionCall, string] = [call('count_star', []), 'BIGINT']

/** The row as the kernel prints it, with its types; undefined where there is no answer. */
async function row(of: Relation): Promise<readonly (readonly [unknown, string])[] | undefined> {
  const found = answerFromFooters(of, scans)
  if (found === undefined) return undefined
  const kernel = await (await DuckDBInstance.create()).connect()
  await kernel.run("SET TimeZone = 'UTC'")
  const items = (found.rows[0] ?? []).map((cell) => {
    const sql = renderExpression(cell)
    return `CAST(${sql} AS VARCHAR), typeof(${sql})`
  })
  const cells = (await kernel.runAndReadAll(`SELECT ${items.join(', ')}`)).getRows()[0] ?? []
  return items.map((_, i) => [cells[2 * i], String(cells[2 * i + 1])] as const)
}

t.test('counts and extremes have the values and types of the columns', async (t) => {
  t.same(await row(aggregate([count, [call('count', [column('name')]), 'BIGINT']])), [
    ['40', 'BIGINT'],
    ['36', 'BIGINT'],
  ])
  const extremes = ['id', 'price', 'day', 'at', 'zoned', 'nano', 'flag', 'name', 'none', 'y']
  const typeOf = (name: string): string =>
    [...scan.columns, ...scan.partitionColumns].find((c) => c.name === name)?.type ?? ''
  const found = await row(
    aggregate(
      extremes.flatMap((name) => [
        [call('min', [column(name)]), typeOf(name)] as const,
        [call('max', [column(name)]), typeOf(name)] as const,
      ]),
    ),
  )
  t.same(found, [
    ['0', 'BIGINT'],
    ['199', 'BIGINT'],
    ['-10.51', 'DECIMAL(9,2)'],
    ['9999.99', 'DECIMAL(9,2)'],
    ['1969-12-31', 'DATE'],
    ['2024-03-01', 'DATE'],
    ['1969-12-31 23:59:59.999999', 'TIMESTAMP'],
    ['2024-01-01 00:00:00.5', 'TIMESTAMP'],
    ['1969-12-31 23:59:59.999999+00', 'TIMESTAMP WITH TIME ZONE'],
    ['2024-01-01 00:00:00.5+00', 'TIMESTAMP WITH TIME ZONE'],
    ['2024-01-01 00:00:00.123456789', 'TIMESTAMP_NS'],
    ['2024-01-01 00:00:00.12345679', 'TIMESTAMP_NS'],
    ['false', 'BOOLEAN'],
    ['true', 'BOOLEAN'],
    ['apple', 'VARCHAR'],
    ['zoë', 'VARCHAR'],
    [null, 'INTEGER'],
    [null, 'INTEGER'],
    ['2000', 'INTEGER'],
    ['2001', 'INTEGER'],
  ])
})

t.test(
  'a filter that all rows of a row group pass, or none, leaves whole row groups',
  async (t) => {
    const counts = async (of: Expression): Promise<unknown> =>
      (await row(aggregate([count], where(of))))?.[0]?.[0]
    t.equal(await counts(compare('y', '=', 2001, 'INTEGER')), '20')
    t.equal(await counts(compare('y', '=', 1999, 'INTEGER')), '0')
    t.equal(await counts(compare('id', '>=', 50)), '30')
    t.equal(await counts(compare('id', '>=', 51)), undefined, 'a row group passes in part')
    t.equal(await counts({ kind: 'isNull', operand: column('none'), negated: false }), '40')
    t.same(
      await row(
        aggregate([[call('max', [column('id')]), 'BIGINT']], where(compare('id', '<', 50))),
      ),
      [['49', 'BIGINT']],
    )
    t.same(
      await row(aggregate([[call('min', [column('id')]), 'BIGINT']], where(compare('id', '<', 0)))),
      [[null, 'BIGINT']],
    )
  },
)

t.test('what is not certain is left to be read', async (t) => {
  const no = async (of: Relation, claim: string): Promise<void> => {
    t.equal(await row(of), undefined, claim)
  }
  await no(aggregate([[call('min', [column('cut')]), 'VARCHAR']]), 'a bound that may be cut')
  await no(aggregate([[call('max', [column('score')]), 'DOUBLE']]), 'floating-point numbers')
  await no(aggregate([[call('sum', [column('id')]), 'HUGEINT']]), 'a sum')
  await no(
    aggregate([[{ ...call('count', [column('id')]), distinct: true }, 'BIGINT']]),
    'distinct',
  )
  const filtered = { ...call('count_star', []), filter: compare('id', '=', 1) }
  await no(aggregate([[filtered, 'BIGINT']]), 'FILTER')
  await no(
    {
      ...aggregate([count]),
      keys: [{ column: { name: 'k', type: simpleType('BIGINT') }, expression: column('id') }],
      sets: [[0]],
    },
    'groups',
  )
  await no(aggregate([count], { kind: 'limit', input: relation, count: 1, offset: 0 }), 'LIMIT')
  t.same(await row(aggregate([[call('count', [column('score')]), 'BIGINT']])), [['34', 'BIGINT']])
  const bare = new Map([
    [0, { ...scan, files: scan.files.map((f) => ({ ...f, statistics: undefined })) }],
  ])
  t.equal(answerFromFooters(aggregate([[call('max', [column('id')]), 'BIGINT']]), bare), undefined)
  t.ok(answerFromFooters(aggregate([count]), bare), 'rows are counted in every manifest')
})

t.test('projections between are seen through, and the whole plan is answered', async (t) => {
  const project: Relation = {
    kind: 'project',
    input: where(compare('y', '=', 2000, 'INTEGER')),
    items: [
      { column: { name: 'p', type: simpleType('BIGINT') }, expression: column('id') },
      {
        column: { name: 'q', type: simpleType('BIGINT') },
        expression: call('+', [column('id'), column('id')]),
      },
    ],
  }
  const over = (name: string): AggregateRelation =>
    aggregate([[call('max', [{ kind: 'column', path: [name] }]), 'BIGINT']], project)
  t.same(await row(over('p')), [['99', 'BIGINT']])
  t.equal(await row(over('q')), undefined)
  const union: Relation = {
    kind: 'set',
    operator: 'union',
    all: true,
    columns: [{ name: 'u', type: simpleType('BIGINT') }],
    inputs: [over('p'), over('q')],
  }
  const answered = answerAllFromFooters(union, scans)
  t.match(answered, { inputs: [{ kind: 'values' }, { kind: 'aggregate' }] })
})
