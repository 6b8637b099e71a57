import t from 'tap'
import { CatalogSimulation } from './testing/catalog-simulation.ts'

const RUNS = Number(process.env['NYALA_RUNS'] ?? 20)
const first = Number(process.env['NYALA_SEED'] ?? Date.now() % 1e9)

for (let seed = first; seed < first + RUNS; seed++) {
  await t.test(`seed ${seed}: every answer to DDL is true, whatever is lost or late`, async (t) => {
    const { outcomes, violations } = await new CatalogSimulation(seed).run()
    t.same(violations, [])
    const done = outcomes.filter(({ result }) => result === 'done').length
    t.ok(done > outcomes.length / 10, `${done} of ${outcomes.length} statements did something`)
  })
}
