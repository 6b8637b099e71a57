import t from 'tap'
import { typeText } from './sql-types.ts'
import { parseType } from './type-text.ts'
import { canWiden } from './type-widening.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'

const SPELLINGS: readonly (readonly [text: string, type: string])[] = [
  ['string', 'VARCHAR'],
  ['CHAR(3)', 'VARCHAR'],
  ['varchar(20)', 'VARCHAR'],
  ['tinyint', 'TINYINT'],
  ['smallint', 'SMALLINT'],
  ['int', 'INTEGER'],
  ['INTEGER', 'INTEGER'],
  ['bigint', 'BIGINT'],
  ['boolean', 'BOOLEAN'],
  ['float', 'FLOAT'],
  ['real', 'FLOAT'],
  ['double', 'DOUBLE'],
  ['double precision', 'DOUBLE'],
  ['decimal', 'DECIMAL(9,0)'],
  ['numeric(5)', 'DECIMAL(5,0)'],
  ['decimal(38, 10)', 'DECIMAL(38,10)'],
  ['binary', 'BLOB'],
  ['date', 'DATE'],
  ['timestamp', 'TIMESTAMP'],
  ['timestamp with time zone', 'TIMESTAMP WITH TIME ZONE'],
  ['timestamptz', 'TIMESTAMP WITH TIME ZONE'],
  ['time with time zone', 'TIME WITH TIME ZONE'],
  ['array<int>', 'INTEGER[]'],
  ['int[]', 'INTEGER[]'],
  ['int[][3]', 'INTEGER[][3]'],
  ['array<array<string>>', 'VARCHAR[][]'],
  ['array<array<array<int>>>', 'INTEGER[][][]'],
  ['array<map<int,array<string>>>', 'MAP(INTEGER, VARCHAR[])[]'],
  ['map<string, struct<a:int>>', 'MAP(VARCHAR, STRUCT("a" INTEGER))'],
  ['map(int, double)', 'MAP(INTEGER, DOUBLE)'],
  ["struct<a: int comment 'x', `b c`: decimal(4,2)>", 'STRUCT("a" INTEGER, "b c" DECIMAL(4,2))'],
  ['struct(a int, "b" varchar)', 'STRUCT("a" INTEGER, "b" VARCHAR)'],
  ['union(i int, s string)', 'UNION("i" INTEGER, "s" VARCHAR)'],
  ['"NULL"', '"NULL"'],
]

await t.test('types are read in both spellings and written in one that reads back', (t) => {
  for (const [text, type] of SPELLINGS) {
    t.equal(typeText(parseType(text)), type, text)
    t.equal(typeText(parseType(type)), type, type)
  }
  t.end()
})

await t.test('what is no type is refused', async (t) => {
  for (const text of [
    '',
    'int int',
    'array',
    'array<int',
    'array<int>>',
    'map<int>',
    'decimal(0)',
    'foo',
    '"int"',
    'int; int',
  ]) {
    t.match(
      (await sqlErrorOf(() => parseType(text))).error,
      /syntax_error|feature_not_supported/,
      text,
    )
  }
})

const WIDENS: readonly (readonly [from: string, to: string])[] = [
  ['int', 'int'],
  ['tinyint', 'bigint'],
  ['int', 'bigint'],
  ['bigint', 'hugeint'],
  ['utinyint', 'smallint'],
  ['uinteger', 'bigint'],
  ['uinteger', 'ubigint'],
  ['int', 'double'],
  ['smallint', 'float'],
  ['float', 'double'],
  ['int', 'decimal(10,0)'],
  ['int', 'decimal(12,2)'],
  ['decimal(5,2)', 'decimal(7,4)'],
  ['decimal(5,2)', 'decimal(9,2)'],
  ['date', 'timestamp'],
  ['timestamp_ms', 'timestamp'],
  ['"NULL"', 'map<int,int>'],
  ['int[]', 'bigint[]'],
  ['int[3]', 'int[]'],
  ['map<int,int>', 'map<int,bigint>'],
  ['struct<a:int>', 'struct<b:string,A:bigint>'],
]

const DOES_NOT_WIDEN: readonly (readonly [from: string, to: string])[] = [
  ['bigint', 'int'],
  ['int', 'float'],
  ['bigint', 'double'],
  ['bigint', 'decimal(18,0)'],
  ['int', 'decimal(10,2)'],
  ['uinteger', 'int'],
  ['int', 'uinteger'],
  ['double', 'float'],
  ['decimal(5,2)', 'decimal(5,1)'],
  ['decimal(5,2)', 'decimal(5,3)'],
  ['decimal(5,2)', 'double'],
  ['timestamp', 'date'],
  ['timestamp', 'timestamp_ns'],
  ['timestamp', 'timestamptz'],
  ['string', 'int'],
  ['int', 'string'],
  ['binary', 'string'],
  ['int[]', 'int'],
  ['int[]', 'int[3]'],
  ['int[2]', 'int[3]'],
  ['struct<a:int,b:int>', 'struct<a:int>'],
  ['struct<a:bigint>', 'struct<a:int>'],
]

await t.test('a type widens only where no value can change', (t) => {
  for (const [from, to] of WIDENS) t.ok(canWiden(parseType(from), parseType(to)), `${from} → ${to}`)
  for (const [from, to] of DOES_NOT_WIDEN) {
    t.notOk(canWiden(parseType(from), parseType(to)), `${from} → ${to}`)
  }
  t.end()
})
