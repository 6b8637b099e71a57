import t from 'tap'
import { Prng } from '../base/prng.ts'
import type { Dialect } from './dialect.ts'
import { isBlank, splitStatements, statementsInTurn } from './split-statements.ts'

const texts = (sql: string, dialect: Dialect = 'ansi'): string[] =>
  [...statementsInTurn(sql, () => dialect)].map(({ text }) => text)
const open = (sql: string, dialect: Dialect = 'ansi'): string => splitStatements(sql, dialect).open

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
    ['select 1 -- a\r; x', ['select 1 -- a', 'x']],
    ["select größE'\\'; x", ["select größE'\\'", 'x']],
    ['select $größe$a;b$größe$; x', ['select $größe$a;b$größe$', 'x']],
    ["select '\\'; x", ["select '\\'", 'x']],
  ]
  for (const [sql, wanted] of cases) t.strictSame(texts(sql), wanted, sql)
})

t.test(
  'in the Impala dialect "x" is a string, strings know backslashes, comments do not nest',
  async (t) => {
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["select 'it\\'s; ok'; x", ["select 'it\\'s; ok'", 'x']],
      ['select "it\\"s; ok"; x', ['select "it\\"s; ok"', 'x']],
      ['select "it\'s"; x', ['select "it\'s"', 'x']],
      ['select "a"";b"; x', ['select "a"";b"', 'x']],
      ["select '\\\\'; x", ["select '\\\\'", 'x']],
      ["select E'a\\';b'; x", ["select E'a\\';b'", 'x']],
      ['select `a\\`; x', ['select `a\\`', 'x']],
      ['select /* a /* b; */ 1; x', ['select /* a /* b; */ 1', 'x']],
      ['/* /* nothing; */; x', ['x']],
      ['select $$a\\$$; x', ['select $$a\\$$', 'x']],
    ]
    for (const [sql, wanted] of cases) t.strictSame(texts(sql, 'impala'), wanted, sql)
    t.equal(open('select "a\\"', 'impala'), 'string')
    t.equal(open("select 'a\\'", 'impala'), 'string')
    t.equal(open("select 'a\\'"), 'nothing')
    t.ok(isBlank('/* /* */', 'impala'))
  },
)

t.test('a statement may change how those after it are read', async (t) => {
  const sql = `select '\\'; impala; select '\\'; '; ansi; select '\\'; last`
  let dialect: Dialect = 'ansi'
  const taken: string[] = []
  for (const { text } of statementsInTurn(sql, () => dialect)) {
    taken.push(text)
    if (text === 'impala' || text === 'ansi') dialect = text
  }
  t.strictSame(taken, ["select '\\'", 'impala', "select '\\'; '", 'ansi', "select '\\'", 'last'])
})

t.test('each statement knows where it stood', async (t) => {
  const sql = '  a ;\n b;c'
  for (const { text, offset } of statementsInTurn(sql, () => 'ansi')) {
    t.equal(sql.slice(offset, offset + text.length), text)
  }
})

t.test('what is left open is told', async (t) => {
  t.equal(open("select 'a"), 'string')
  t.equal(open('select "a'), 'name')
  t.equal(open('select `a'), 'name')
  t.equal(open('select /* a'), 'comment')
  t.equal(open('select $x$ a'), 'string')
  t.equal(open('select 1'), 'nothing')
  t.equal(open("select 'a' -- it's"), 'nothing')
})

t.test('comments alone are no statement', async (t) => {
  t.ok(isBlank(' -- a\n/* b */ \n', 'ansi'))
  t.notOk(isBlank('-- a\nselect', 'ansi'))
  t.notOk(isBlank("''", 'ansi'))
})

t.test('no text is lost or made up, whatever it is', async (t) => {
  const seed = 4711
  const prng = new Prng(seed)
  const pieces = ["'", '"', '`', '$$', '$a$', '--', '\n', '/*', '*/', ';', 'x', ' ', '\\', "E'"]
  for (let round = 0; round < 2_000; round++) {
    const sql = Array.from({ length: prng.below(20) }, () => prng.pick(pieces)).join('')
    const { statements, rest } = splitStatements(sql, prng.pick(['ansi', 'impala']))
    for (const { text, offset } of [...statements, rest]) {
      if (sql.slice(offset, offset + text.length) === text) continue
      t.fail(`seed ${seed}, round ${round}: ${JSON.stringify(sql)}`)
    }
  }
})

t.test('\\copy is a statement of its own that ends with its line', async (t) => {
  const text =
    "select 1; -- so\n\\copy (select ';') to 'a;b'\nselect '\n\\copy x';\n  \\copy t from x.csv"
  t.strictSame(
    [...statementsInTurn(text, () => 'ansi')].map(({ text }) => text),
    ['select 1', "\\copy (select ';') to 'a;b'", "select '\n\\copy x'", '\\copy t from x.csv'],
  )
})
