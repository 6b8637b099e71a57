import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import { CORPUS } from './testing/corpus.ts'
import { PORTABLE_QUERIES } from './testing/portable-queries.ts'
import { SALES_QUERIES } from './testing/sales-queries.ts'
import { KNOWN_DIFFERENCES } from './testing/second-reader-differences.ts'
import { differencesOf, readWithSecondReader, shapeOfQuery } from './testing/second-reader.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

const QUERIES = [...CORPUS, ...SALES_QUERIES, ...PORTABLE_QUERIES]

await t.test(
  'an independent reader finds the same names in every query, but for explained ones',
  async (t) => {
    for (const { name, sql } of QUERIES) {
      const ours = shapeOfQuery((await frontEnd.parseQuery(sql)).query)
      const second = readWithSecondReader(sql)
      const known = KNOWN_DIFFERENCES[name]
      t.same(
        differencesOf(ours, second),
        known?.differences ?? [],
        `${name}: ${known?.reason ?? 'alike'}`,
        {
          ours,
          second,
        },
      )
    }
  },
)

await t.test('every explanation belongs to a query', (t) => {
  const names = new Set(QUERIES.map(({ name }) => name))
  t.equal(names.size, QUERIES.length, 'names are unique')
  for (const [name, { reason }] of Object.entries(KNOWN_DIFFERENCES)) {
    t.ok(names.has(name) && reason !== '', name)
  }
  t.end()
})

await t.test('most queries are read alike', (t) => {
  const alike = QUERIES.filter(({ name }) => KNOWN_DIFFERENCES[name] === undefined).length
  t.ok(alike > QUERIES.length / 2, `${alike} of ${QUERIES.length}`)
  t.end()
})
