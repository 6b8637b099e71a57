import t from 'tap'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import {
  absolutePath,
  dataColumns,
  manifest,
  manifestOf,
  totalBytes,
  totalRows,
} from './manifest.ts'

const columns = sketchColumns('id BIGINT, note VARCHAR')
const listingOf = (
  paths: readonly string[],
  location = '/data/sales',
): ReturnType<typeof sketchListing> =>
  sketchListing(
    location,
    [columns],
    paths.map((path) => ({ path })),
  )

t.test('partition values are those of the directories, decoded, each tuple once', async (t) => {
  const made = manifestOf(
    listingOf([
      'region=north/y=2020/a.parquet',
      'region=north/y=2020/b.parquet',
      'region=south%2C%20west/y=2020/a.parquet',
      'region=%C3%BCml/y=__HIVE_DEFAULT_PARTITION__/a.parquet',
      'region=a%3Db%2Fc%25/y=7/a.parquet',
    ]),
    ['region', 'y'],
  )
  t.same(made.partitions, [
    ['north', '2020'],
    ['south, west', '2020'],
    ['üml', null],
    ['a=b/c%', '7'],
  ])
  t.same(
    made.files.map((f) => f.partition),
    [0, 0, 1, 2, 3],
  )
  t.equal(made.files[0]?.path, 'region=north/y=2020/a.parquet', 'paths are relative, as they are')
})

t.test('values that look alike are told apart', async (t) => {
  const made = manifestOf(
    listingOf([
      'region=null/f.parquet',
      'region=__HIVE_DEFAULT_PARTITION__/f.parquet',
      'region=/f.parquet',
      'region=%22%2C%22/f.parquet',
    ]),
    ['region'],
  )
  t.same(made.partitions, [['null'], [null], [''], ['","']])
})

t.test('columns are found by name whatever their case, in the order of the table', async (t) => {
  const made = manifestOf(listingOf(['Y=2020/REGION=x/f.parquet']), ['region', 'y'])
  t.same(made.partitions, [['x', '2020']])
})

t.test(
  'a table without partition columns has one empty tuple, a table without files none',
  async (t) => {
    t.same(manifestOf(listingOf(['a.parquet', 'b.parquet']), []).partitions, [[]])
    t.same(manifestOf(listingOf([]), ['region']).partitions, [])
  },
)

t.test('a file outside of the partition directories is refused by name', async (t) => {
  t.throws(() => manifestOf(listingOf(['region=x/f.parquet']), ['region', 'y']), {
    error: 'schema_mismatch',
    message: 'file "/data/sales/region=x/f.parquet" does not lie under a directory "y=<value>"',
  })
})

t.test(
  'a directory with the name of a column of the file is refused, as the kernel would read the one for the other',
  async (t) => {
    const inside = listingOf(['region=x/ID=5/f.parquet'])
    t.throws(() => manifestOf(inside, ['region']), {
      error: 'schema_mismatch',
      message:
        'directory "ID=5" of file "/data/sales/region=x/ID=5/f.parquet" has the name of a column',
    })
    const above = listingOf(['region=x/f.parquet'], '/data/id=5/sales')
    t.throws(() => manifestOf(above, ['region']), { error: 'schema_mismatch', message: /"id=5"/ })
    const twice = listingOf(['region=x/f.parquet'], '/data/region=y/sales')
    t.throws(() => manifestOf(twice, ['region']), {
      error: 'schema_mismatch',
      message: /"region=y"/,
    })
    t.doesNotThrow(
      () => manifestOf(listingOf(['id=5/f.parquet']), []),
      'such paths are not read then',
    )
    t.doesNotThrow(() => manifestOf(listingOf(['region=x/other=1/f.parquet']), ['region']))
  },
)

t.test('a column of the file that is a partition column as well comes from the path', async (t) => {
  t.same(dataColumns(columns, [{ name: 'NOTE' }]), sketchColumns('id BIGINT'))
  t.doesNotThrow(() => manifestOf(listingOf(['note=x/f.parquet']), ['note']))
})

t.test('a manifest survives being written, and its paths lead back', async (t) => {
  const made = manifestOf(listingOf(['region=x/f.parquet']), ['region'])
  t.same(manifest.decode(JSON.parse(JSON.stringify(made)), 'manifest'), made)
  t.equal(absolutePath(made.location, made.files[0]?.path ?? ''), '/data/sales/region=x/f.parquet')
  t.equal(absolutePath('/data/', 'f'), '/data/f')
  t.equal(absolutePath('/data', '/elsewhere/f'), '/elsewhere/f')
  t.equal(totalRows(made.files), 100)
  t.equal(totalBytes(made.files), 1000)
})

t.test('statistics of files are kept, and a manifest of before has none', async (t) => {
  const listing = sketchListing(
    '/data/t',
    [sketchColumns('a INTEGER, b VARCHAR')],
    [{ path: 'a.parquet' }, { path: 'b.parquet' }],
  )
  const [first, second] = listing.files
  if (first === undefined || second === undefined) throw new Error('no files')
  const statistics = [{ nulls: [1], min: [-3], max: ['9223372036854775807'] }, null]
  const made = manifestOf({ ...listing, files: [{ ...first, statistics }, second] }, [])
  const read = manifest.decode(JSON.parse(JSON.stringify(made)), 'manifest')
  t.same(read.files[0]?.statistics, statistics)
  t.equal(read.files[1]?.statistics, undefined)
})
