import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Each package may import what stands to its right. */
const LINE = ['coordinator', 'executor', 'metastore', 'client']
const LINES_MAX = 500

/** Files that git tracks, or would: the rules can be checked in a clone only. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)))
const sources = files.filter((file) => file.endsWith('.ts'))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

t.test('there is something to hold to the rules', async (t) => {
  t.ok(sources.length > 100)
})

t.test('packages depend one way: coordinator, executor, metastore, client', async (t) => {
  for (const file of sources) {
    const [, own] = /^packages\/([a-z]+)\/src\//.exec(file) ?? []
    if (own === undefined) continue
    const allowed = LINE.slice(LINE.indexOf(own) + 1)
    for (const [, other = ''] of read(file).matchAll(
      /^(?:import|export) [^']*from '@nyala\/([a-z]+)[^']*'/gm,
    )) {
      t.ok(allowed.includes(other), `${file} imports @nyala/${other}`)
    }
    t.notMatch(read(file), /from '(\.\.\/)+packages\//, `${file} reaches into another package`)
  }
})

t.test('no file grows past what one can hold in mind', async (t) => {
  for (const file of sources) {
    t.ok(read(file).split('\n').length <= LINES_MAX + 1, `${file} has more than ${LINES_MAX} lines`)
  }
})

t.test('every key of etcd is built in one file', async (t) => {
  for (const file of sources.filter((f) => f.startsWith('packages/') && !f.includes('.test.'))) {
    if (file.endsWith('metastore/src/keys.ts')) continue
    // A comment may name a key; code may not spell one.
    const code = read(file).replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '')
    t.notMatch(code, /[`']\/nyala\/(?!ready)/, `${file} spells a key`)
  }
})

t.test('time and chance come in by argument', async (t) => {
  const isFree = (file: string): boolean =>
    /\.(test|bench)\.ts$|\/main\.ts$|kernel-main\.ts$|base\/clock\.ts$|\/testing\//.test(file)
  for (const file of sources.filter((f) => f.startsWith('packages/') && !isFree(f))) {
    t.notMatch(read(file), /\bMath\.random\(|\bsetTimeout\(|\bDate\.now\(/, file)
  }
})

t.test('nothing is left to be done, silenced or tied to one machine', async (t) => {
  // In pieces, or this file would hold what it looks for.
  const left = new RegExp(['FIX' + 'ME', '@ts-' + '(ignore|nocheck)', ':' + ' any[;,)=]'].join('|'))
  for (const file of sources) t.notMatch(read(file), left, file)
  t.notMatch(read('package-lock.json'), /"resolved": "https?:/, 'the lock file names no host')
})

t.test('every package says how it works, and which dependency it has for what', async (t) => {
  for (const name of LINE) {
    const design = read(`packages/${name}/DESIGN.md`)
    const { dependencies } = JSON.parse(read(`packages/${name}/package.json`)) as {
      readonly dependencies: Readonly<Record<string, string>>
    }
    for (const [dependency, version] of Object.entries(dependencies)) {
      t.match(version, /^\d/, `${name} pins ${dependency}`)
      if (!dependency.startsWith('@nyala/'))
        t.ok(design.includes(dependency), `${name}: why ${dependency}`)
    }
  }
})
