import t from 'tap'
import { columnAt } from './failed-cast.ts'

const COLUMNS = new Set(['l', 'y"z', 'from'])
/** Of the first cast. */
const at = (sql: string): string | undefined =>
  columnAt(sql, Buffer.byteLength(sql.slice(0, sql.indexOf('CAST('))), COLUMNS)

t.test('a cast that failed is of the column that it becomes', (t) => {
  t.equal(at('SELECT a, CAST(s.l AS INTEGER[]) AS "l" FROM s'), 'l')
  t.equal(
    at(`SELECT 'ä', CAST(s."x AS (" AS STRUCT(a INTEGER, "b)" DATE)) AS "y""z" FROM s`),
    'y"z',
  )
  t.equal(
    at(`SELECT COALESCE(CAST(s.l AS DATE[]), error('it''s AS l')) AS l, 1 AS "from" FROM s`),
    'l',
  )
  t.equal(at('SELECT CASE WHEN a THEN CAST(b AS DATE[]) ELSE l END AS "from" FROM s'), 'from')
  t.equal(at('SELECT CAST(CAST(a AS INTEGER) + 1 AS BIGINT) AS l FROM s'), 'l')
  t.equal(at('SELECT (SELECT max(CAST(a AS INTEGER)) FROM t AS "y""z" WHERE b) AS l FROM s'), 'l')
  t.end()
})

t.test('a cast of an inner query, or of a condition, is of no column', (t) => {
  t.equal(at('SELECT x AS l FROM (SELECT CAST(a AS INTEGER) AS x FROM t) AS s'), undefined)
  t.equal(at('SELECT x AS l FROM s WHERE CAST(a AS INTEGER) > 1'), undefined)
  t.equal(at('SELECT CAST(a AS INTEGER) FROM s AS l'), undefined)
  t.equal(at('SELECT CAST(a AS INTEGER'), undefined)
  t.equal(columnAt('SELECT 1', 100, COLUMNS), undefined)
  t.end()
})
