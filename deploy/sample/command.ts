import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Environment } from '../local/environment.ts'
import { configurationError, EXIT_INTERRUPTED } from '../local/launcher-error.ts'
import { STOP_SIGNALS } from '../local/up.ts'
import { generateSample, type Sample } from './generate.ts'

export const SAMPLE_USAGE = `usage: nyala sample --dir DIR [--sf N]

Writes sample tables in the shape of TPC-H, and one with partitions, as Parquet files into DIR, and prints the
statements that make external tables of them; they are also in DIR/create-tables.sql. The same --sf gives the same rows.

  --dir DIR   where to; a directory of its own for each table
  --sf N      scale factor, 0.001 to 1000 (default 1: six million lines of orders in 230 MB)`

/** `nyala sample`: resolves with the exit code. */
export async function sample(args: readonly string[], environment: Environment): Promise<number> {
  const values = readOptions(args)
  if (values.help === true) {
    environment.print(SAMPLE_USAGE)
    return 0
  }
  if (values.dir === undefined) throw configurationError('--dir is missing', SAMPLE_USAGE)
  const interrupted = new AbortController()
  // Also a second signal, as Ctrl-C under npm sends, finds the half-made files still being removed.
  const onInterrupt = (): void => interrupted.abort(new Error('interrupted'))
  for (const name of STOP_SIGNALS) process.on(name, onInterrupt)
  try {
    const started = environment.clock.now()
    const made = await generateSample({
      dir: resolve(environment.directory, values.dir),
      scaleFactor: scaleFactor(values.sf ?? '1'),
      variables: environment.variables,
      signal: interrupted.signal,
    })
    environment.report(summary(made, environment.clock.now() - started))
    environment.print(made.statements.join('\n\n'))
    return 0
  } catch (error) {
    if (interrupted.signal.aborted) return EXIT_INTERRUPTED
    throw error
  } finally {
    for (const name of STOP_SIGNALS) process.off(name, onInterrupt)
  }
}

function summary(made: Sample, elapsedMs: number): string {
  if (!made.isNew) return `"${made.dir}" holds this sample already`
  const all = Object.values(made.tables)
  const rows = all.reduce((sum, table) => sum + table.rows, 0)
  const files = all.reduce((sum, table) => sum + table.files, 0)
  const seconds = (elapsedMs / 1000).toFixed(1)
  return `wrote ${rows} rows of ${all.length} tables in ${files} files to "${made.dir}" in ${seconds} s`
}

function scaleFactor(text: string): number {
  const value = /^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : Number.NaN
  if (Number.isFinite(value)) return value
  throw configurationError(`--sf is "${text}", expected a number such as 0.1, 1 or 10`)
}

function readOptions(args: readonly string[]) {
  try {
    const options = {
      dir: { type: 'string' },
      sf: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw configurationError((error as Error).message, SAMPLE_USAGE)
  }
}
