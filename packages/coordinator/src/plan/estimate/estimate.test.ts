import t, { type Test } from 'tap'
import type { ComparisonOperator, Expression } from '../../sql/ir.ts'
import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import { parseType } from '../../sql/type-text.ts'
import { manifestOf } from '../../table/manifest.ts'
import type { ColumnStatistics } from '../../table/statistics.ts'
import { sketchListing } from '../../testing/listings.ts'
import {
  columnsOf,
  type JoinRelation,
  type JoinType,
  type Relation,
  type ScanRelation,
} from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { estimate, type EstimateWorld } from './estimate.ts'
import { pruneScan } from './prune-scan.ts'

interface SketchColumn {
  readonly type: string
  readonly min?: number | string
  readonly max?: number | string
  readonly nulls?: number
  /** As COMPUTE STATS would have found. */
  readonly distinct?: number
}

/** What the footer of each row group says of a text. */
interface SketchGroup {
  readonly rows: number
  readonly distinct?: number
  readonly min?: string
  readonly max?: string
}

const scans = new Map<number, Scan>()
const world: EstimateWorld = { scans }

/** A table of one file whose footer and statistics say this, and its scan. */
function table(
  name: string,
  rows: number,
  columns: Readonly<Record<string, SketchColumn>>,
): ScanRelation {
  const entries = Object.entries(columns)
  const own = entries.map(([column, { type }]) => ({ name: column, type }))
  const listing = sketchListing(`/data/${name}`, [own], [{ path: 'f.parquet', rows }])
  const statistics = entries.map(([, c]) =>
    c.min === undefined
      ? c.nulls === undefined
        ? null
        : { nulls: [c.nulls], min: [null], max: [null] }
      : { nulls: [c.nulls ?? 0], min: [c.min], max: [c.max ?? c.min] },
  )
  const manifest = manifestOf(
    { ...listing, files: listing.files.map((file) => ({ ...file, statistics })) },
    [],
  )
  const computed = entries.flatMap(([column, c]): ColumnStatistics[] =>
    c.distinct === undefined
      ? []
      : [
          {
            name: column,
            type: c.type,
            distinct: c.distinct,
            nulls: c.nulls ?? 0,
            min: null,
            max: null,
            sizeMax: -1,
            sizeAverage: c.type === 'VARCHAR' ? 10 : -1,
          },
        ],
  )
  const id = scans.size
  scans.set(id, {
    id,
    database: 'd',
    table: name,
    alias: name,
    location: `/data/${name}`,
    columns: own,
    partitionColumns: [],
    schemas: manifest.schemas,
    files: manifest.files,
    filesTotal: 1,
    rowGroupsTotal: 1,
    partitionsTotal: 1,
    partitionsLeft: 1,
    statistics: { found: { format: 1, computedAt: 0, rows, columns: computed }, stale: false },
  })
  return {
    kind: 'scan',
    scan: id,
    columns: entries.map(([column, { type }]) => ({
      name: `${name}.${column}`,
      source: column,
      type: parseType(type),
    })),
  }
}

/** A table of one text, as the row groups of its file have it. */
function textTable(name: string, groups: readonly SketchGroup[]): ScanRelation {
  const relation = table(name, 0, { s: { type: 'VARCHAR' } })
  const scan = scans.get(relation.scan)
  const listing = sketchListing(
    `/data/${name}`,
    [scan?.columns ?? []],
    [
      {
        path: 'f.parquet',
        rowGroups: groups.map(({ rows }) => rows),
        bounds: {
          s: {
            min: groups.map(({ min = null }) => min),
            max: groups.map(({ max = null }) => max),
            distinct: groups.map(({ distinct = -1 }) => distinct),
          },
        },
      },
    ],
  )
  if (scan !== undefined)
    scans.set(scan.id, { ...scan, files: manifestOf(listing, []).files, statistics: undefined })
  return relation
}

const column = (name: string): Expression => ({ kind: 'column', path: [name] })
const constant = (value: string, type: SqlType): Expression => ({ kind: 'constant', type, value })
const int = (value: number): Expression => constant(String(value), simpleType('INTEGER'))
const text = (value: string): Expression => constant(value, simpleType('VARCHAR'))
const test = (name: string, operator: ComparisonOperator, right: Expression): Expression => ({
  kind: 'comparison',
  operator,
  left: column(name),
  right,
})
const call = (name: string, args: readonly Expression[]): Expression & { kind: 'function' } => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})
const filter = (input: Relation, ...conjuncts: readonly Expression[]): Relation => ({
  kind: 'filter',
  input,
  conjuncts,
})
const join = (
  type: JoinType,
  sides: readonly [Relation, Relation],
  keys: readonly (readonly [string, string])[],
): JoinRelation => ({
  kind: 'join',
  type,
  left: sides[0],
  right: sides[1],
  conditions: keys.map(([l, r]) => ({ operator: '=', left: column(l), right: column(r) })),
  residual: [],
})

const lineitem = table('lineitem', 6_000_000, {
  orderkey: { type: 'INTEGER', min: 1, max: 6_000_000, distinct: 1_500_000 },
  partkey: { type: 'INTEGER', min: 1, max: 200_000, distinct: 200_000 },
  suppkey: { type: 'INTEGER', min: 1, max: 10_000, distinct: 10_000 },
  shipdate: { type: 'DATE', min: 8036, max: 10_561, distinct: 2526 },
  discount: { type: 'DECIMAL(15,2)', min: 0, max: 10, distinct: 11 },
  flag: { type: 'VARCHAR', min: 'A', max: 'R', distinct: 3 },
})
const orders = table('orders', 1_500_000, {
  orderkey: { type: 'INTEGER', min: 1, max: 6_000_000, distinct: 1_500_000 },
  custkey: { type: 'INTEGER', min: 1, max: 150_000, distinct: 100_000 },
  orderdate: { type: 'DATE', min: 8035, max: 10_440, distinct: 2406 },
})
const customer = table('customer', 150_000, {
  custkey: { type: 'INTEGER', min: 1, max: 150_000, distinct: 150_000 },
  segment: { type: 'VARCHAR', min: 'AUTOMOBILE', max: 'MACHINERY', distinct: 5 },
})
const partsupp = table('partsupp', 800_000, {
  partkey: { type: 'INTEGER', min: 1, max: 200_000, distinct: 200_000 },
  suppkey: { type: 'INTEGER', min: 1, max: 10_000, distinct: 10_000 },
})
/** Without COMPUTE STATS, and with NULLs. */
const bare = table('bare', 1000, {
  id: { type: 'INTEGER', min: 1, max: 1000 },
  code: { type: 'INTEGER', min: 1, max: 10, nulls: 500 },
  note: { type: 'VARCHAR' },
})

const rowsOf = (relation: Relation): number => estimate(relation, world).rows
/** The estimate lies within a factor of what is right. */
const near = (t: Test, relation: Relation, rows: number, factor = 1.05): void => {
  const found = rowsOf(relation)
  t.ok(found <= rows * factor && found >= rows / factor, `${found} rows, right would be ${rows}`)
}

t.test(
  'a scan has the rows of its files, and what footers and COMPUTE STATS say of columns',
  (t) => {
    const { rows, columns, bytes } = estimate(lineitem, world)
    t.equal(rows, 6_000_000)
    t.equal(columns.get('lineitem.orderkey')?.distinct, 1_500_000)
    t.equal(columns.get('lineitem.shipdate')?.min, 8036n)
    t.equal(bytes, 6_000_000 * (4 + 4 + 4 + 4 + 8 + 10))
    const found = estimate(bare, world).columns
    const distinct = (name: string): number => found.get(name)?.distinct ?? 0
    t.ok(distinct('bare.id') > 600 && distinct('bare.id') <= 1000)
    t.ok(distinct('bare.code') > 9 && distinct('bare.code') <= 10)
    t.equal(found.get('bare.code')?.nulls, 0.5)
    t.ok(distinct('bare.note') < 1000)
    t.end()
  },
)

t.test(
  'distinct values that a writer has counted of each row group are those of the table',
  (t) => {
    const distinct = (groups: readonly SketchGroup[]): number => {
      const relation = textTable(`text${scans.size}`, groups)
      return Math.round(estimate(relation, world).columns.get(columnName(relation))?.distinct ?? 0)
    }
    const columnName = ({ columns }: ScanRelation): string => columns[0]?.name ?? ''
    const all = { rows: 100_000, min: 'AIR', max: 'TRUCK' }
    t.equal(
      distinct([
        { ...all, distinct: 7 },
        { ...all, distinct: 7 },
      ]),
      7,
    )
    t.equal(
      distinct([
        { ...all, distinct: 7 },
        { rows: 10, distinct: 5 },
      ]),
      7,
    )
    const draws = distinct([
      { ...all, distinct: 63_212 },
      { ...all, distinct: 63_212 },
    ])
    t.ok(
      draws > 99_000 && draws < 101_000,
      `${draws}: as many as draws of 100,000 values would find`,
    )
    const ascending = [
      { rows: 100_000, distinct: 500, min: 'aa', max: 'ff' },
      { rows: 100_000, distinct: 400, min: 'ff', max: 'pp' },
    ]
    t.equal(distinct(ascending), 900, 'row groups in the order of the column have others each')
    t.ok(distinct([{ ...all, distinct: 7 }, all]) > 1000, 'not counted in all of them')
    t.ok(distinct([{ ...all, distinct: 0 }]) > 1000, 'none is not a number that can be')
    t.ok(distinct([{ ...all, distinct: 1_000_000 }]) <= 100_000, 'no more than there are rows')
    t.end()
  },
)

t.test('a date cut to its month has as many values as there are months', (t) => {
  const months = (unit: string): number => {
    const key = call('date_trunc', [text(unit), column('lineitem.shipdate')])
    const grouped: Relation = {
      kind: 'aggregate',
      input: lineitem,
      keys: [{ column: { name: 'm', type: simpleType('TIMESTAMP') }, expression: key }],
      sets: [[0]],
      aggregates: [],
      groupings: [],
    }
    return rowsOf(grouped)
  }
  const found = months('month')
  t.ok(found > 80 && found < 90, `${found} months of 2525 days`)
  t.ok(months('year') < 9)
  t.equal(Math.round(months('hour')), 2526, 'no more than days')
  t.end()
})

t.test('filters leave what their values have of the range', (t) => {
  const date = (value: string): Expression => constant(value, simpleType('DATE'))
  near(t, filter(lineitem, test('lineitem.flag', '=', text('R'))), 2_000_000)
  t.equal(rowsOf(filter(lineitem, test('lineitem.flag', '=', text('Z')))), 0)
  t.equal(rowsOf(filter(lineitem, test('lineitem.partkey', '>', int(200_000)))), 0)
  const year = [
    test('lineitem.shipdate', '>=', date('1994-01-01')),
    test('lineitem.shipdate', '<', date('1995-01-01')),
  ]
  near(t, filter(lineitem, ...year), (6_000_000 * 365) / 2526)
  near(t, filter(lineitem, { kind: 'conjunction', operator: 'and', operands: year }), 866_983)
  const six = filter(lineitem, ...year, {
    kind: 'between',
    operand: column('lineitem.discount'),
    lower: constant('0.05', parseType('DECIMAL(15,2)')),
    upper: constant('0.07', parseType('DECIMAL(15,2)')),
  })
  near(t, six, (866_983 * 3) / 11)
  near(t, filter(bare, { kind: 'isNull', operand: column('bare.code'), negated: false }), 500)
  const inList: Expression = {
    kind: 'in',
    operand: column('customer.segment'),
    list: [text('A'), text('B')],
    negated: false,
  }
  near(t, filter(customer, inList), 60_000)
  near(t, filter(customer, { ...inList, negated: true }), 90_000)
  near(t, filter(customer, { kind: 'not', operand: inList }), 90_000)
  const either: Expression = {
    kind: 'conjunction',
    operator: 'or',
    operands: [test('lineitem.flag', '=', text('A')), test('lineitem.flag', '=', text('R'))],
  }
  near(t, filter(lineitem, either), 6_000_000 * (5 / 9))
  const like = filter(customer, call('~~', [column('customer.segment'), text('%BUILD%')]))
  t.ok(rowsOf(like) < 50_000)
  const one = filter(customer, test('customer.segment', '=', text('BUILDING')))
  t.equal(estimate(one, world).columns.get('customer.segment')?.distinct, 1)
  t.end()
})

t.test('a foreign key finds its one partner, also after a filter on either side', (t) => {
  const keys = [['lineitem.orderkey', 'orders.orderkey']] as const
  near(t, join('inner', [lineitem, orders], keys), 6_000_000)
  const building = filter(customer, test('customer.segment', '=', text('BUILDING')))
  const theirs = join('inner', [orders, building], [['orders.custkey', 'customer.custkey']])
  near(t, theirs, 300_000)
  near(t, join('inner', [lineitem, theirs], keys), 1_200_000)
  const both = [
    ['lineitem.partkey', 'partsupp.partkey'],
    ['lineitem.suppkey', 'partsupp.suppkey'],
  ] as const
  near(t, join('inner', [lineitem, partsupp], both), 6_000_000)
  near(t, join('inner', [customer, bare], []), 150_000_000)
  t.end()
})

t.test('semi, anti and outer joins keep the rows of their side', (t) => {
  const building = filter(customer, test('customer.segment', '=', text('BUILDING')))
  const keys = [['orders.custkey', 'customer.custkey']] as const
  // A third of all customers never ordered: the filter is blind to that.
  near(t, join('semi', [orders, building], keys), 300_000, 1.6)
  near(t, join('anti', [orders, building], keys), 1_200_000, 1.2)
  near(t, join('semi', [orders, customer], keys), 1_500_000)
  t.ok(rowsOf(join('anti', [orders, customer], keys)) > 0)
  near(t, join('left', [orders, building], keys), 1_500_000)
  const padded = estimate(join('left', [orders, building], keys), world)
  t.ok((padded.columns.get('customer.segment')?.nulls ?? 0) > 0.7)
  t.ok(
    rowsOf(join('full', [building, orders], [['customer.custkey', 'orders.custkey']])) >= 1_500_000,
  )
  const mark = {
    ...join('mark', [orders, customer], keys),
    mark: { name: 'm', type: simpleType('BOOLEAN') },
  }
  near(t, mark, 1_500_000)
  t.ok(estimate(mark, world).columns.has('m'))
  near(t, join('single', [orders, customer], keys), 1_500_000)
  t.end()
})

t.test('groups are combinations of their keys, never more than rows', (t) => {
  const key = (
    name: string,
  ): { column: { name: string; type: SqlType }; expression: Expression } => ({
    column: { name: `k.${name}`, type: simpleType('INTEGER') },
    expression: column(name),
  })
  const group = (input: Relation, ...names: readonly string[]): Relation => ({
    kind: 'aggregate',
    input,
    keys: names.map(key),
    sets: [names.map((_, i) => i)],
    aggregates: [
      {
        column: { name: 'n', type: simpleType('BIGINT') },
        expression: call('count_star', []) as never,
        argumentTypes: [],
      },
    ],
    groupings: [],
  })
  t.equal(rowsOf(group(lineitem)), 1)
  near(t, group(lineitem, 'lineitem.flag'), 3, 1.3)
  near(t, group(lineitem, 'lineitem.orderkey'), 1_500_000, 1.1)
  t.ok(rowsOf(group(bare, 'bare.id', 'bare.code', 'bare.note')) <= 1000)
  const sets: Relation = {
    ...group(lineitem, 'lineitem.flag', 'lineitem.suppkey'),
    sets: [[0, 1], [0], []],
  } as Relation
  t.ok(rowsOf(sets) > rowsOf(group(lineitem, 'lineitem.flag', 'lineitem.suppkey')))
  near(t, { kind: 'distinct', input: customer, orderBy: [] }, 150_000, 1.1)
  t.end()
})

t.test('every kind of relation has an estimate with all its columns', (t) => {
  const type = simpleType('INTEGER')
  const values: Relation = {
    kind: 'values',
    columns: [{ name: 'v', type }],
    rows: [[int(1)], [int(1)], [int(2)]],
  }
  const union: Relation = {
    kind: 'set',
    operator: 'union',
    all: true,
    columns: [{ name: 'u', type }],
    inputs: [values, values],
  }
  const limit: Relation = { kind: 'limit', input: customer, count: 10, offset: 5 }
  const cte: Relation = { kind: 'cte', id: 7, columns: [{ name: 'c', type }] }
  const shared: Relation = {
    kind: 'with',
    id: 7,
    definition: filter(union, test('u', '=', int(1))),
    body: join('inner', [cte, customer], [['c', 'customer.custkey']]),
  }
  const dependent: JoinRelation = {
    ...join(
      'left',
      [
        filter(orders, test('orders.custkey', '<=', int(1500))),
        {
          kind: 'dependent',
          id: 3,
          columns: [{ name: 'd', type }],
        },
      ],
      [['orders.custkey', 'd']],
    ),
    dependent: { id: 3, columns: [column('orders.custkey')] },
  }
  const all: readonly (readonly [Relation, number])[] = [
    [values, 3],
    [union, 6],
    [{ ...union, all: false, operator: 'except' }, 1.5],
    [limit, 10],
    [{ kind: 'limit', input: values, offset: 1 }, 2],
    [{ kind: 'sort', input: values, orderBy: [] }, 3],
    [{ kind: 'unnest', input: values, items: [] }, 12],
    [{ kind: 'window', input: values, windows: [] }, 3],
    [
      {
        kind: 'project',
        input: values,
        items: [{ column: { name: 'p', type }, expression: column('v') }],
      },
      3,
    ],
    [{ kind: 'exchange', exchange: 1, columns: [{ name: 'e', type }] }, 77],
    [shared, 3],
  ]
  const own: EstimateWorld = { scans, exchanges: new Map([[1, { rows: 77, bytes: 770 }]]) }
  for (const [relation, rows] of all) {
    const found = estimate(relation, own)
    t.ok(found.rows >= rows / 1.5 && found.rows <= rows * 1.5, `${relation.kind}: ${found.rows}`)
    t.same(
      [...found.columns.keys()].sort(),
      columnsOf(relation)
        .map((c) => c.name)
        .sort(),
      relation.kind,
    )
    t.equal(estimate(relation, own), found, 'a relation is estimated once')
  }
  near(t, dependent, 15_000, 1.5)
  near(t, dependent.right, 1000, 1.6)
  t.end()
})

t.test('what pruning left out is not counted', (t) => {
  const scan = scans.get(lineitem.scan)
  if (scan === undefined) throw new Error('no scan')
  const never = [test('lineitem.partkey', '<', int(0))]
  const pruned = new Map(scans).set(lineitem.scan, pruneScan(scan, lineitem, never))
  t.equal(estimate(lineitem, { scans: pruned }).rows, 0)
  t.equal(estimate(filter(lineitem, ...never), { scans: pruned }).bytes, 0)
  t.end()
})
