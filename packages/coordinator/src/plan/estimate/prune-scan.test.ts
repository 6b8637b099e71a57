import t from 'tap'
import type { Comparison, Expression } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { manifestOf } from '../../table/manifest.ts'
import { sketchColumns, sketchListing } from '../../testing/listings.ts'
import type { ScanRelation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { divideSplits } from '../splits.ts'
import { pruneScan, pruningText } from './prune-scan.ts'

const MB = 1024 * 1024
const BIGINT = simpleType('BIGINT')

/** Ten files of eight row groups of 100 rows each; `id` grows with them, `note` is there from the sixth file on. */
function sketchScan(): Scan {
  const schemas = [sketchColumns('id INTEGER'), sketchColumns('note VARCHAR, id BIGINT')]
  const listing = sketchListing(
    '/data/t',
    schemas,
    Array.from({ length: 10 }, (_, i) => ({
      path: `y=${2000 + i}/f${i}.parquet`,
      rowGroups: Array.from({ length: 8 }, () => 100),
      bytes: 80 * MB,
      schema: i < 5 ? 0 : 1,
    })),
  )
  const files = listing.files.map((file, i) => {
    const first = (g: number): number => i * 800 + g * 100
    const groups = Array.from({ length: 8 }, (_, g) => g)
    const id = {
      nulls: groups.map(() => 0),
      min: groups.map(first),
      max: groups.map((g) => first(g) + 99),
    }
    const note = { nulls: [800], min: [null], max: [null] }
    return { ...file, statistics: i < 5 ? [id] : [note, id] }
  })
  const manifest = manifestOf({ ...listing, files }, ['y'])
  return {
    id: 0,
    database: 'd',
    table: 't',
    alias: 't',
    location: '/data/t',
    columns: sketchColumns('id BIGINT, note VARCHAR'),
    partitionColumns: sketchColumns('y INTEGER'),
    schemas: manifest.schemas,
    partitions: manifest.partitions,
    files: manifest.files,
    filesTotal: 10,
    rowGroupsTotal: 80,
    partitionsTotal: 10,
    partitionsLeft: 10,
  }
}

const relation: ScanRelation = {
  kind: 'scan',
  scan: 0,
  columns: [
    { name: 't.id', source: 'id', type: BIGINT },
    { name: 't.note', source: 'NOTE', type: simpleType('VARCHAR') },
    { name: 't.y', source: 'y', type: simpleType('INTEGER') },
  ],
}
const column = (name: string): Expression => ({ kind: 'column', path: [name] })
const number = (value: number, type = BIGINT): Expression => ({
  kind: 'constant',
  type,
  value: String(value),
})
const test = (
  name: string,
  operator: Comparison['operator'],
  value: number,
  type = BIGINT,
): Expression => ({ kind: 'comparison', operator, left: column(name), right: number(value, type) })

t.test('files and row groups that can hold no row are left out', (t) => {
  const scan = sketchScan()
  const cases: readonly (readonly [conjuncts: readonly Expression[], text: string])[] = [
    [[test('t.id', '=', 250)], 'files 1 of 10, row groups 1 of 80'],
    [[test('t.id', '>=', 7850)], 'files 1 of 10, row groups 2 of 80'],
    [[test('t.id', '>', 7999)], 'files 0 of 10, row groups 0 of 80'],
    [[test('t.id', '>=', 700), test('t.id', '<', 900)], 'files 2 of 10, row groups 2 of 80'],
    [
      [{ kind: 'in', operand: column('t.id'), list: [number(5), number(6000)], negated: false }],
      'files 2 of 10, row groups 2 of 80',
    ],
    [
      [{ kind: 'isNull', operand: column('t.note'), negated: true }],
      'files 0 of 10, row groups 0 of 80',
    ],
    [[{ kind: 'isNull', operand: column('t.note'), negated: false }], 'files 10'],
    [[test('t.y', '=', 2003, simpleType('INTEGER'))], 'files 1 of 10, row groups 8 of 80'],
    [[test('t.id', '<>', 5)], 'files 10'],
    [[], 'files 10'],
  ]
  for (const [conjuncts, text] of cases)
    t.equal(pruningText(pruneScan(scan, relation, conjuncts)), text)
  t.equal(
    pruneScan(scan, relation, [test('t.id', '>=', 0)]),
    scan,
    'nothing is made anew for nothing',
  )
  const twice = pruneScan(pruneScan(scan, relation, [test('t.id', '<', 300)]), relation, [
    test('t.id', '>=', 200),
  ])
  t.equal(pruningText(twice), 'files 1 of 10, row groups 1 of 80')
  t.end()
})

t.test('a file without statistics is left', (t) => {
  const scan = sketchScan()
  const files = scan.files.map((file) => ({ ...file, statistics: undefined }))
  t.equal(
    pruningText(pruneScan({ ...scan, files }, relation, [test('t.id', '=', 250)])),
    'files 10',
  )
  t.end()
})

t.test('splits are cut around row groups that are left out', (t) => {
  const scan = sketchScan()
  const odd: Expression = {
    kind: 'in',
    operand: column('t.id'),
    list: [0, 100, 200, 500, 600].map((n) => number(n)),
    negated: false,
  }
  const pruned = pruneScan(scan, relation, [odd])
  t.equal(pruningText(pruned), 'files 1 of 10, row groups 5 of 80')
  const groups = divideSplits(pruned.files, 3, pruned.rowGroupsLeft)
  t.same(
    groups
      .flat()
      .map((split) => split.range)
      .toSorted((a, b) => (a?.first ?? 0) - (b?.first ?? 0)),
    [
      { first: 0, rows: 200 },
      { first: 200, rows: 100 },
      { first: 500, rows: 200 },
    ],
  )
  t.same(divideSplits(pruned.files, 1, pruned.rowGroupsLeft), [
    [{ file: pruned.files[0], bytes: 50 * MB }],
  ])
  t.end()
})
