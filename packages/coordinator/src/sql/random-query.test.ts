import t from 'tap'
import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { SqlFrontEnd } from './front-end.ts'
import { equalIr } from './ir/equal.ts'
import { renderQuery } from './renderer.ts'
import { QueryGenerator } from './testing/query-generator.ts'

const SEEDS = 1_000
/** Depths that give texts of some lines; deeper ones only repeat the same shapes. */
const DEPTHS = [1, 2, 2, 3]

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

await t.test(
  `${SEEDS} random queries are read, guarded and rendered to a fixed point`,
  async (t) => {
    let read = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const prng = new Prng(seed)
      const sql = new QueryGenerator(prng).query(prng.pick(DEPTHS))
      try {
        const { query, sql: rendered } = await frontEnd.parseQuery(sql)
        const again = await frontEnd.parseQuery(renderQuery(query, { layout: 'readable' }))
        if (again.sql !== rendered || !equalIr(again.query, query)) t.fail(`seed ${seed}: ${sql}`)
        read += 1
      } catch (error) {
        // What the grammar itself refuses is the generator's fault; all else is ours.
        const isGrammar = error instanceof SqlError && error.error === 'syntax_error'
        if (!isGrammar) t.fail(`seed ${seed}: ${sql}`, { error })
      }
    }
    t.comment(`seeds 1 to ${SEEDS}: ${read} of ${SEEDS} are queries`)
    t.ok(read > SEEDS * 0.9, `${read} of ${SEEDS} are queries`)
  },
)
