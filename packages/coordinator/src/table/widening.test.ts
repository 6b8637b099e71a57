import { DuckDBInstance } from '@duckdb/node-api'
import t from 'tap'
import { canWidenText } from './widening.ts'

/** Types with the values that are hardest to keep: the ends of their range and what has most digits. */
const EXTREMES: Readonly<Record<string, readonly string[]>> = {
  TINYINT: ['-128', '127'],
  SMALLINT: ['-32768', '32767'],
  INTEGER: ['-2147483648', '2147483647'],
  BIGINT: ['-9223372036854775808', '9223372036854775807'],
  HUGEINT: ['-170141183460469231731687303715884105728', '170141183460469231731687303715884105727'],
  UTINYINT: ['255'],
  USMALLINT: ['65535'],
  UINTEGER: ['4294967295'],
  UBIGINT: ['18446744073709551615'],
  UHUGEINT: ['340282366920938463463374607431768211455'],
  FLOAT: ['16777216', '3.4028235e38', '1.1754944e-38', 'inf', 'nan'],
  DOUBLE: ['9007199254740992', '1.7976931348623157e308', '-inf', 'nan'],
  'DECIMAL(4,1)': ['-999.9', '999.9'],
  'DECIMAL(9,2)': ['-9999999.99', '9999999.99'],
  'DECIMAL(18,3)': ['999999999999999.999'],
  'DECIMAL(20,0)': ['99999999999999999999'],
  'DECIMAL(38,10)': ['9999999999999999999999999999.9999999999'],
  DATE: ['0001-01-01', '2020-02-29', '9999-12-31'],
  TIMESTAMP: ['2020-02-29 12:34:56.789012'],
  TIMESTAMP_S: ['2020-02-29 12:34:56'],
  TIMESTAMP_MS: ['2020-02-29 12:34:56.789'],
  'TIMESTAMP WITH TIME ZONE': ['2020-02-29 12:34:56+00'],
  TIME: ['12:34:56'],
  BOOLEAN: ['true'],
  VARCHAR: ['zoë', '', 'a\\x41'],
  UUID: ['00000000-0000-0000-0000-000000000001'],
}
const TYPES = Object.keys(EXTREMES)

t.test('no value is lost by a widening that is allowed', async (t) => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  for (const from of TYPES) {
    for (const to of TYPES) {
      if (!canWidenText(from, to) || from === to) continue
      for (const value of EXTREMES[from] ?? []) {
        const there = `CAST(CAST('${value}' AS ${from}) AS ${to})`
        const reader = await connection.runAndReadAll(
          `SELECT CAST(${there} AS ${from}) IS NOT DISTINCT FROM CAST('${value}' AS ${from}), ${there}::VARCHAR`,
        )
        const [isKept, text] = reader.getRows()[0] ?? []
        t.ok(isKept, `${value} from ${from} through ${to} (${String(text)})`)
      }
    }
  }
})

t.test('which types widen to which', async (t) => {
  const allowed: Readonly<Record<string, string>> = {
    TINYINT:
      'SMALLINT INTEGER BIGINT HUGEINT FLOAT DOUBLE DECIMAL(4,1) DECIMAL(9,2) DECIMAL(18,3) DECIMAL(20,0) DECIMAL(38,10)',
    INTEGER: 'BIGINT HUGEINT DOUBLE DECIMAL(18,3) DECIMAL(20,0) DECIMAL(38,10)',
    BIGINT: 'HUGEINT DECIMAL(20,0) DECIMAL(38,10)',
    HUGEINT: '',
    UTINYINT:
      'SMALLINT INTEGER BIGINT HUGEINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL(4,1) DECIMAL(9,2) DECIMAL(18,3) DECIMAL(20,0) DECIMAL(38,10)',
    UINTEGER: 'BIGINT HUGEINT UBIGINT UHUGEINT DOUBLE DECIMAL(18,3) DECIMAL(20,0) DECIMAL(38,10)',
    UBIGINT: 'HUGEINT UHUGEINT DECIMAL(20,0) DECIMAL(38,10)',
    FLOAT: 'DOUBLE',
    DOUBLE: '',
    'DECIMAL(9,2)': 'DECIMAL(18,3) DECIMAL(38,10)',
    'DECIMAL(38,10)': '',
    DATE: 'TIMESTAMP',
    TIMESTAMP: '',
    TIMESTAMP_MS: 'TIMESTAMP',
    'TIMESTAMP WITH TIME ZONE': '',
    BOOLEAN: '',
    VARCHAR: '',
  }
  for (const [from, wanted] of Object.entries(allowed)) {
    const found = TYPES.filter((to) => to !== from && canWidenText(from, to))
    t.same(found.toSorted(), wanted.split(' ').filter(Boolean).toSorted(), from)
  }
})

t.test('text and bytes stand for each other, lists widen by their elements', async (t) => {
  t.ok(canWidenText('BLOB', 'VARCHAR'))
  t.ok(canWidenText('VARCHAR', 'BLOB'))
  t.ok(canWidenText('JSON', 'VARCHAR'))
  t.ok(canWidenText('INTEGER[]', 'BIGINT[]'))
  t.ok(canWidenText('INTEGER[][]', 'BIGINT[][]'))
  t.notOk(canWidenText('BIGINT[]', 'INTEGER[]'))
  t.notOk(canWidenText('INTEGER', 'BIGINT[]'))
  t.ok(canWidenText('STRUCT(a INTEGER)', 'STRUCT(a BIGINT)'))
  t.notOk(canWidenText('STRUCT(a BIGINT)', 'STRUCT(a INTEGER)'))
  t.notOk(canWidenText('STRUCT(a INTEGER)', 'STRUCT(b INTEGER)'))
  t.ok(canWidenText('STRUCT(a INTEGER)', 'STRUCT(a INTEGER)'))
})
