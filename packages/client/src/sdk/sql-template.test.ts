import t from 'tap'
import {
  compileTemplate,
  SqlFragment,
  sqlId,
  sqlJoin,
  sqlRaw,
  type TemplateValue,
} from './sql-template.ts'

const sql = (strings: TemplateStringsArray, ...values: TemplateValue[]): SqlFragment =>
  new SqlFragment(strings, values)

t.test('values become parameters in order, never text', async (t) => {
  t.strictSame(compileTemplate(sql`select * from t where a = ${1} and b = ${"x' or 1=1"}`), {
    sql: 'select * from t where a = $1 and b = $2',
    params: [1, "x' or 1=1"],
  })
})

t.test('fragments nest, and their parameters are numbered through', async (t) => {
  const condition = sql`a > ${1}`
  const both = sql`(${condition} and b < ${2})`
  t.strictSame(compileTemplate(sql`select ${0} where ${both} or ${condition}`), {
    sql: 'select $1 where (a > $2 and b < $3) or a > $4',
    params: [0, 1, 2, 1],
  })
})

t.test('identifiers are quoted and raw text stands as it is', async (t) => {
  t.strictSame(
    compileTemplate(sql`select * from ${sqlId('my "db"', 'order')} ${sqlRaw('limit 1')}`),
    {
      sql: 'select * from "my ""db"""."order" limit 1',
      params: [],
    },
  )
  t.throws(() => sqlId(), { code: '22023' })
  t.throws(() => sqlId(''), { code: '22023' })
  t.throws(() => sqlId('a\0'), { code: '22023' })
})

t.test('lists are joined', async (t) => {
  t.strictSame(compileTemplate(sql`in (${sqlJoin([1, 2, 3])})`), {
    sql: 'in ($1, $2, $3)',
    params: [1, 2, 3],
  })
  t.strictSame(compileTemplate(sql`where ${sqlJoin([sql`a = ${1}`, sqlId('b')], ' and ')}`), {
    sql: 'where a = $1 and "b"',
    params: [1],
  })
  t.throws(() => sqlJoin([]), { code: '22023' })
})
