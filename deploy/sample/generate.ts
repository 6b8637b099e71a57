import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { once } from 'node:events'
import { type Infer, s } from '@nyala/client/base'
import { configurationError, LauncherError } from '../local/launcher-error.ts'
import { SAMPLE_TABLES } from './schema.ts'
import { sizesAt } from './sizes.ts'
import { createTableStatements } from './statements.ts'

export interface SampleOptions {
  readonly dir: string
  /** 1 is about six million lines of orders, 230 MB of files. */
  readonly scaleFactor: number
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Stops the writing; what was written is then removed. */
  readonly signal?: AbortSignal | undefined
}

const written = s.record(s.object({ rows: s.natural, files: s.natural }))

/** `sample.json`: what a directory holds, so that the same sample is not made twice. */
const sampleRecord = s.object({
  /** Grows when the same scale factor gives other rows. */
  format: s.literal(1),
  scaleFactor: s.number,
  tables: written,
})

export interface Sample {
  readonly dir: string
  readonly tables: Infer<typeof written>
  /** CREATE EXTERNAL TABLE for each table, each ended by a semicolon; also in `create-tables.sql`. */
  readonly statements: readonly string[]
  /** False where the directory held this sample already. */
  readonly isNew: boolean
}

const WRITER = fileURLToPath(new URL('./writer-main.js', import.meta.url))
const RECORD = 'sample.json'
const STATEMENTS = 'create-tables.sql'
/** More writers than cores only take memory. */
const CONNECTIONS_MAX = 16
/** The last part of what a writer said before it failed. */
const ERROR_CHARACTERS_MAX = 2_000

/**
 * Writes the sample tables into `dir`: the same rows and bytes for the same scale factor, every time. Fails with exit
 * code 3 where the directory holds something else under the names of the tables.
 */
export async function generateSample(options: SampleOptions): Promise<Sample> {
  const dir = resolve(options.dir)
  sizesAt(options.scaleFactor)
  const statements = createTableStatements(dir)
  const kept = await readRecord(dir)
  if (kept?.scaleFactor === options.scaleFactor) {
    return { dir, tables: kept.tables, statements, isNew: false }
  }
  requireRoom(dir, kept?.scaleFactor)
  await mkdir(dir, { recursive: true })
  // Tables appear whole: what a reader finds under their names is complete.
  const work = join(dir, `.writing-${process.pid}`)
  try {
    const tables = await runWriter(work, options)
    for (const { name } of SAMPLE_TABLES) await rename(join(work, name), join(dir, name))
    await writeFile(join(dir, STATEMENTS), `${statements.join('\n\n')}\n`)
    const record = { format: 1, scaleFactor: options.scaleFactor, tables }
    await writeFile(join(dir, RECORD), `${JSON.stringify(record, undefined, 2)}\n`)
    return { dir, tables, statements, isNew: true }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

function requireRoom(dir: string, scaleFactor: number | undefined): void {
  const found = SAMPLE_TABLES.find(({ name }) => existsSync(join(dir, name)))
  if (found === undefined) return
  const what = scaleFactor === undefined ? '' : `, a sample of scale factor ${scaleFactor}`
  throw configurationError(
    `"${join(dir, found.name)}" is already there${what}`,
    'choose another --dir, or remove it first',
  )
}

async function readRecord(dir: string): Promise<Infer<typeof sampleRecord> | undefined> {
  const path = join(dir, RECORD)
  if (!existsSync(path)) return undefined
  return sampleRecord.decode(JSON.parse(await readFile(path, 'utf8')), 'sample')
}

async function runWriter(dir: string, options: SampleOptions): Promise<Infer<typeof written>> {
  options.signal?.throwIfAborted()
  const connections = Math.min(availableParallelism(), CONNECTIONS_MAX)
  const child = spawn(
    process.execPath,
    [
      WRITER,
      '--dir',
      dir,
      '--sf',
      String(options.scaleFactor),
      '--connections',
      String(connections),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Each connection that runs holds one of these threads, and files are opened with others.
      env: { ...options.variables, UV_THREADPOOL_SIZE: String(connections + 4) },
    },
  )
  const onAbort = (): void => void child.kill('SIGKILL')
  options.signal?.addEventListener('abort', onAbort, { once: true })
  const text = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => {
    text.err = (text.err + chunk.toString()).slice(-ERROR_CHARACTERS_MAX)
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  options.signal?.removeEventListener('abort', onAbort)
  options.signal?.throwIfAborted()
  if (code === 0) return written.decode(JSON.parse(text.out), 'written')
  throw new LauncherError(`the writer of the sample ended with ${signal ?? `code ${code}`}`, {
    hint: text.err.trim(),
  })
}
