import t from 'tap'
import { Interval } from './arrow/temporal-text.ts'
import { encodeParameters, param, PARAMETERS_MAX, type ParameterValue } from './parameters.ts'

const one = (value: ParameterValue) => encodeParameters([value])[0]

t.test('each kind of value has its SQL type and a text with every digit', async (t) => {
  const cases: readonly (readonly [ParameterValue, string, string | null])[] = [
    [null, 'NULL', null],
    [true, 'BOOLEAN', 'true'],
    [42, 'BIGINT', '42'],
    [-1.5, 'DOUBLE', '-1.5'],
    [1e300, 'DOUBLE', '1e+300'],
    [2 ** 53, 'DOUBLE', '9007199254740992'],
    [-0, 'DOUBLE', '-0.0'],
    [NaN, 'DOUBLE', 'nan'],
    [Infinity, 'DOUBLE', 'inf'],
    [-Infinity, 'DOUBLE', '-inf'],
    [2n ** 63n - 1n, 'BIGINT', '9223372036854775807'],
    [-(2n ** 63n), 'BIGINT', '-9223372036854775808'],
    [2n ** 63n, 'HUGEINT', '9223372036854775808'],
    ['it’s', 'VARCHAR', 'it’s'],
    ['', 'VARCHAR', ''],
    [new Date('2026-01-02T03:04:05.678Z'), 'TIMESTAMPTZ', '2026-01-02T03:04:05.678Z'],
    [Uint8Array.of(0, 255, 16), 'BLOB', '00ff10'],
    [new Interval(14, 3, 1_500_000n), 'INTERVAL', '1 year 2 months 3 days 00:00:01.5'],
    [param('12.50', 'DECIMAL(10,2)'), 'DECIMAL(10,2)', '12.50'],
    [param(null, 'INTEGER'), 'INTEGER', null],
  ]
  for (const [value, type, text] of cases) t.strictSame(one(value), { type, value: text })
})

t.test('a list has the type that its elements share', async (t) => {
  t.strictSame(one([1, 2, null]), { type: 'BIGINT[]', value: "['1', '2', NULL]" })
  t.strictSame(one([1, 2.5]), { type: 'DOUBLE[]', value: "['1', '2.5']" })
  t.strictSame(one([1, 2n ** 64n]), { type: 'HUGEINT[]', value: "['1', '18446744073709551616']" })
  t.strictSame(one([]), { type: 'VARCHAR[]', value: '[]' })
  t.strictSame(one([null]), { type: 'VARCHAR[]', value: '[NULL]' })
})

t.test('texts in a list are quoted as DuckDB reads them', async (t) => {
  t.strictSame(one(["a'b", 'c\\d', 'x, y]']), {
    type: 'VARCHAR[]',
    value: "['a\\'b', 'c\\\\d', 'x, y]']",
  })
  // Bare, the bracket in the inner text would end the inner list.
  t.strictSame(one([[']'], []]), { type: 'VARCHAR[][]', value: "['[\\']\\']', '[]']" })
})

t.test('bytes in a list are written byte by byte, as DuckDB reads them', async (t) => {
  const bytes = Uint8Array.of(0, 39, 92, 255)
  const value = "['\\\\x00\\\\x27\\\\x5c\\\\xff', NULL, '']"
  t.strictSame(one([bytes, null, new Uint8Array()]), { type: 'BLOB[]', value })
  t.strictSame(one([[bytes, null, new Uint8Array()]]), {
    type: 'BLOB[][]',
    value: `['${value.replace(/[\\']/g, '\\$&')}']`,
  })
  t.strictSame(one([param('00ff', 'BLOB')]), { type: 'BLOB[]', value: "['\\\\x00\\\\xff']" })
})

t.test('values without an exact SQL type are refused by position', async (t) => {
  const refused =
    (value: unknown): (() => unknown) =>
    () =>
      encodeParameters([1, value as ParameterValue])
  t.throws(refused(undefined), { code: '22023', message: 'parameter 2 is of type undefined' })
  t.throws(refused({ a: 1 }), { code: '22023', message: 'parameter 2 is an object' })
  t.throws(
    refused(() => 1),
    { code: '22023', message: 'parameter 2 is of type function' },
  )
  t.throws(refused(new Date(NaN)), { code: '22023', message: 'parameter 2 is an invalid date' })
  t.throws(refused(2n ** 127n), { code: '22003' })
  t.throws(refused([1, 'a']), {
    code: '42804',
    message: 'parameter 2 has elements of the types BIGINT, VARCHAR',
  })
  t.throws(refused([1, undefined]), { message: 'parameter 2[1] is of type undefined' })
})

t.test('the number of parameters has a limit', async (t) => {
  t.throws(() => encodeParameters(new Array<number>(PARAMETERS_MAX + 1).fill(1)), { code: '54000' })
})
