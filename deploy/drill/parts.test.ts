import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MUTANTS, Prng, systemClock } from '@nyala/client/base'
import t from 'tap'
import { runCommand } from '../local/commands.ts'
import { DRILLS } from './drills.ts'
import { StreamTally } from './facts.ts'
import { Gate } from './load.ts'
import { distribution, tableOf } from './report.ts'
import type { Claim, RoundResult } from './round.ts'
import { type DrillReport, isAsItMust } from './run-drill.ts'
import { drawStrikes, type SoakStrike } from './soak-drills.ts'

async function drill(
  ...args: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const text = { out: '', err: '' }
  const code = await runCommand(['drill', ...args], {
    clock: systemClock,
    variables: process.env,
    directory: process.cwd(),
    print: (line) => (text.out += `${line}\n`),
    report: (line) => (text.err += `${line}\n`),
    program: '',
  })
  return { code, ...text }
}

t.test(
  'a drill that there is not, no drill, or a number that is none is a usage error',
  async (t) => {
    for (const args of [
      [],
      ['no-such-drill'],
      ['--all', '--times', '0'],
      ['--all', 'leader-kill'],
    ]) {
      t.match(await drill(...args), { code: 3, err: /^nyala drill: / }, args.join(' '))
    }
    t.match(await drill('--all', '--mutants', '--dir', '.'), { code: 3, err: /cluster of its own/ })
  },
)

t.test('--list names every drill and the guard without which it must fail', async (t) => {
  const { code, out } = await drill('--list')
  t.equal(code, 0)
  for (const { name, mutant } of DRILLS) {
    t.match(out, new RegExp(`^${name} .*\\(mutant: ${mutant.name}\\)$`, 'm'))
  }
})

t.test('every drill has a mutant, and every mutant a drill', async (t) => {
  t.strictSame(new Set(DRILLS.map(({ mutant }) => mutant.name)), new Set<string>(MUTANTS))
  for (const { name, mutant } of DRILLS) t.not(mutant.fails.length, 0, name)
})

t.test(
  'members refuse to run without a guard outside of drills, and mutants that there are not',
  async (t) => {
    for (const role of ['coordinator', 'executor']) {
      const program = fileURLToPath(import.meta.resolve(`@nyala/${role}/main`))
      const start = (variables: Readonly<Record<string, string>>) =>
        spawnSync(process.execPath, [program], {
          env: { ...process.env, ...variables },
          encoding: 'utf8',
        })
      const outside = start({ NYALA_MUTANT: 'no-drain' })
      t.not(outside.status, 0)
      t.match(outside.stderr, /NYALA_MUTANT=no-drain switches a guard off: for drills only/)
      const unknown = start({ NYALA_MUTANT: 'no-such-guard', NYALA_DRILL: '1' })
      t.not(unknown.status, 0)
      t.match(unknown.stderr, /NYALA_MUTANT=no-such-guard is not one of/)
    }
  },
)

t.test(
  'a tally tells rows that are missing, doubled, changed or made up, in any order',
  async (t) => {
    const rows = Array.from({ length: 100 }, (_, id) => [id, `row ${id}`] as const)
    const tallied = (given: readonly (readonly [number, string])[]): StreamTally => {
      const tally = new StreamTally(99)
      for (const [id, body] of given) tally.add(id, body)
      return tally
    }
    const right = tallied(rows)
    t.match(right, { rows: 100, doubled: 0, unknown: 0 })
    t.equal(tallied(rows.toReversed()).checksum, right.checksum)
    t.match(tallied(rows.slice(1)), { rows: 99, doubled: 0 })
    t.match(tallied([...rows.slice(1), [5, 'row 5']]), { rows: 100, doubled: 1 })
    t.match(tallied([...rows, [100, 'row 100']]), { unknown: 1 })
    t.not(tallied([...rows.slice(1), [0, 'row O']]).checksum, right.checksum)
  },
)

t.test(
  'a gate holds whoever comes by until it is opened, and closes on its condition once',
  async (t) => {
    const gate = new Gate()
    await gate.pass('first')
    gate.close()
    let passed = false
    const held = gate.pass('second').then(() => (passed = true))
    await Promise.resolve()
    t.equal(gate.waiting, 1)
    t.equal(passed, false)
    gate.open()
    await held
    let is = false
    gate.closeWhen(() => is)
    await gate.pass('third')
    is = true
    const fourth = gate.pass('fourth')
    t.equal(gate.waiting, 1)
    gate.open()
    await fourth
    await gate.pass('fifth')
    t.equal(gate.waiting, 0)
  },
)

t.test('times are told as median, 99th percentile and largest', async (t) => {
  t.equal(distribution([]), '–')
  t.equal(distribution([undefined]), '–')
  t.equal(distribution([7.4]), '7')
  const values = Array.from({ length: 200 }, (_, i) => 200 - i)
  t.equal(distribution(values), '100/198/200')
})

const STRUCK: RoundResult = {
  ...{ checks: [], victim: 'e1', detectedMs: 1, leaderMs: undefined, recoveredMs: 1 },
  ...{ worstStallMs: 1, calls: 1, moves: 0, errors: 0, rowsLost: 0, rowsDoubled: 0 },
}

t.test(
  'a drill on its mutant is as it must be only where it fails at what it is about',
  async (t) => {
    const [drillOfIt] = DRILLS
    if (drillOfIt === undefined) throw new Error('there are drills')
    const report = (mutant: string | undefined, ...claims: readonly Claim[]): DrillReport => ({
      drill: { ...drillOfIt, mutant: { name: 'no-drain', fails: ['errors'] } },
      seed: 1,
      mutant,
      rounds: [STRUCK],
      failures: claims.map((claim) => ({ claim, failure: 'so' })),
    })
    t.equal(isAsItMust(report(undefined)), true)
    t.equal(isAsItMust(report(undefined, 'errors')), false)
    t.equal(isAsItMust(report('no-drain')), false)
    t.equal(isAsItMust(report('no-drain', 'whole')), false)
    t.equal(isAsItMust(report('no-drain', 'errors')), true)
    // A fault that did not come to be shows nothing, with the guard or without.
    t.equal(isAsItMust(report(undefined, 'struck')), false)
    t.equal(isAsItMust(report('no-drain', 'struck')), false)
    t.equal(isAsItMust(report('no-drain', 'struck', 'errors')), false)
    t.equal(isAsItMust(report('no-drain', 'whole', 'errors')), true)
    // What fails before anything is struck has nothing to do with the guard.
    const unstruck = [{ ...STRUCK, victim: undefined }]
    t.equal(isAsItMust({ ...report('no-drain', 'errors'), rounds: unstruck }), false)
    t.match(tableOf([report(undefined)]), /\| passed +\|$/)
    t.match(tableOf([report('no-drain')]), /DID NOT FAIL/)
  },
)

t.test(
  'a soak strikes each role, two members at once at most, in each way by some seed, and kills an executor',
  (t) => {
    const seen = new Set<string>()
    for (let seed = 0; seed < 500; seed++) {
      const groups = drawStrikes(new Prng(seed))
      t.strictSame(drawStrikes(new Prng(seed)), groups)
      const strikes = groups.flat()
      if (new Set(strikes.map(({ role }) => role)).size !== 3 || strikes.length !== 4) {
        t.fail(`seed ${seed} strikes ${strikes.map(({ role }) => role).join(', ')}`)
      }
      const isKill = ({ role, way }: SoakStrike): boolean => role === 'executor' && way === 'kill'
      if (![groups[0], groups.at(-1)].some((group) => group?.length === 1 && group.every(isKill))) {
        t.fail(`seed ${seed} kills no executor by itself`)
      }
      for (const group of groups) seen.add(`${group.length} at once`)
      for (const { role, way } of strikes) seen.add(`${role} ${way}`)
    }
    const ways = ['kill', 'hang', 'stop', 'cut']
    t.strictSame(
      seen,
      new Set([
        ...['1 at once', '2 at once'],
        ...['executor', 'coordinator', 'etcd'].flatMap((role) =>
          ways.map((way) => `${role} ${way}`),
        ),
      ]),
    )
    t.end()
  },
)
