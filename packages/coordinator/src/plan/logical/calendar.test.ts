import { DuckDBInstance } from '@duckdb/node-api'
import { Prng } from '@nyala/client/base'
import t from 'tap'
import { addDays, addMonths, dateText, parseDate, parseMidnight } from './calendar.ts'

const SEED = 20261122
const DATES = 2000

t.test('days and months are added as the kernel adds them', async (t) => {
  const instance = await DuckDBInstance.create(':memory:')
  const kernel = await instance.connect()
  t.teardown(() => {
    kernel.closeSync()
    instance.closeSync()
  })
  const random = new Prng(SEED)
  const asked = Array.from({ length: DATES }, () => ({
    days: random.below(3_652_000),
    add: random.below(80_000) - 40_000,
    months: random.below(3000) - 1500,
  }))
  const values = asked.map(({ days, add, months }) => `(${days}, ${add}, ${months})`).join(', ')
  const reader = await kernel.runAndReadAll(`
    SELECT CAST(d AS VARCHAR), CAST(CAST(d + to_days(a) AS DATE) AS VARCHAR),
      CAST(CAST(d + to_months(m) AS DATE) AS VARCHAR)
    FROM (SELECT DATE '0001-01-01' + CAST(n AS INTEGER) AS d, a, m FROM (VALUES ${values}) AS v(n, a, m))`)
  const text = (date: ReturnType<typeof parseDate>): string =>
    date === undefined ? '' : dateText(date)
  // Beyond the years from 1 to 9999 the kernel goes on, and we do not.
  const known = (date: unknown): string =>
    /^\d{4}-\d\d-\d\d$/.test(String(date)) ? String(date) : ''
  const wrong = reader.getRows().flatMap(([date, later, month], i) => {
    const day = parseDate(String(date))
    const { add = 0, months = 0 } = asked[i] ?? {}
    const found = day === undefined ? [] : [text(addDays(day, add)), text(addMonths(day, months))]
    return found[0] === known(later) && found[1] === known(month)
      ? []
      : [{ date, add, months, found }]
  })
  t.strictSame(wrong, [], `seed ${SEED}`)
})

t.test('what is no day is not read', (t) => {
  for (const text of [
    '1995-02-29',
    '1995-13-01',
    '1995-00-10',
    '0000-01-01',
    '95-1-1',
    'infinity',
    '',
  ])
    t.equal(parseDate(text), undefined, text)
  t.equal(parseMidnight('1995-01-01 00:00:01'), undefined)
  t.strictSame(parseMidnight('1996-02-29 00:00:00'), { year: 1996, month: 2, day: 29 })
  t.end()
})
