import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'

t.test('texts beside floating-point numbers are DOUBLE, and nothing else is touched', async (t) => {
  const frontEnd = await SqlFrontEnd.open()
  t.teardown(() => frontEnd.close())
  const body = async (text: string): Promise<string> => (await frontEnd.parseQuery(text)).sql
  const cast: readonly (readonly [text: string, cast: number])[] = [
    ["SELECT * FROM (VALUES ('NaN', 'a'), (-1e300, 'b'), (NULL, 'c')) v(x, y)", 1],
    ["VALUES ('1'), ('2'), (CAST('3' AS DOUBLE))", 3],
    ["WITH v(x) AS (VALUES (1e0), ('inf')) SELECT x FROM v", 1],
    ["VALUES ('1.25'), (2)", 0],
    ["VALUES ('1.25'), (2.5)", 0],
    ["VALUES ('NaN', 1e300), ('Infinity', 2)", 0],
  ]
  for (const [text, casts] of cast) {
    t.equal((await body(text)).match(/AS DOUBLE\)/g)?.length ?? 0, casts, text)
  }
  // Its columns say what they are; 0.1 would not stay what it is.
  const insert = await frontEnd.parse("INSERT INTO t VALUES ('0.1'), (1e3)")
  t.notMatch('sql' in insert ? insert.sql : '', /DOUBLE/)
})
