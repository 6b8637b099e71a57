import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { queryText } from './random-queries/query.ts'
import { type Case, caseOf, checkCase, isDivided } from './random-queries/check.ts'
import { regressionLine } from './random-queries/regressions.ts'
import { shrink } from './random-queries/shrink.ts'
import { openRandomWorld } from './random-queries/world.ts'

/** Runs many random queries: `node test/dist/random-queries.js --seed N --count N [--stop N]`. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '1000' },
      stop: { type: 'string', default: '5' },
      skipped: { type: 'boolean', default: false },
    },
  })
  const directory = await mkdtemp(join(tmpdir(), 'nyala-random-'))
  const world = await openRandomWorld(directory)
  const first = Number(values.seed)
  const tally = new Map<string, number>()
  const count = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)
  let wrong = 0
  for (let seed = first; seed < first + Number(values.count); seed++) {
    const found = caseOf(seed)
    const verdict = await checkCase(world, found)
    count(verdict.kind)
    if (verdict.kind === 'skipped' && values.skipped) {
      process.stdout.write(`${queryText(found.query)}\n${verdict.why}\n\n`)
    }
    if (verdict.kind === 'skipped')
      count(`skipped: ${verdict.why.split('\n')[0]?.slice(0, 70) ?? ''}`)
    if (verdict.kind === 'same') {
      const reason = verdict.plan.reason.replace(/"[^"]*"|\d+(\.\d+)? \w+/g, '…')
      count(isDivided(verdict.plan) ? `divided: ${reason.replace(/; every.*/, '')}` : reason)
    }
    if (verdict.kind !== 'wrong') continue
    const isWrong = async (c: Case): Promise<boolean> =>
      (await checkCase(world, c)).kind === 'wrong'
    const small = await shrink(found, isWrong)
    const last = await checkCase(world, small)
    process.stdout.write(
      `seed ${seed}, ${small.options.slots} slots\n${queryText(small.query)}\n${last.kind === 'wrong' ? last.why : `only once: ${verdict.why}`}\n${verdict.plan?.reason ?? ''}\n${regressionLine(small, '?')}\n\n`,
    )
    if (++wrong >= Number(values.stop)) break
  }
  const lines = [...tally].toSorted((a, b) => b[1] - a[1]).map(([what, n]) => `${n}\t${what}\n`)
  process.stdout.write(lines.join(''))
  await world[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
  process.exitCode = wrong > 0 ? 1 : 0
}

await main()
