import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type BuildResult, type Metafile } from 'esbuild'
import t from 'tap'
import WebSocket from 'ws'
import { FakeCoordinator } from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import type * as Sdk from './index.ts'

/** What a page loads before it runs its first query; apache-arrow and the Parquet codec come on demand. */
const FIRST_LOAD_BYTES_MAX = 85 * 1024

async function bundle(outdir: string): Promise<BuildResult & { readonly metafile: Metafile }> {
  return build({
    stdin: {
      contents: "export * from '@nyala/client'",
      resolveDir: import.meta.dirname,
      sourcefile: 'page.js',
    },
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    outdir,
    outExtension: { '.js': '.mjs' },
    metafile: true,
    logLevel: 'silent',
  })
}

/** Bytes of an output and of all that it imports statically. */
function staticBytes(metafile: Metafile, output: string, seen = new Set<string>()): number {
  if (seen.has(output)) return 0
  seen.add(output)
  const { bytes, imports } = metafile.outputs[output] ?? { bytes: 0, imports: [] }
  return imports
    .filter((imported) => imported.kind === 'import-statement')
    .reduce((sum, imported) => sum + staticBytes(metafile, imported.path, seen), bytes)
}

t.test('the SDK bundles for browsers', async (t) => {
  const outdir = await mkdtemp(join(tmpdir(), 'nyala-bundle-'))
  t.teardown(() => rm(outdir, { recursive: true }))
  const { metafile, errors } = await bundle(outdir)
  t.strictSame(errors, [])

  t.test('without Node and without ws', async (t) => {
    const inputs = Object.keys(metafile.inputs)
    t.ok(inputs.some((input) => input.endsWith('sdk/index.browser.js')))
    t.strictSame(
      inputs.filter((input) =>
        /node_modules\/ws\/|-node\.js$|wire\/(?:dial|listen)\.js$/.test(input),
      ),
      [],
    )
    const imported = Object.values(metafile.inputs).flatMap((input) => input.imports)
    t.strictSame(
      imported.filter(({ path, external }) => external === true || path.startsWith('node:')),
      [],
    )
  })

  t.test('small, with apache-arrow and Parquet loaded only on use', async (t) => {
    const [entry = ''] = Object.entries(metafile.outputs)
      .filter(([, output]) => output.entryPoint !== undefined)
      .map(([path]) => path)
      .filter((path) => path.endsWith('stdin.mjs'))
    const bytes = staticBytes(metafile, entry)
    t.ok(bytes > 10_000 && bytes < FIRST_LOAD_BYTES_MAX, `${bytes} bytes at first load`)
  })

  t.test('and works over the WebSocket of the platform', async (t) => {
    const answer = numbersAnswer(2500, 1000)
    await using fake = await FakeCoordinator.start({ onStatement: (call) => call.answer(answer) })
    Object.assign(globalThis, { WebSocket })
    t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'))
    const page = (await import(pathToFileURL(join(outdir, 'stdin.mjs')).href)) as typeof Sdk
    await using db = await page.connect(fake.url)
    t.match(fake.receivedOf('hello')[0]?.client, /browser$/)
    const { rows } = await db.query('select 1')
    t.strictSame(rows[2499], { n: 2499n, text: 'row 2499' })
    t.equal((await db.stream('select 1').table()).numRows, 2500)
    fake.cutClients()
    t.equal((await db.query('select 1')).rows.length, 2500, 'a cut connection is made again')
    await t.rejects(page.connect('nyala://127.0.0.1:1'), { code: '08006' })
  })
})
