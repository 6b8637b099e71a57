import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findSpin } from '@nyala/deploy'

const run = promisify(execFile)
/** A search that needs more is not exhaustive, and then it proves nothing. */
const DEPTH_MAX = '1000000'

export type Property = 'safety' | 'liveness'

export interface SpinModel {
  /** Its file, beside the tests. */
  readonly file: string
  /** Bounds for safety, where they are not those of the file. */
  readonly safety?: readonly string[]
  /** Smaller bounds for liveness, which is checked with fairness. */
  readonly liveness: readonly string[]
}

const spin = await findSpin(process.env)
const hasCompiler = await run('gcc', ['--version']).then(
  () => true,
  () => false,
)
const missing =
  spin === undefined
    ? 'spin is missing: run "node deploy/setup.mjs --test", or install Debian\'s package spin or name it in NYALA_SPIN'
    : 'gcc is missing: install it, it compiles what spin makes of the model'
/** Of every test that checks a model. */
export const modelOptions: { readonly skip?: string } =
  spin === undefined || !hasCompiler ? { skip: missing } : {}
if (modelOptions.skip !== undefined) process.stderr.write(`models not checked: ${missing}\n`)

/** What the checker says over every state that the model, or a mutant of it, can reach. */
export async function checkModel(
  model: SpinModel,
  property: Property,
  mutant?: string,
): Promise<string> {
  const path = fileURLToPath(new URL(`../../spec/${model.file}`, import.meta.url))
  const dir = await mkdtemp(join(tmpdir(), 'nyala-spec-'))
  try {
    const defines = [
      ...(mutant === undefined ? [] : [`-D${mutant}`]),
      ...(property === 'liveness' ? model.liveness : (model.safety ?? [])),
    ]
    await run(String(spin), [...defines, '-a', path], { cwd: dir })
    const kind = property === 'safety' ? ['-DSAFETY', '-DNOCLAIM', '-DCOLLAPSE'] : ['-DNFAIR=3']
    // A mutant is found soon: it takes longer to compile than to run.
    const speed = mutant === undefined ? '-O1' : '-O0'
    await run('gcc', [speed, '-w', ...kind, '-o', 'pan', 'pan.c'], { cwd: dir })
    // States in which nobody can go on are looked for by the liveness property.
    const search = property === 'safety' ? ['-E'] : ['-a', '-f']
    const { stdout } = await run(join(dir, 'pan'), [...search, `-m${DEPTH_MAX}`], { cwd: dir })
    return stdout
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
