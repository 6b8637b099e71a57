import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { queryText } from './random-queries/query.ts'
import { type Case, caseOf, check, isDivided } from './random-queries/check.ts'
import { regressionLine } from './random-queries/regressions.ts'
import { shrink } from './random-queries/shrink.ts'
import { openRandomWorld, type RandomWorld } from './random-queries/world.ts'

const PROGRESS_EVERY = 500

/** Runs many random queries: `node test/dist/random-queries.js --seed N --count N [--stop N] [--whole] [--skipped]`. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '1000' },
      stop: { type: 'string', default: '5' },
      skipped: { type: 'boolean', default: false },
      whole: { type: 'boolean', default: false },
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
      isShrunk: !values.whole,
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
    readonly isShrunk: boolean
  },
): Promise<number> {
  const tally = new Map<string, number>()
  const count = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)
  let wrong = 0
  for (let seed = options.first; seed < options.first + options.count; seed++) {
    if (seed % PROGRESS_EVERY === 0) process.stderr.write(`${seed} …\n`)
    const found = caseOf(seed)
    const verdict = await check(world, found)
    count(verdict.kind)
    if (verdict.kind === 'skipped' && options.showSkipped) {
      process.stdout.write(`${queryText(found.query)}\n${verdict.why}\n\n`)
    }
    if (verdict.kind === 'skipped')
      count(`skipped: ${verdict.why.split('\n')[0]?.slice(0, 70) ?? ''}`)
    if (verdict.kind === 'same') {
      const reason = verdict.plan.reason.replace(/"[^"]*"|\d+(\.\d+)? \w+/g, '…')
      count(isDivided(verdict.plan) ? 'divided' : reason)
      for (const event of verdict.events) count(event)
    }
    if (verdict.kind !== 'wrong') continue
    process.stdout.write(`seed ${seed} is wrong: ${queryText(found.query)}\n${verdict.why}\n\n`)
    if (options.isShrunk) process.stdout.write(`${await smallest(world, found)}\n\n`)
    if (++wrong >= options.stop) break
  }
  const lines = [...tally].toSorted((a, b) => b[1] - a[1]).map(([what, n]) => `${n}\t${what}\n`)
  process.stdout.write(lines.join(''))
  return wrong
}

/** The smallest query that is still wrong, and the line that keeps it. */
async function smallest(world: RandomWorld, found: Case): Promise<string> {
  const isWrong = async (c: Case): Promise<boolean> => (await check(world, c)).kind === 'wrong'
  const small = await shrink(found, isWrong)
  const verdict = await check(world, small)
  const why = verdict.kind === 'wrong' ? verdict.why : 'only once'
  return `smaller: ${queryText(small.query)}\n${why}\n${regressionLine(small, '?')}`
}

await main()
