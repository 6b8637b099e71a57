import t from 'tap'
import { Prng } from '../base/prng.ts'
import { allStatements, isBlank, splitStatements } from './split-statements.ts'

const texts = (sql: string): string[] => allStatements(sql).map(({ text }) => text)

t.test('a text is cut at its semicolons and nowhere else', async (t) => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['', []],
    [' ; ;\n;', []],
    ['select 1', ['select 1']],
    ['select 1;', ['select 1']],
    [' select 1 ; select 2 ', ['select 1', 'select 2']],
    ["select ';' ; x", ["select ';'", 'x']],
    ["select 'it''s; ok'; x", ["select 'it''s; ok'", 'x']],
    ["select E'a\\';b'; x", ["select E'a\\';b'", 'x']],
    ["select some'a\\'; x", ["select some'a\\'", 'x']],
    ['select ";" ; x', ['select ";"', 'x']],
    ['select "a"";b"; x', ['select "a"";b"', 'x']],
    ['select `a;b`; x', ['select `a;b`', 'x']],
    ['select 1 -- one; two\n; x', ['select 1 -- one; two', 'x']],
    ['select 1 /* ; */; x', ['select 1 /* ; */', 'x']],
    ['select /* a /* b; */ c; */ 1; x', ['select /* a /* b; */ c; */ 1', 'x']],
    ['select $$a;b$$; x', ['select $$a;b$$', 'x']],
    ['select $t$a;$$;b$t$; x', ['select $t$a;$$;b$t$', 'x']],
    ['select $1; select $2', ['select $1', 'select $2']],
    ['select a$b$; x', ['select a$b$', 'x']],
    ['-- nothing;\n;/* ; */;x', ['x']],
    ['select 1 - -1; x', ['select 1 - -1', 'x']],
  ]
  for (const [sql, wanted] of cases) t.strictSame(texts(sql), wanted, sql)
})

t.test('each statement knows where it stood', async (t) => {
  const sql = '  a ;\n b;c'
  for (const { text, offset } of allStatements(sql)) {
    t.equal(sql.slice(offset, offset + text.length), text)
  }
})

t.test('what is left open is told', async (t) => {
  t.equal(splitStatements("select 'a").open, 'string')
  t.equal(splitStatements('select "a').open, 'name')
  t.equal(splitStatements('select `a').open, 'name')
  t.equal(splitStatements('select /* a').open, 'comment')
  t.equal(splitStatements('select $x$ a').open, 'string')
  t.equal(splitStatements('select 1').open, 'nothing')
  t.equal(splitStatements("select 'a' -- it's").open, 'nothing')
})

t.test('comments alone are no statement', async (t) => {
  t.ok(isBlank(' -- a\n/* b */ \n'))
  t.notOk(isBlank('-- a\nselect'))
  t.notOk(isBlank("''"))
})

t.test('no text is lost or made up, whatever it is', async (t) => {
  const seed = 4711
  const prng = new Prng(seed)
  const pieces = ["'", '"', '`', '$$', '$a$', '--', '\n', '/*', '*/', ';', 'x', ' ', '\\', "E'"]
  for (let round = 0; round < 2_000; round++) {
    const sql = Array.from({ length: prng.below(20) }, () => prng.pick(pieces)).join('')
    const { statements, rest } = splitStatements(sql)
    for (const { text, offset } of [...statements, rest]) {
      if (sql.slice(offset, offset + text.length) === text) continue
      t.fail(`seed ${seed}, round ${round}: ${JSON.stringify(sql)}`)
    }
  }
})
