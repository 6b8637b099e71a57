import { readdir, readFile } from 'node:fs/promises'
import { s } from '@nyala/client/base'
import {
  differencesOf,
  readWithSecondReader,
  shapeOfQuery,
  SqlFrontEnd,
} from '@nyala/coordinator/testing'
import t from 'tap'
import { parseSuite } from './script.ts'

const SUITES = new URL('../../sql/', import.meta.url)
/** The second reader knows the SQL of PostgreSQL; this suite is about another. */
const OTHER_DIALECT = 'impala.test'

/** Queries that the second reader reads otherwise, or not at all, and why. */
const explanations = s.array(
  s.object({
    query: s.string,
    differences: s.array(s.oneOf('refused', 'tables', 'columns', 'items')),
    reason: s.string,
  }),
)

async function suiteQueries(): Promise<readonly string[]> {
  const files = (await readdir(SUITES)).filter((f) => f.endsWith('.test') && f !== OTHER_DIALECT)
  const found = new Set<string>()
  for (const file of files) {
    for (const record of parseSuite(await readFile(new URL(file, SUITES), 'utf8'))) {
      if (record.kind !== 'query') continue
      const sql = record.sql.replace(/^EXPLAIN (VERBOSE |ANALYZE )?/, '')
      if (/^(SELECT|WITH|VALUES|\(|PIVOT)/.test(sql)) found.add(sql)
    }
  }
  return [...found]
}

t.test(
  'an independent reader finds the same names in every query of the suites, but for explained ones',
  async (t) => {
    const frontEnd = await SqlFrontEnd.open()
    t.teardown(() => frontEnd.close())
    const file = await readFile(new URL('second-reader.json', SUITES), 'utf8')
    const explained = explanations.decode(JSON.parse(file), 'second-reader.json')
    const known = new Map(explained.map((e) => [e.query, e]))
    const queries = await suiteQueries()
    let alike = 0
    for (const sql of queries) {
      const ours = shapeOfQuery((await frontEnd.parseQuery(sql)).query)
      const second = readWithSecondReader(sql)
      const differences = differencesOf(ours, second)
      if (differences.length === 0) alike++
      const explanation = known.get(sql)
      t.same(differences, explanation?.differences ?? [], explanation?.reason ?? sql, {
        ours,
        second,
      })
    }
    for (const { query, reason } of explained) {
      t.ok(queries.includes(query) && reason !== '', `the explanation belongs to a query: ${query}`)
    }
    t.ok(alike > (queries.length * 2) / 3, `${alike} of ${queries.length} are read alike`)
  },
)
