import { Prng } from '@nyala/client/base'
import t from 'tap'
import { manifestOf } from '../table/manifest.ts'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { divideApart } from './apart.ts'
import type { Scan, Split } from './scan.ts'

const ROWS = 100

type Range = readonly [min: number, max: number, nulls?: number] | null

/** Files of row groups that have values of `k` between two numbers; nothing is known of those that are null. */
function scanOf(files: readonly (readonly Range[])[]): Scan {
  const listing = sketchListing(
    '/data/t',
    [sketchColumns('k BIGINT, s VARCHAR')],
    files.map((groups, i) => ({
      path: `f${i}.parquet`,
      rowGroups: groups.map(() => ROWS),
      bytes: groups.length * 1_000_000,
    })),
  )
  const listed = listing.files.map((file, i) => {
    const groups = files[i] ?? []
    const k = {
      nulls: groups.map((group) => group?.[2] ?? (group === null ? -1 : 0)),
      min: groups.map((group) => (group?.[2] === ROWS ? null : (group?.[0] ?? null))),
      max: groups.map((group) => (group?.[2] === ROWS ? null : (group?.[1] ?? null))),
    }
    return { ...file, statistics: [k, null] }
  })
  const manifest = manifestOf({ ...listing, files: listed }, [])
  return {
    id: 0,
    database: 'd',
    table: 't',
    alias: 't',
    location: '/data/t',
    columns: sketchColumns('k BIGINT, s VARCHAR'),
    partitionColumns: [],
    schemas: manifest.schemas,
    partitions: manifest.partitions,
    files: manifest.files,
    filesTotal: files.length,
    partitionsTotal: 1,
    partitionsLeft: 1,
  }
}

/** The row groups that a split reads, as `file:group`. */
const groupsOf = ({ file, range }: Split): readonly string[] => {
  const from = (range?.first ?? 0) / ROWS
  const count = (range?.rows ?? file.rows) / ROWS
  return Array.from({ length: count }, (_, i) => `${file.path}:${from + i}`)
}

const divided = (scan: Scan, tasks: number): readonly (readonly string[])[] | undefined =>
  divideApart([{ scan, column: 'k' }], tasks)?.[0]?.map((splits) =>
    splits.flatMap(groupsOf).toSorted(),
  )

t.test('files with ranges of their own are divided', async (t) => {
  const scan = scanOf([[[0, 9]], [[20, 29]], [[10, 19]], [[30, 39]]])
  t.same(divided(scan, 2), [
    ['f0.parquet:0', 'f1.parquet:0'],
    ['f2.parquet:0', 'f3.parquet:0'],
  ])
})

t.test('row groups that share a value stay together', async (t) => {
  const scan = scanOf([
    [
      [0, 9],
      [9, 19],
      [20, 29],
      [29, 39],
    ],
  ])
  t.same(divided(scan, 2), [
    ['f0.parquet:0', 'f0.parquet:1'],
    ['f0.parquet:2', 'f0.parquet:3'],
  ])
  t.equal(divided(scan, 3), undefined, 'there are two pieces')
})

t.test('pieces of nothing but NULLs are one, and NULLs among values are not known', async (t) => {
  const nulls = scanOf([[[0, 0, ROWS]], [[0, 9]], [[0, 0, ROWS]], [[10, 19]], [[20, 29]]])
  t.same(
    divided(nulls, 2)
      ?.find((group) => group.includes('f0.parquet:0'))
      ?.includes('f2.parquet:0'),
    true,
  )
  t.equal(divided(scanOf([[[0, 9, 1]], [[10, 19]]]), 2), undefined)
})

t.test('what is not known, unequal or a text is not divided', async (t) => {
  t.equal(divided(scanOf([[[0, 9]], [null]]), 2), undefined, 'not known')
  t.equal(
    divided(scanOf([[[0, 9]], [[0, 9]], [[0, 9]], [[0, 9]], [[10, 19]]]), 2),
    undefined,
    'unequal',
  )
  t.equal(
    divideApart([{ scan: scanOf([[[0, 9]], [[10, 19]]]), column: 's' }], 2),
    undefined,
    'a text',
  )
})

t.test('scans that are divided by one key are divided alike', async (t) => {
  const parts = [
    { scan: scanOf([[[0, 9]], [[10, 19]], [[20, 29]]]), column: 'k' },
    { scan: scanOf([[[3, 12]], [[25, 40]], [[50, 60]]]), column: 'k' },
  ]
  const found = divideApart(parts, 2)?.map((groups) =>
    groups.map((splits) => splits.flatMap(groupsOf)),
  )
  t.same(found, [
    [['f0.parquet:0', 'f1.parquet:0'], ['f2.parquet:0']],
    [['f0.parquet:0'], ['f1.parquet:0', 'f2.parquet:0']],
  ])
})

t.test('of random ranges no value is in two groups, and every row group is in one', async (t) => {
  let found = 0
  for (let seed = 0; seed < 300; seed++) {
    const random = new Prng(seed)
    let at = 0
    const files = Array.from({ length: 1 + random.below(8) }, () =>
      Array.from({ length: 1 + random.below(4) }, (): Range => {
        const min = random.chance(0.3) ? Math.max(0, at - random.below(5)) : at + 1
        at = Math.max(at, min + random.below(4))
        return [min, at]
      }),
    )
    const groups = divided(scanOf(files), 1 + random.below(4))
    if (groups === undefined) continue
    found++
    const all = files.flatMap((ranges, f) => ranges.map((_, g) => `f${f}.parquet:${g}`))
    t.same(groups.flat().toSorted(), all.toSorted(), `seed ${seed}: each is read once`)
    const owner = new Map<number, number>()
    for (const [i, group] of groups.entries()) {
      for (const name of group) {
        const [f = 0, g = 0] = (/f(\d+)\.parquet:(\d+)/.exec(name) ?? []).slice(1).map(Number)
        const [min = 0, max = 0] = files[f]?.[g] ?? []
        for (let value = min; value <= max; value++) {
          if ((owner.get(value) ?? i) !== i) t.fail(`seed ${seed}: ${value} is in two groups`)
          owner.set(value, i)
        }
      }
    }
  }
  t.ok(found > 50, `${found} were divided`)
})
