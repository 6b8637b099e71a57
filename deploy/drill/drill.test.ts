import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { systemClock } from '@nyala/client/base'
import t from 'tap'
import { DRILLS } from './drills.ts'
import type { Facts } from './facts.ts'
import { failuresOf } from './report.ts'
import {
  type DrillOptions,
  type DrillReport,
  isAsItMust,
  runDrill,
  withFacts,
} from './run-drill.ts'

/** Bounds are those of an idle machine; what is tested here is that nothing is lost, not how fast. */
const PATIENCE = 8
/** On its mutant a drill waits for what never comes. */
const MUTANT_PATIENCE = 3

t.setTimeout(240_000)

const options: Omit<DrillOptions, 'facts'> = {
  times: 1,
  seed: 1,
  patience: PATIENCE,
  mutant: false,
  dir: undefined,
  variables: process.env,
  clock: systemClock,
  signal: new AbortController().signal,
}

function run(name: string, facts: Facts, changed: Partial<DrillOptions>): Promise<DrillReport> {
  const drill = DRILLS.find((one) => one.name === name)
  if (drill === undefined) throw new Error(`no drill ${name}`)
  return runDrill(drill, { ...options, facts, ...changed })
}

const leftDirectories = (): readonly string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('nyala-drill-'))

t.test('a cluster that is struck', (t) =>
  withFacts(options, async (facts) => {
    // One that strikes processes and one that strikes links; all others and their mutants are `npm run drill`.
    for (const [name, withMutant] of [
      ['executor-kill', true],
      ['coordinator-cut', false],
    ] as const) {
      const before = leftDirectories()

      await t.test(
        `${name}: no row is lost, nobody is told an error, nothing is left`,
        async (t) => {
          const report = await run(name, facts, {})
          t.strictSame(failuresOf(report), [])
          const [round] = report.rounds
          t.ok((round?.calls ?? 0) > 0, 'clients asked')
          t.match(round, { errors: 0, rowsLost: 0, rowsDoubled: 0 })
          t.not(round?.detectedMs, undefined, 'the others noticed')
        },
      )

      if (withMutant) {
        await t.test(`${name} fails without the guard that it is about`, async (t) => {
          const report = await run(name, facts, { mutant: true, patience: MUTANT_PATIENCE })
          t.ok(isAsItMust(report), failuresOf(report).join('\n'))
          t.not(report.failures.length, 0)
        })
      }

      t.strictSame(
        leftDirectories().filter((one) => !before.includes(one)),
        [],
        'no directory is left',
      )
    }
  }),
)
