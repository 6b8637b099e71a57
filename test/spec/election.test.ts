import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findSpin } from '@nyala/deploy'
import t from 'tap'

const run = promisify(execFile)
const model = fileURLToPath(new URL('../../spec/election.pml', import.meta.url))
/** A search that needs more is not exhaustive, and then it proves nothing. */
const DEPTH_MAX = '1000000'

/** What must find each mutant. */
const MUTANTS = {
  UNFENCED_WRITE: 'safety',
  BLIND_CAMPAIGN: 'safety',
  BLIND_DEPOSAL: 'safety',
  LOCAL_EPOCH: 'safety',
  TRUSTED_READ: 'safety',
  NO_ABSENCE_CHECK: 'safety',
  NO_EXPIRY: 'liveness',
} as const
type Property = 'safety' | 'liveness'

const spin = await findSpin(process.env)
const hasCompiler = await run('gcc', ['--version']).then(
  () => true,
  () => false,
)
const missing =
  spin === undefined
    ? 'spin is missing: run "node deploy/setup.mjs --test", or install Debian\'s package spin or name it in NYALA_SPIN'
    : 'gcc is missing: install it, it compiles what spin makes of the model'
const options = spin === undefined || !hasCompiler ? { skip: missing } : {}
if (options.skip !== undefined) process.stderr.write(`models not checked: ${options.skip}\n`)

/** Every state that the model can reach; liveness, with fairness, with one pause less. */
async function check(property: Property, mutant?: keyof typeof MUTANTS): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-spec-'))
  try {
    const defines = [
      ...(mutant === undefined ? [] : [`-D${mutant}`]),
      ...(property === 'liveness' ? ['-DPAUSES=1'] : []),
    ]
    await run(String(spin), [...defines, '-a', model], { cwd: dir })
    const kind = property === 'safety' ? ['-DSAFETY', '-DNOCLAIM', '-DCOLLAPSE'] : ['-DNFAIR=3']
    await run('gcc', ['-O1', '-w', ...kind, '-o', 'pan', 'pan.c'], { cwd: dir })
    // States in which nobody can go on are looked for by the liveness property.
    const search = property === 'safety' ? ['-E'] : ['-a', '-f']
    const { stdout } = await run(join(dir, 'pan'), [...search, `-m${DEPTH_MAX}`], { cwd: dir })
    return stdout
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

t.test('one leads at a time, and no write of a past epoch is applied', options, async (t) => {
  const found = await check('safety')
  t.match(found, /errors: 0/)
  t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
})

t.test('somebody leads and writes once nothing goes wrong any more', options, async (t) => {
  const found = await check('liveness')
  t.match(found, /errors: 0/)
  t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
})

for (const [mutant, property] of Object.entries(MUTANTS)) {
  t.test(`${mutant} is found out`, options, async (t) => {
    const found = await check(property, mutant as keyof typeof MUTANTS)
    t.match(found, property === 'safety' ? /assertion violated/ : /acceptance cycle \(at depth/)
    t.match(found, /errors: 1/)
  })
}
