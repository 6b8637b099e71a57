import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import t, { type Test } from 'tap'
import { sketchColumns } from '../testing/listings.ts'
import type { ManifestFile } from '../table/manifest.ts'
import { type Scan, scanSql, type Split, wholeFiles } from './scan.ts'

const fileOf = (path: string, schema = 0, rows = 10): ManifestFile => ({
  path,
  bytes: 100,
  modifiedMs: 0,
  rows,
  rowGroups: [{ rows, bytes: 100 }],
  schema,
  partition: 0,
})

const scanOf = (parts: Partial<Scan>): Scan => ({
  id: 0,
  database: 'd',
  table: 't',
  alias: 't',
  location: '/data/t',
  columns: sketchColumns('a INTEGER, b VARCHAR'),
  partitionColumns: [],
  schemas: [sketchColumns('a INTEGER, b VARCHAR')],
  files: [],
  filesTotal: 0,
  partitionsTotal: 0,
  partitionsLeft: 0,
  ...parts,
})

t.test('whole files of one schema are one read of an explicit list', async (t) => {
  t.equal(
    scanSql(scanOf({}), wholeFiles([fileOf('x.parquet'), fileOf("o'hara.parquet")])),
    `(SELECT "a", "b" FROM read_parquet(['/data/t/x.parquet', '/data/t/o''hara.parquet'], hive_partitioning=false))`,
  )
})

t.test('each physical schema has a read of its own, cast to what is declared', async (t) => {
  const scan = scanOf({
    columns: sketchColumns('a BIGINT, b VARCHAR'),
    schemas: [sketchColumns('a BIGINT, b VARCHAR'), sketchColumns('B VARCHAR, A SMALLINT, c DATE')],
  })
  const sql = scanSql(scan, wholeFiles([fileOf('x'), fileOf('y', 1), fileOf('z')]))
  t.match(sql, /SELECT "a", "b" FROM read_parquet\(\['\/data\/t\/x', '\/data\/t\/z'\]/)
  t.match(
    sql,
    /SELECT CAST\("A" AS BIGINT\) AS "a", "B" AS "b" FROM read_parquet\(\['\/data\/t\/y'\]/,
  )
})

t.test('a column that the files lack is NULL of its type', async (t) => {
  const scan = scanOf({ schemas: [sketchColumns('a INTEGER')] })
  t.match(scanSql(scan, wholeFiles([fileOf('x')])), /CAST\(NULL AS VARCHAR\) AS "b"/)
})

t.test('a part of a file is read by row numbers, both ends included', async (t) => {
  const splits: readonly Split[] = [{ file: fileOf('x'), bytes: 1, range: { first: 3, rows: 4 } }]
  t.match(
    scanSql(scanOf({}), splits),
    /file_row_number=true\) WHERE file_row_number BETWEEN 3 AND 6/,
  )
})

t.test('no files are an empty relation of the declared types', async (t) => {
  const scan = scanOf({ partitionColumns: sketchColumns('p DATE') })
  t.equal(
    scanSql(scan, []),
    '(SELECT CAST(NULL AS INTEGER) AS "a", CAST(NULL AS VARCHAR) AS "b", CAST(NULL AS DATE) AS "p" WHERE false)',
  )
})

async function openKernel(t: Test): Promise<{ kernel: DuckDBConnection; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-scan-'))
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  t.teardown(async () => {
    kernel.closeSync()
    instance.closeSync()
    await rm(directory, { recursive: true })
  })
  return { kernel, directory }
}

const rowsOf = async (kernel: DuckDBConnection, sql: string): Promise<readonly string[]> =>
  (await kernel.runAndReadAll(sql)).getRows().map((row) => row.map(String).join('|'))

t.test('text that a writer left as bytes is text again, and the other way round', async (t) => {
  const { kernel, directory } = await openKernel(t)
  await kernel.run(
    `COPY (SELECT encode('zoë') AS a, 'a\\x41ë' AS b, [encode('ü')] AS c) TO '${directory}/f' (FORMAT parquet)`,
  )
  const scan = scanOf({
    location: directory,
    columns: sketchColumns('a VARCHAR, b BLOB, c VARCHAR[]'),
    schemas: [sketchColumns('a BLOB, b VARCHAR, c BLOB[]')],
  })
  const sql = `SELECT a, decode(b), c FROM ${scanSql(scan, wholeFiles([fileOf('f')]))}`
  t.same(await rowsOf(kernel, sql), [`zoë|a\\x41ë|['ü']`])
})

t.test('partition values come out of the path as they went in', async (t) => {
  const { kernel, directory } = await openKernel(t)
  const values = [
    "'north'",
    "'south, west'",
    "'a=b/c%'",
    "'ümlaut'",
    "'007'",
    'NULL',
    "' '",
    "'x''y'",
  ]
  await kernel.run(
    `COPY (SELECT 1 AS a, unnest([${values.join(', ')}]) AS p) TO '${directory}' (FORMAT parquet, PARTITION_BY (p), OVERWRITE_OR_IGNORE)`,
  )
  const paths = await rowsOf(kernel, `SELECT file FROM glob('${directory}/**/*.parquet')`)
  const scan = scanOf({
    location: directory,
    columns: sketchColumns('a INTEGER'),
    schemas: [sketchColumns('a INTEGER')],
    partitionColumns: sketchColumns('p VARCHAR'),
  })
  const sql = `SELECT p FROM ${scanSql(scan, wholeFiles(paths.map((p) => fileOf(p.slice(directory.length + 1)))))}`
  t.same(
    (await rowsOf(kernel, sql)).toSorted(),
    (await rowsOf(kernel, `SELECT unnest([${values.join(', ')}])`)).toSorted(),
  )
})
