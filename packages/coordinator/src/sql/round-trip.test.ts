import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import { equalIr } from './ir/equal.ts'
import { renderQuery } from './renderer.ts'
import { CORPUS } from './testing/corpus.ts'
import { PORTABLE_QUERIES } from './testing/portable-queries.ts'
import { SALES_QUERIES } from './testing/sales-queries.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

for (const { name, sql } of [...CORPUS, ...SALES_QUERIES, ...PORTABLE_QUERIES]) {
  await t.test(`${name} is read, rendered and read again as the same tree`, async (t) => {
    const read = await frontEnd.parseQuery(sql)
    // Compact text keeps the tree but for `?`, which comes back as $1, and lists in another order.
    const again = await frontEnd.parseQuery(read.sql)
    t.equal(again.sql, read.sql, 'rendering is a fixed point')
    t.ok(equalIr(again.query, read.query), 'the tree is the same')
    const readable = renderQuery(read.query, { layout: 'readable' })
    const fromReadable = await frontEnd.parseQuery(readable)
    t.equal(fromReadable.sql, read.sql, 'readable text means the same')
    t.notMatch(readable, /[ \t]$/m, 'readable text has no trailing blanks')
  })
}
