import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { caseOf, checkCase, isDivided, KERNEL_BUG } from './random-queries/check.ts'
import { queryText } from './random-queries/query.ts'
import { checkRegression, readRegressions, regressionLine } from './random-queries/regressions.ts'
import { shrink } from './random-queries/shrink.ts'
import { openRandomWorld } from './random-queries/world.ts'

/** The same in every run; others are tried by `node test/dist/random-queries.js --seed N --count N`. */
const FIRST_SEED = 1
const QUERIES = 360
/** On a busy machine; alone it takes a tenth of it. */
const TIMEOUT_MS = 110_000

t.setTimeout(TIMEOUT_MS)
const RULES = [
  'partial aggregation, merged by key',
  'distinct rows of each part, then of all',
  'the first rows of each part, then of all',
  'rows of the parts in any order',
]

t.test(
  'a divided query gives the answer that one process gives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'nyala-random-'))
    t.teardown(() => rm(directory, { recursive: true }))
    await using world = await openRandomWorld(directory)

    await t.test('queries that once were wrong are right', async (t) => {
      for (const found of await readRegressions()) {
        const verdict = await checkRegression(world, found)
        const claim = `${found.why}: ${found.sql}`
        if (verdict.kind === 'same') t.pass(claim)
        else t.fail(claim, { why: verdict.why })
      }
    })

    await t.test(
      `random queries of seeds from ${FIRST_SEED} are right, and most are divided`,
      async (t) => {
        const byRule = new Map(RULES.map((rule) => [rule, 0]))
        let [answered, divided, bugs] = [0, 0, 0]
        for (let seed = FIRST_SEED; seed < FIRST_SEED + QUERIES; seed++) {
          const found = caseOf(seed)
          const verdict = await checkCase(world, found)
          if (verdict.kind === 'skipped') {
            if (verdict.why === KERNEL_BUG) bugs++
            continue
          }
          answered++
          if (verdict.kind === 'wrong') {
            const isWrong = async (c: typeof found): Promise<boolean> =>
              (await checkCase(world, c)).kind === 'wrong'
            const small = await shrink(found, isWrong)
            t.fail(`seed ${seed}: ${queryText(small.query)}`, {
              why: verdict.why,
              reason: verdict.plan?.reason,
              line: regressionLine(small, 'say what was wrong'),
            })
            continue
          }
          if (!isDivided(verdict.plan)) continue
          divided++
          const rule = RULES.find((r) => verdict.plan.reason.includes(r))
          if (rule !== undefined) byRule.set(rule, (byRule.get(rule) ?? 0) + 1)
        }
        t.comment(`${answered} of ${QUERIES} have an answer, ${divided} were divided`, [...byRule])
        t.ok(bugs <= QUERIES / 100, 'the kernel fails by itself in hardly any')
        t.ok(answered >= 300, 'the reference has answers to most of them')
        t.ok(divided >= answered * 0.4, 'a substantial share of them is divided')
        for (const [rule, n] of byRule) t.ok(n >= 15, `the rule "${rule}" was tried ${n} times`)
      },
    )
  },
)
