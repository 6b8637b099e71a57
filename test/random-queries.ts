import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { queryText } from './random-queries/query.ts'
import { type Case, caseOf, checkCase, isDivided } from './random-queries/check.ts'
import { regressionLine } from './random-queries/regressions.ts'
import { shrink } from './random-queries/shrink.ts'
import { openRandomWorld, type RandomWorld } from './random-queries/world.ts'

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
  try {
    await using world = await openRandomWorld(directory)
    const wrong = await tryMany(world, {
      first: natural('seed', values.seed),
      count: natural('count', values.count),
      stop: natural('stop', values.stop),
      showSkipped: values.skipped,
    })
    process.exitCode = wrong > 0 ? 1 : 0
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function natural(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new Error(`--${name} is "${text}", expected a whole number`)
}

/** Prints each query that is wrong, as small as it gets, and what became of all; resolves with how many are wrong. */
async function tryMany(
  world: RandomWorld,
  options: {
    readonly first: number
    readonly count: number
    readonly stop: number
    readonly showSkipped: boolean
  },
): Promise<number> {
  const tally = new Map<string, number>()
  const count = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)
  let wrong = 0
  for (let seed = options.first; seed < options.first + options.count; seed++) {
    const found = caseOf(seed)
    const verdict = await checkCase(world, found)
    count(verdict.kind)
    if (verdict.kind === 'skipped' && options.showSkipped) {
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
    if (++wrong >= options.stop) break
  }
  const lines = [...tally].toSorted((a, b) => b[1] - a[1]).map(([what, n]) => `${n}\t${what}\n`)
  process.stdout.write(lines.join(''))
  return wrong
}

await main()
