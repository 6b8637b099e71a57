import t from 'tap'
import { lex } from './lexer.ts'
import { literalRowsOf } from './literal-rows.ts'

const shown = (text: string): string | undefined =>
  literalRowsOf(lex(text))
    ?.map((row) => row.map(({ of, sql }) => `${of} ${sql}`).join(', '))
    .join(' / ')

t.test('lists of literals are read from their tokens', async (t) => {
  const lists: readonly (readonly [text: string, rows: string])[] = [
    ['VALUES (1)', 'integer 1'],
    ["values (1, 'a''b'), (-2, NULL)", "integer 1, text 'a''b' / integer -2, null NULL"],
    ['VALUES (1.5, -.25, true, False)', 'decimal 1.5, decimal -.25, boolean TRUE, boolean FALSE'],
    ["VALUES (CAST('7' AS BIGINT))", "typed CAST('7' AS BIGINT)"],
    ["VALUES (CAST(NULL AS decimal( 10, 2 )), 'x')", "typed CAST(NULL AS DECIMAL(10,2)), text 'x'"],
    [
      "VALUES (CAST('1' AS timestamp with time zone))",
      "typed CAST('1' AS TIMESTAMP WITH TIME ZONE)",
    ],
    ['VALUES (1e300, -2.5E-3, .5e1)', 'float 1e300, float -2.5E-3, float .5e1'],
    ["VALUES ($$a'b$$)", "text 'a''b'"],
  ]
  for (const [text, rows] of lists) t.equal(shown(text), rows, text)
})

t.test('anything else is left to the query reader', async (t) => {
  const others = [
    'SELECT 1',
    'VALUES',
    'VALUES ()',
    'VALUES (1',
    'VALUES (1), ',
    'VALUES (1), (1, 2)',
    'VALUES (1) LIMIT 1',
    'VALUES (1 + 1)',
    'VALUES (a)',
    'VALUES (now())',
    'VALUES (- -1)',
    "VALUES (-'1')",
    'VALUES (1e3000)',
    'VALUES (1_000)',
    'VALUES (12345678901234567890)',
    'VALUES (CAST(1 AS BIGINT))',
    "VALUES (CAST('1' AS nothing))",
    "VALUES (CAST('[1]' AS BIGINT[]))",
    "VALUES (CAST('1' AS BIGINT) + 1)",
    "VALUES (DATE '2020-01-01')",
    'VALUES ("a")',
  ]
  for (const text of others) t.equal(shown(text), undefined, text)
  const many = Array.from({ length: 1001 }, (_, i) => `(${i})`).join()
  t.equal(shown(`VALUES ${many}`), undefined, 'long lists')
})
