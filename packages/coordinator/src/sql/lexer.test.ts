import t from 'tap'
import { lex, splitStatements } from './lexer.ts'
import { DEFAULT_SQL_LIMITS } from './limits.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'
import type { Dialect, Token } from './token.ts'

const SHORT: Readonly<Record<Token['kind'], string>> = {
  word: 'w',
  quoted: 'q',
  string: 's',
  number: 'n',
  junk: 'j',
  parameter: 'p',
  positional: '#',
  symbol: '',
  hint: 'h',
}

/** `w:select n:1 +`: kinds and values. */
const shown = (text: string, dialect: Dialect = 'ansi'): string =>
  lex(text, { dialect })
    .map(({ kind, value }) => (kind === 'symbol' ? value : `${SHORT[kind]}:${value}`))
    .join(' ')

const BOTH: readonly (readonly [text: string, tokens: string])[] = [
  ['select a1_$b', 'w:select w:a1_$b'],
  ['größe 日本 a\u00a0b', 'w:größe w:日本 w:a w:b'],
  ['`a``b` `select`', 'q:a`b q:select'],
  ['1 1.5 .5 5. 1e3 1.5E-3 1e+3 1_000', 'n:1 n:1.5 n:.5 n:5. n:1e3 n:1.5E-3 n:1e+3 n:1_000'],
  ['2gb 0x1F 1a 1e 1__0 1_', 'j:2gb j:0x1F j:1a j:1e j:1__0 j:1_'],
  ['t.1', 'w:t n:.1'],
  ["'' 'it''s' ''''", "s: s:it's s:'"],
  ["E'a\\nb\\'c''d\\\\' e'\\x41\\101\\u00e9'", "s:a\nb'c'd\\ s:AAé"],
  ["$$a'b$$ $x$ $$ $x$ $ü$é$ü$", "s:a'b s: $$  s:é"],
  ['$1 $name ? ?2 #3', 'p:1 p:name p: p:2 #:3'],
  [
    'a->>b->c<=d<>e!=f==g::h:=i=>j',
    'w:a ->> w:b -> w:c <= w:d <> w:e != w:f == w:g :: w:h := w:i => w:j',
  ],
  ['a||-1 a=-1 a<-b a**b//c', 'w:a || - n:1 w:a = - n:1 w:a < - w:b w:a ** w:b // w:c'],
  [
    'a<=>b !~~* ~~* !~* ~~~ ^@ @> <@ && <<2>>',
    'w:a <=> w:b !~~* ~~* !~* ~~~ ^@ @> <@ && << n:2 >>',
  ],
  ['[1:2]{a:1}(x,y);', '[ n:1 : n:2 ] { w:a : n:1 } ( w:x , w:y ) ;'],
  ['a -- b\nc -- d', 'w:a w:c'],
  ['a /* b -- c */ e/**/f', 'w:a w:e w:f'],
  ['/*+ SHUFFLE */ a -- +broadcast\nb', 'h:SHUFFLE w:a h:broadcast w:b'],
  ['\ufeffselect\t1\r\n', 'w:select n:1'],
  ["date'2024-01-01'", 'w:date s:2024-01-01'],
  ['', ''],
  ['  -- nothing', ''],
]

const BY_DIALECT: readonly (readonly [text: string, ansi: string, impala: string])[] = [
  ['"a b"', 'q:a b', 's:a b'],
  ['"a""b"', 'q:a"b', 's:a"b'],
  ["'a\\nb'", 's:a\\nb', 's:a\nb'],
  ["'\\\\d\\%\\_\\q'", 's:\\\\d\\%\\_\\q', 's:\\d\\%\\_q'],
  [`"it's"`, "q:it's", "s:it's"],
  ['/* a /* b */ c */ d', 'w:d', 'w:c * / w:d'],
]

await t.test('tokens are the same in both dialects where no quote is involved', (t) => {
  for (const [text, tokens] of BOTH) {
    t.equal(shown(text), tokens, text)
    if (!text.includes('\\')) t.equal(shown(text, 'impala'), tokens, text)
  }
  t.end()
})

await t.test('double quotes and backslashes are read by the dialect', (t) => {
  for (const [text, ansi, impala] of BY_DIALECT) {
    t.equal(shown(text), ansi, text)
    t.equal(shown(text, 'impala'), impala, text)
  }
  t.end()
})

await t.test('tokens know their place in UTF-16 units', (t) => {
  const text = 'select \'🎉é\' as "x y" -- end'
  const slices = lex(text).map(({ start, end }) => text.slice(start, end))
  t.same(slices, ['select', "'🎉é'", 'as', '"x y"'])
  t.end()
})

const ERRORS: readonly (readonly [text: string, message: string, line: number, column: number])[] =
  [
    ["select 'abc", `unterminated string at or near "'abc"`, 1, 8],
    ['select "abc', 'unterminated quoted identifier at or near ""abc"', 1, 8],
    ['select `abc', 'unterminated quoted identifier at or near "`abc"', 1, 8],
    ['select\n  /* a /* b */', 'unterminated comment at or near "/*"', 2, 3],
    ['select $x$ abc', 'unterminated dollar-quoted string at or near "$x$"', 1, 8],
    ['select "" from t', 'zero-length quoted identifier at or near """"', 1, 8],
    ["select '🎉' \\ 1", 'syntax error at or near "\\"', 1, 12],
    ['select $', 'syntax error at or near "$"', 1, 8],
    ["select E'\\x80'", 'invalid character escape "\\x80"', 1, 10],
    ["select E'\\u12'", 'invalid character escape "\\u"', 1, 10],
    ["select E'\\0'", 'invalid character escape "\\0"', 1, 10],
    ['select a\0b', 'invalid character in the SQL text', 1, 9],
    ["select '\ud800'", 'invalid character in the SQL text', 1, 9],
  ]

await t.test('errors of the lexer say what and where', async (t) => {
  for (const [text, message, line, column] of ERRORS) {
    const error = await sqlErrorOf(() => lex(text))
    t.equal(error.error, 'syntax_error', text)
    t.equal(error.message, message, text)
    t.same([error.position?.line, error.position?.column], [line, column], text)
  }
})

await t.test('literals of other bases and character sets are refused, not misread', async (t) => {
  for (const text of ["x'AB'", "B'101'", "N'a'", "U&'a'", 'u&"a"']) {
    t.equal((await sqlErrorOf(() => lex(text))).error, 'feature_not_supported', text)
  }
})

await t.test('a script is split at semicolons outside of quotes and comments', (t) => {
  const script = 'select \';\' ; ; -- a; b\nselect $$;$$, ";" /* ; */;\n/*+ hint */ select 3'
  const statements = splitStatements(script)
  t.same(
    statements.map(({ start, end }) => script.slice(start, end)),
    ["select ';'", 'select $$;$$, ";"', 'select 3'],
  )
  t.same(splitStatements(' ; -- nothing\n;'), [])
  t.end()
})

await t.test('each limit refuses by its name, and what is within it passes', async (t) => {
  const limits = {
    ...DEFAULT_SQL_LIMITS,
    textBytesMax: 40,
    tokensMax: 8,
    nestingMax: 2,
    expressionTermsMax: 3,
    setOperationsMax: 4,
  }
  const refused: readonly (readonly [text: string, error: string, name: string])[] = [
    ['x'.repeat(41), 'program_limit_exceeded', 'sql_text_bytes_max (40)'],
    ['é'.repeat(21), 'program_limit_exceeded', 'sql_text_bytes_max (40)'],
    ['a b c d e f g h i', 'program_limit_exceeded', 'sql_tokens_max (8)'],
    ['((([', 'statement_too_complex', 'sql_nesting_max (2)'],
    ['case case case 1', 'statement_too_complex', 'sql_nesting_max (2)'],
    ['1 + - - - 1', 'statement_too_complex', 'sql_expression_terms_max (3)'],
    ['not not and or', 'statement_too_complex', 'sql_expression_terms_max (3)'],
    ['except intersect', 'statement_too_complex', 'sql_set_operations_max (4)'],
  ]
  for (const [text, code, name] of refused) {
    const error = await sqlErrorOf(() => lex(text, { limits }))
    t.equal(error.error, code, text)
    t.ok(error.message.includes(name), `${text}: ${error.message}`)
  }
  const accepted = [
    'x'.repeat(40),
    'é'.repeat(20),
    'a b c d e f g h',
    '(())(())',
    'union union union',
    '- - -;- -',
  ]
  for (const text of accepted) t.ok(lex(text, { limits }).length > 0, text)
})
