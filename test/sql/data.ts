import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'

/** Makes the files that the suites read, below `data`; and beside it some that no cluster may read. */
export async function writeData(data: string, outside: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  await kernel.run("SET TimeZone = 'UTC'")
  try {
    await writePeople(kernel, data)
    await writeTypes(kernel, data)
    await writePartitions(kernel, data)
    await writeDrift(kernel, data)
    await writeEdges(kernel, data)
    await writeBroken(kernel, data, outside)
  } finally {
    kernel.closeSync()
    instance.closeSync()
  }
}

async function copy(
  kernel: DuckDBConnection,
  query: string,
  path: string,
  options = '',
): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true })
  await kernel.run(`COPY (${query}) TO '${path.replaceAll("'", "''")}' (FORMAT parquet${options})`)
}

/** Two tables that belong together, small enough to have every answer in mind. */
async function writePeople(kernel: DuckDBConnection, data: string): Promise<void> {
  await copy(
    kernel,
    `SELECT * FROM (VALUES
       (1, 'ann', 'north', DATE '1990-05-01', 50.25::DECIMAL(9,2)),
       (2, 'bob', 'south', DATE '1985-01-31', NULL),
       (3, 'cid', NULL, NULL, 0.00),
       (4, 'dora', 'north', DATE '2000-02-29', 1000.10)) t(id, name, region, born, balance)`,
    join(data, 'people', 'a.parquet'),
  )
  await copy(
    kernel,
    `SELECT * FROM (VALUES
       (5, 'ann', 'south', DATE '1990-05-01', -3.50::DECIMAL(9,2)),
       (6, NULL, 'east', DATE '1970-01-01', 7.00)) t(id, name, region, born, balance)`,
    join(data, 'people', 'b.parquet'),
  )
  await copy(
    kernel,
    `SELECT * FROM (VALUES
       (10, 1, 5, 1.5::DOUBLE), (11, 1, 3, 2.25), (12, 2, NULL, 4.0),
       (13, 4, 8, 0.5), (14, NULL, 1, 8.0), (15, 9, 2, NULL)) t(id, person, stars, price)`,
    join(data, 'orders', 'a.parquet'),
  )
  await copy(
    kernel,
    "SELECT i AS n, i % 7 AS bucket, 'row ' || i AS label, ((i % 100) * 0.25)::DECIMAL(9,2) AS amount FROM range(20000) t(i)",
    join(data, 'numbers', 'a.parquet'),
    ', ROW_GROUP_SIZE 4096',
  )
}

async function writeTypes(kernel: DuckDBConnection, data: string): Promise<void> {
  await kernel.run(
    `CREATE TABLE types (row INTEGER, b BOOLEAN, i1 TINYINT, i2 SMALLINT, i4 INTEGER, i8 BIGINT, u1 UTINYINT, u2 USMALLINT,
       u4 UINTEGER, u8 UBIGINT, f4 FLOAT, f8 DOUBLE, d4 DECIMAL(4,2), d38 DECIMAL(38,9), t VARCHAR, bytes BLOB, day DATE,
       clock TIME, ts TIMESTAMP, tz TIMESTAMPTZ, ns TIMESTAMP_NS, span INTERVAL, id UUID, list INTEGER[],
       pair STRUCT(x INTEGER, y VARCHAR), dict MAP(VARCHAR, DECIMAL(4,1)), js JSON)`,
  )
  await kernel.run(
    `INSERT INTO types VALUES
      (1, true, -128, -32768, -2147483648, -9223372036854775808, 255, 65535, 4294967295, 18446744073709551615, 1.5, 2.5e300,
       -99.99, 12345678901234567890123456789.123456789, 'zoë', '\\x00\\xFF', '0001-01-01', '23:59:59.999999',
       '2024-02-29 12:00:00.123456', '2024-02-29 12:00:00+02', '2024-02-29 12:00:00.123456789',
       INTERVAL '1 year 2 months 3 days 4 seconds', '00000000-0000-0000-0000-00000000002a', [1, NULL, 3],
       {'x': 1, 'y': 'two'}, MAP {'k': 1.5}, '{"a": [1]}'),
      (2, false, 127, 32767, 2147483647, 9223372036854775807, 0, 0, 0, 0, 'nan', '-inf', 99.99, -0.000000001, '', '',
       '9999-12-31', '00:00:00', '1969-12-31 23:59:59.5', '1970-01-01 00:00:00+00', '1970-01-01', INTERVAL '0 days',
       'ffffffff-ffff-ffff-ffff-ffffffffffff', [], {'x': NULL, 'y': ''}, MAP {}, 'null'),
      (3, ${Array.from({ length: 26 }, () => 'NULL').join(', ')})`,
  )
  await copy(kernel, 'SELECT * FROM types', join(data, 'types', 'a.parquet'))
}

async function writePartitions(kernel: DuckDBConnection, data: string): Promise<void> {
  await copy(
    kernel,
    `SELECT i AS id, (i * 1.5)::DECIMAL(9,1) AS fare,
       ['north', 'south, west', 'a=b/c%', NULL][(i % 4 + 1)::INTEGER] AS region, DATE '2024-01-01' + (i // 4)::INTEGER AS day
     FROM range(16) t(i)`,
    join(data, 'trips'),
    ', PARTITION_BY (region, day)',
  )
}

async function writeDrift(kernel: DuckDBConnection, data: string): Promise<void> {
  const path = (name: string): string => join(data, 'drift', name)
  await copy(kernel, 'SELECT 1::INTEGER AS id, 1.5::DECIMAL(5,1) AS price', path('1.parquet'))
  await copy(
    kernel,
    "SELECT 'note' AS note, 2::BIGINT AS ID, 2.25::DECIMAL(9,2) AS Price",
    path('2.parquet'),
  )
  await copy(
    kernel,
    "SELECT encode('zoë') AS note, 3::SMALLINT AS id, 7 AS more",
    path('3.parquet'),
  )
  await copy(kernel, "SELECT 1 AS a, 'x' AS b", join(data, 'clash', '1.parquet'))
  await copy(kernel, "SELECT 'one' AS a, 'y' AS b", join(data, 'clash', '2.parquet'))
}

/** What a careless or hostile hand may put where tables lie. */
async function writeBroken(kernel: DuckDBConnection, data: string, outside: string): Promise<void> {
  const whole = "SELECT i AS a, 'text ' || i AS b FROM range(10000) t(i)"
  for (const name of ['truncated', 'zero', 'text', 'tail']) {
    await copy(kernel, whole, join(data, name, 'good.parquet'))
  }
  await copy(kernel, whole, join(data, 'truncated', 'bad.parquet'))
  await truncate(join(data, 'truncated', 'bad.parquet'), 5000)
  await writeFile(join(data, 'zero', 'bad.parquet'), '')
  await writeFile(join(data, 'text', 'bad.parquet'), 'id,name\n1,ann\n'.repeat(50))
  await writeFile(
    join(data, 'tail', 'bad.parquet'),
    `PAR1${'x'.repeat(100)}\u00ff\u00ff\u00ff\u007fPAR1`,
    'latin1',
  )
  await mkdir(join(data, 'empty'), { recursive: true })
  await mkdir(join(data, 'nested', 'deep', 'deeper'), { recursive: true })
  await copy(kernel, 'SELECT 1 AS a', join(data, 'nested', 'deep', 'deeper', 'f.parquet'))
  await copy(kernel, 'SELECT 2 AS a', join(data, 'nested', '_hidden.parquet'))
  await copy(kernel, 'SELECT 3 AS a', join(data, 'nested', '.hidden', 'f.parquet'))
  await copy(kernel, 'SELECT 42 AS secret', join(outside, 'secret.parquet'))
  await symlink(outside, join(data, 'link'))
  await mkdir(join(data, 'linked'), { recursive: true })
  await symlink(join(outside, 'secret.parquet'), join(data, 'linked', 'f.parquet'))
  await mkdir(join(data, 'clashing-directory', 'a=5', 'p=1'), { recursive: true })
  await copy(kernel, 'SELECT 1 AS a', join(data, 'clashing-directory', 'a=5', 'p=1', 'f.parquet'))
  await writeFile(join(data, 'note.csv'), 'id,name\n1,ann\n2,bob\n')
  await writeFile(join(outside, 'passwords.csv'), 'user,password\nroot,secret\n')
}

/** Values at the edges of their types, keys that are all NULL, a table without rows, and one of 1,000 columns. */
async function writeEdges(kernel: DuckDBConnection, data: string): Promise<void> {
  const most = '9223372036854775807'
  await copy(
    kernel,
    `SELECT * FROM (VALUES
       (1, ${most}, 'NaN'::DOUBLE, 'a', 0), (2, -${most} - 1, '-0.0'::DOUBLE, '', 0),
       (3, 0, 'inf'::DOUBLE, repeat('x', 1000000), 1)) t(id, big, real, name, zero)`,
    join(data, 'edges', 'a.parquet'),
  )
  await copy(
    kernel,
    `SELECT * FROM (VALUES
       (4, ${most}, 'NaN'::DOUBLE, repeat('x', 1000000), 0), (5, 0, 0.0::DOUBLE, NULL, NULL),
       (6, NULL, '-inf'::DOUBLE, 'ß日', 2), (7, 1, NULL, 'a', 0)) t(id, big, real, name, zero)`,
    join(data, 'edges', 'b.parquet'),
  )
  await copy(
    kernel,
    'SELECT i AS id, CAST(NULL AS INTEGER) AS k, CAST(NULL AS VARCHAR) AS name FROM range(5) t(i)',
    join(data, 'unkeyed', 'a.parquet'),
  )
  await copy(
    kernel,
    'SELECT i + 5 AS id, CAST(NULL AS INTEGER) AS k, CAST(NULL AS VARCHAR) AS name FROM range(5) t(i)',
    join(data, 'unkeyed', 'b.parquet'),
  )
  await copy(
    kernel,
    "SELECT CAST(1 AS INTEGER) AS k, 'x' AS name, CAST(1 AS DECIMAL(9,2)) AS amount WHERE false",
    join(data, 'rowless', 'a.parquet'),
  )
  const columns = Array.from({ length: 1000 }, (_, i) => `i * ${i + 1} AS c${i + 1}`).join(', ')
  for (const [name, first] of [
    ['a', 0],
    ['b', 2],
  ]) {
    const rows = `(SELECT (r + ${first})::INTEGER AS i FROM range(2) t(r))`
    await copy(kernel, `SELECT ${columns} FROM ${rows}`, join(data, 'wide', `${name}.parquet`))
  }
}
