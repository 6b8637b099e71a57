import t from 'tap'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { checkDistinct, checkSchemas, inferColumns, locationPath } from './external-table.ts'

const listingOf = (...schemas: readonly string[]): ReturnType<typeof sketchListing> =>
  sketchListing(
    '/data/t',
    schemas.map(sketchColumns),
    schemas.map((_, i) => ({ path: `f${i}.parquet`, schema: i })),
  )

t.test('a location is an absolute path, perhaps as a file URL', async (t) => {
  t.equal(locationPath('/data/t'), '/data/t')
  t.equal(locationPath('file:///data/t'), '/data/t')
  t.equal(locationPath('FILE:///data/t'), '/data/t')
  t.throws(() => locationPath('data/t'), {
    error: 'invalid_parameter_value',
    message: 'location "data/t" is not an absolute path',
  })
  t.throws(() => locationPath(''), { error: 'invalid_parameter_value', message: /./ })
  for (const location of ['s3://bucket/t', 'hdfs://namenode/t', 'https://host/t']) {
    t.throws(() => locationPath(location), { error: 'feature_not_supported', message: /./ })
  }
})

t.test('columns that differ in case at most are refused', async (t) => {
  t.throws(() => checkDistinct(sketchColumns('a INTEGER, b INTEGER, A VARCHAR')), {
    error: 'duplicate_column',
    message: 'column "A" is there more than once',
  })
  t.doesNotThrow(() => checkDistinct(sketchColumns('a INTEGER, b INTEGER')))
})

t.test('a file whose column does not fit is named', async (t) => {
  const listing = listingOf('a INTEGER', 'A VARCHAR')
  t.throws(() => checkSchemas(listing, sketchColumns('a BIGINT')), {
    error: 'schema_mismatch',
    message:
      'column "a" has type VARCHAR in file "/data/t/f1.parquet", which cannot be read as BIGINT',
  })
})

t.test(
  'columns that a file lacks, or that the table does not declare, are no mismatch',
  async (t) => {
    const listing = listingOf('a INTEGER, more VARCHAR', 'other DATE')
    t.doesNotThrow(() => checkSchemas(listing, sketchColumns('a BIGINT, missing DATE')))
  },
)

t.test('columns come from all files, each as the widest of its types', async (t) => {
  const merged = inferColumns(
    listingOf(
      'a SMALLINT, b VARCHAR',
      'B VARCHAR, a BIGINT, c DECIMAL(4,1)',
      'c DECIMAL(9,2), a INTEGER',
    ),
  )
  t.same(merged, sketchColumns('a BIGINT, b VARCHAR, c DECIMAL(9,2)'))
  t.same(inferColumns(listingOf()), [])
})

t.test('types that no type holds are an error that says what to do', async (t) => {
  t.throws(() => inferColumns(listingOf('a INTEGER', 'a VARCHAR')), {
    error: 'schema_mismatch',
    message: 'column "a" has type VARCHAR in file "/data/t/f1.parquet" and INTEGER in another',
    hint: /list the columns/,
  })
})
