import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import { lex } from './lexer.ts'
import { prepareText } from './pre-pass.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'
import type { Dialect } from './token.ts'

const prepared = (text: string, dialect: Dialect) =>
  prepareText({ script: text, tokens: lex(text, { dialect }) }, dialect)

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

/** What DuckDB is given in either dialect. */
const BOTH: readonly (readonly [text: string, sql: string])[] = [
  ['select `a b`, `c``d`.e', 'select "a b", "c`d".e'],
  ["select E'a\\nb', $$c'd$$", "select 'a\nb', 'c''d'"],
  ['select a /* x */ , -- y\n b', 'select a ,   b'],
  ['select a/**/b', 'select a b'],
  ['select größe\u00a0from t', 'select "größe" from t'],
  ['select a||-1, a=-b, a::int, a->-1', 'select a || - 1, a = - b, a :: int, a -> - 1'],
  ['select ?, ? + 1', 'select $1, $2 + 1'],
  ['select $2, $1', 'select $2, $1'],
  ['select * from default.t, "default".u', 'select * from "default".t, "default".u'],
  ['select straight_join a from t', 'select  a from t'],
  ['select * from t for system_version as of 12 a', 'select * from t AS "a" AT (VERSION => 12)'],
  [
    'from t for system_time as of x - interval 1 day as A(x, y) join u for version as of 1 on true',
    'from t AS "A"("x", "y") AT (TIMESTAMP => x - interval 1 day) join u AT (VERSION => 1) on true',
  ],
  [
    'from t for timestamp as of now() - interval (1) day where a',
    'from t AT (TIMESTAMP => now() - interval (1) day) where a',
  ],
  [
    "from d.t for system_time as of '2020'::timestamp at time zone 'UTC', u",
    "from d.t AT (TIMESTAMP => '2020' :: timestamp at time zone 'UTC'), u",
  ],
  [
    'select * from b x for version as of cast(1 as int) minus select 1',
    'select * from b x AT (VERSION => cast(1 as int)) EXCEPT select 1',
  ],
  ['select substring(a for 3) from t as for_', 'select substring(a for 3) from t as for_'],
  ['select straight_join from t', 'select straight_join from t'],
  ['select straight_join, b from t', 'select straight_join, b from t'],
  [
    'select 1 from a join [shuffle] b join /* +broadcast */ c',
    'select 1 from a join    b join   c',
  ],
  ['select a from t left semi join u on x', 'select a from t  semi join u on x'],
  ['select a from t left anti join u using (x)', 'select a from t  anti join u using (x)'],
  ['select a from t semi join u on x', 'select a from t semi join u on x'],
  ['select 1 minus select 2 minus (select 3)', 'select 1 EXCEPT select 2 EXCEPT (select 3)'],
  ['select * from t minus values (1)', 'select * from t EXCEPT values (1)'],
  ['select * minus select 1', 'select * EXCEPT select 1'],
  ['((select 1) minus all (select 2))', '((select 1) EXCEPT all (select 2))'],
  ['select minus from t minus', 'select minus from t minus'],
  ['from t minus select a', 'from t minus select a'],
  ['from f(x) minus select a', 'from f(x) minus select a'],
  ['select (from t minus select a)', 'select (from t minus select a)'],
  ['select a minus, b from minus', 'select a minus, b from minus'],
  ['select 7 div 2, a div (b), (a) div -b', 'select 7 // 2, a // (b), (a) // - b'],
  ['select case when a then b end div 2', 'select case when a then b end // 2'],
  ['select div from t div', 'select div from t div'],
  ['select a div, t.div, div(1)', 'select a div, t.div, div(1)'],
  [
    "select a rlike 'x.y', b not regexp '^a$'",
    "select a ~ '(?s:.*)(?:x.y)(?s:.*)', b  !~ '(?s:.*)(?:^a$)(?s:.*)'",
  ],
  ["select a iregexp 'x'", "select a ~ '(?s:.*)(?i)(?:x)(?s:.*)'"],
  ['select regexp, rlike from t', 'select regexp, rlike from t'],
  [
    "select interval 3 day, interval '3' month, interval (a) hour",
    "select interval 3 day, interval '3' month, interval (a) hour",
  ],
  [
    'select interval a + 1 day, interval -3 days',
    'select interval (a + 1) day, interval (- 3) days',
  ],
  [
    'select interval 1.5 second, interval f(x, y) months',
    'select interval (1.5) second, interval (f(x, y)) months',
  ],
  ['select interval (a) + (b) day', 'select interval ((a) + (b)) day'],
  [
    "select interval '1 day', '1'::interval day, cast(a as interval)",
    "select interval '1 day', '1' :: interval day, cast(a as interval)",
  ],
  ['select interval, t.interval day from t', 'select interval, t.interval day from t'],
  [
    'select a, sum(b) from t group by a, f(b) with rollup',
    'select a, sum(b) from t group by ROLLUP ( a, f(b) ) ',
  ],
  [
    'select a from t group by a with cube order by a',
    'select a from t group by CUBE ( a )  order by a',
  ],
  [
    'with rollup as (select 1) select * from rollup',
    'with rollup as (select 1) select * from rollup',
  ],
]

await t.test('both dialects are rewritten to the text DuckDB reads', (t) => {
  const squeezed = (sql: string): string =>
    sql
      .replace(/[ \n]+/g, ' ')
      .replaceAll(' )', ')')
      .trim()
  for (const [text, sql] of BOTH) {
    t.equal(squeezed(prepared(text, 'ansi').sql), squeezed(sql), text)
    if (!/["\\]/.test(text)) t.equal(squeezed(prepared(text, 'impala').sql), squeezed(sql), text)
  }
  t.end()
})

/** What only the Impala dialect rewrites. */
const IMPALA: readonly (readonly [text: string, sql: string])[] = [
  ['select "a", "it\'s", \'say "x"\'', "select 'a', 'it''s', 'say \"x\"'"],
  ["select 'a\\'b\\n\\\\c', 'a\\%b'", "select 'a''b\n\\c', 'a\\%b'"],
  ['select x"AB"', "select x 'AB'"],
  [
    'select a <=> b and not (c <=> d)',
    'select a IS NOT DISTINCT FROM b and not (c IS NOT DISTINCT FROM d)',
  ],
  ['select a && b, !c, !(d)', 'select a AND b, NOT c, NOT(d)'],
]

await t.test(
  'the Impala dialect reads double quotes as strings, and has operators of its own',
  (t) => {
    for (const [text, sql] of IMPALA) t.equal(prepared(text, 'impala').sql, sql, text)
    t.equal(prepared('select a <=> b, a && b, !a', 'ansi').sql, 'select a <=> b, a && b, ! a')
    t.end()
  },
)

const values: readonly (readonly [dialect: Dialect, expression: string, value: string])[] = [
  ['ansi', '7 div 2 + (-7) div 2', '0'],
  ['ansi', "'abcd' rlike '^b|d$'", 'true'],
  ['ansi', "'abcd' not rlike 'b.d'", 'false'],
  ['ansi', "'a\nBc' iregexp 'b' and not ('a\nBc' rlike 'b')", 'true'],
  ['ansi', "date '2024-01-31' + interval 2 - 1 month = date '2024-02-29'", 'true'],
  ['ansi', "interval 1.5 second = interval '1500' milliseconds", 'true'],
  ['ansi', "length(E'a\\\\b') = length('a\\b')", 'true'],
  ['impala', 'concat("a", \'b\', "c\\"d")', 'abc"d'],
  ['impala', "length('a\\\\b')", '3'],
  ['impala', "'100%' like '%\\%' escape '\\\\'", 'true'],
  ['impala', "'100%' like '100\\%' and not ('100x' like '100\\%')", 'true'],
  ['impala', 'null <=> null and not (1 <=> null)', 'true'],
  ['impala', '!false && true', 'true'],
  ['impala', '`concat`("x", "y")', 'xy'],
]

await t.test('what is rewritten has the value that the dialect gives it', async (t) => {
  for (const [dialect, expression, value] of values) {
    const { sql } = await frontEnd.parseQuery(`select ${expression}`, { dialect })
    const result = await frontEnd.parser.connection.runAndReadAll(`SELECT (${sql})::VARCHAR`)
    t.equal(String(result.getRows()[0]?.[0]), value, `${dialect}: ${expression}`)
  }
})

await t.test('hints are kept with their place', (t) => {
  const text =
    '/* +first */ select straight_join a from t join [shuffle] u join -- +broadcast\n v on x'
  const { hints } = prepared(text, 'ansi')
  const sorted = hints.toSorted((a, b) => a.at - b.at)
  t.same(
    sorted.map((hint) => hint.text),
    ['first', 'STRAIGHT_JOIN', 'SHUFFLE', 'broadcast'],
  )
  t.same(
    sorted.map((hint) => text.slice(hint.at, hint.at + 4)),
    ['/* +', 'stra', '[shu', '-- +'],
  )
  t.end()
})

const REFUSED: readonly (readonly [dialect: Dialect, text: string, near: string])[] = [
  ['ansi', 'select a ^ b', '^'],
  ['impala', 'select a ^ b', '^'],
  ['impala', 'select a <=> b = c', '='],
  ['ansi', 'select 1 from a right semi join b', 'right'],
  ['ansi', 'select a rlike b', 'rlike'],
  ['ansi', "select a rlike 'x' || b", 'rlike'],
  ['ansi', 'select 2gb', '2gb'],
  ['ansi', 'select $1, ?', '?'],
  ['ansi', 'select $1, $a', '$a'],
  ['impala', 'select a & b + c', '+'],
  ['impala', 'select a + b & c', '&'],
  ['impala', 'select a | b & c', '&'],
  ['impala', 'select a || b = c', '='],
  ['impala', 'select a = b || c', '||'],
  ['impala', 'select a and b || c', '||'],
  ['impala', 'select a || b + c', '+'],
  ['impala', "select a = b like 'c'", 'like'],
  ['impala', 'select a like b = c', '='],
  ['impala', 'select a = b in (1)', 'in'],
  ['impala', 'select a = b not in (1)', 'in'],
  ['impala', 'select a between 1 and 2 = b', '='],
]

await t.test('what the two dialects read differently is refused where it stands', async (t) => {
  for (const [dialect, text, near] of REFUSED) {
    const error = await sqlErrorOf(() => prepared(text, dialect))
    t.match(error.error, /^(?:feature_not_supported|syntax_error)$/, text)
    t.ok(
      text.slice(error.position?.offset).startsWith(near),
      `${text}: at ${error.position?.offset}`,
    )
  }
})

const ACCEPTED_IMPALA = [
  'select a || b || c, (a || b) = c, a || upper(b || c)',
  'select (a & b) + c, a & b & c, a & (b | c)',
  'select a + b * c - d / e % f, -a, count(*), a * -b',
  "select a = b and c like 'd' or e in (1) and f between g and h or i = j",
  'select case when a = b then c || d else e end, a = b as x, c in (1)',
  'select * from t where a = 1 and b in (1, 2) and not c like "x" and d not between 1 and 2',
  'select a from t where x between 1 and 2 and y = 3 order by a + 1, b || c limit 5',
]

await t.test('common expressions of the Impala dialect need no parentheses', (t) => {
  for (const text of ACCEPTED_IMPALA) t.doesNotThrow(() => prepared(text, 'impala'), text)
  for (const text of ['select a & b + c', 'select a || b = c', "select a = b like 'c'"]) {
    t.doesNotThrow(() => prepared(text, 'ansi'), text)
  }
  t.end()
})

await t.test('every place in the rewritten text leads back to the token it came from', (t) => {
  const text = "select 'é🎉', `größe`, a /* c */ div 日本, interval b day from default.t with_x"
  const { sql, toUser } = prepared(text, 'ansi')
  const bytesBefore = (part: string): number =>
    new TextEncoder().encode(sql.slice(0, sql.indexOf(part))).length
  const cases: readonly (readonly [inSql: string, inText: string])[] = [
    ['select', 'select'],
    ["'é🎉'", "'é🎉'"],
    ['"größe"', '`größe`'],
    ['//', 'div'],
    ['"日本"', '日本'],
    ['(b)', 'b day'],
    ['day', 'day'],
    ['"default"', 'default'],
    ['t with_x', 't with_x'],
    ['with_x', 'with_x'],
    ['th_x', 'th_x'],
  ]
  for (const [inSql, inText] of cases) {
    t.equal(toUser(bytesBefore(inSql)), text.indexOf(inText), inSql)
  }
  t.equal(toUser(1e6), text.length)
  t.end()
})
