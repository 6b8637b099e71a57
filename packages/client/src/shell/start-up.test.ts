import { build } from 'esbuild'
import t from 'tap'

t.test('starting the shell loads neither apache-arrow nor the Parquet codec', async (t) => {
  const { metafile } = await build({
    entryPoints: [new URL('./main.js', import.meta.url).pathname],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outdir: 'nowhere',
    write: false,
    metafile: true,
    logLevel: 'silent',
    external: ['@nyala/deploy/main'],
  })
  const { inputs } = metafile
  /** Everything that is loaded with a file, by imports that do not wait for their use. */
  const loadedWith = (file: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(file)) return seen
    seen.add(file)
    for (const { path, kind } of inputs[file]?.imports ?? []) {
      if (kind === 'import-statement') loadedWith(path, seen)
    }
    return seen
  }
  const fileOf = (end: string): string =>
    Object.keys(inputs).find((path) => path.endsWith(end)) ?? ''
  const loaded = ['shell/main.js', 'shell/sql-command.js', 'sdk/index.js'].flatMap((file) => [
    ...loadedWith(fileOf(file)),
  ])
  t.ok(loaded.some((path) => path.endsWith('statement-run.js')))
  t.strictSame(
    loaded.filter((path) => /node_modules\/(?:apache-arrow|parquet-wasm)\//.test(path)),
    [],
  )
})
