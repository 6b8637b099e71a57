import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** A place of its own, so that what other programs make beside it is not taken for what is left. */
const place = mkdtempSync(join(tmpdir(), 'nyala-struck-'))
process.env['TMPDIR'] = place
t.teardown(() => rmSync(place, { recursive: true, force: true }))

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

t.test('a cluster that is struck', (t) =>
  withFacts(options, async (facts) => {
    // What all drills share is there; what one of them makes has to be gone after it.
    const before = readdirSync(place)
    // With its mutant; all others and theirs are `npm run drill`.
    const name = 'executor-kill'
    await t.test(`${name}: no row is lost, nobody is told an error, nothing is left`, async (t) => {
      const report = await run(name, facts, {})
      t.strictSame(failuresOf(report), [])
      const [round] = report.rounds
      t.ok((round?.calls ?? 0) > 0, 'clients asked')
      t.match(round, { errors: 0, rowsLost: 0, rowsDoubled: 0 })
      t.not(round?.detectedMs, undefined, 'the others noticed')
    })
    await t.test(`${name} fails without the guard that it is about`, async (t) => {
      const report = await run(name, facts, { mutant: true, patience: MUTANT_PATIENCE })
      t.ok(isAsItMust(report), failuresOf(report).join('\n'))
      t.not(report.failures.length, 0)
    })
    t.strictSame(readdirSync(place), before, 'no directory is left')
  }),
)
