import t from 'tap'
import { SqlFrontEnd } from '../sql/front-end.ts'
import { isConstantQuery } from './constant-query.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

const isConstant = async (sql: string): Promise<boolean> =>
  isConstantQuery((await frontEnd.parseQuery(sql, { dialect: 'ansi' })).query)

t.test('literals and what is computed of them at little cost is constant', async (t) => {
  for (const sql of [
    'SELECT 1',
    "SELECT 1 AS a, 'x', NULL, true, 1.50, 1e3, -5",
    "SELECT CAST('1' AS BIGINT), '2024-01-01'::DATE, TIMESTAMP '2024-01-01 00:00:00', 1::DECIMAL(10,2)",
    "SELECT DATE '2024-01-31' + INTERVAL '1' MONTH, extract(year FROM DATE '2024-01-01')",
    "SELECT CASE WHEN 1 < 2 THEN 'a' ELSE 'b' END, coalesce(NULL, 1), nullif(1, 2), 1 IN (1, 2), 2 BETWEEN 1 AND 3",
    "SELECT upper('x') || lower('Y'), length('abc'), 'abc' LIKE 'a%', NOT true, 1 IS NULL, true IS TRUE",
    'SELECT 1 WHERE false',
    "SELECT upper(a) FROM (SELECT 'x' AS a) s",
  ]) {
    t.equal(await isConstant(sql), true, sql)
  }
})

t.test('what is volatile, unbounded, nested or reads anything is the work of a task', async (t) => {
  for (const sql of [
    'SELECT random()',
    'SELECT now(), current_date',
    'SELECT CURRENT_TIMESTAMP',
    'SELECT uuid()',
    "SELECT repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000)",
    'SELECT range(1000000000)',
    'SELECT [1, 2]',
    "SELECT {'a': 1}",
    'SELECT sum(1)',
    'SELECT count(*)',
    'SELECT unnest([1, 2])',
    'SELECT row_number() OVER ()',
    'SELECT (SELECT 1)',
    'SELECT EXISTS (SELECT 1)',
    'SELECT * FROM range(10)',
    'SELECT * FROM t',
    "SELECT * FROM 'a.parquet'",
    'SELECT 1 UNION ALL SELECT 2',
    'WITH c AS (SELECT 1) SELECT * FROM c',
    'SELECT 1 ORDER BY 1',
    'SELECT DISTINCT 1',
    "SELECT a || a FROM (SELECT a || a AS a FROM (SELECT 'x' AS a) s) u",
    'SELECT 1 FROM (VALUES (1)) a, (VALUES (1)) b',
    "SELECT regexp_matches('a', 'a')",
    "SELECT getenv('HOME')",
    'SELECT list_transform([1], lambda x: x)',
    `SELECT ${Array.from({ length: 3000 }, () => '1').join(', ')}`,
  ]) {
    t.equal(await isConstant(sql), false, sql.slice(0, 80))
  }
})
