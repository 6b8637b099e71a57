import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { SqlError } from '../protocol/errors.ts'
import type { Database } from '../sdk/database.ts'
import { isCopyCommand } from './copy/copy-command.ts'
import { type Dialect, dialectOf } from './dialect.ts'
import { errorReport, exitCodeOf, jsonErrorReport } from './error-report.ts'
import { openOutput } from './output-file.ts'
import { type Output, OutputClosed } from './output.ts'
import { EXIT, type ShellIo, UsageError } from './shell-io.ts'
import { statementsInTurn } from './split-statements.ts'
import { parseSqlOptions, SQL_USAGE, type SqlOptions } from './sql-options.ts'
import { type RunnerOptions, StatementRunner } from './statement-runner.ts'
import { resolveTarget } from './target.ts'

/** `nyala sql`: resolves with the exit code. */
export async function runSql(args: readonly string[], io: ShellIo): Promise<number> {
  const options = parseSqlOptions(args)
  if (options.help) {
    io.stdout.write(SQL_USAGE)
    return EXIT.ok
  }
  const interactive = isInteractive(options, io)
  const sources = interactive ? [] : await readSources(options, io)
  const database = await openDatabase(options, io)
  if (typeof database === 'number') return database
  try {
    if (interactive) {
      const { runInteractive } = await import('./interactive/interactive.ts')
      return await runInteractive(database, options, io)
    }
    return await runBatch(database, sources, options, io)
  } catch (error) {
    // Whoever read our output has gone, which ends the work well.
    if (error instanceof OutputClosed) return EXIT.ok
    throw error
  } finally {
    await database.close()
  }
}

const isInteractive = (options: SqlOptions, io: ShellIo): boolean =>
  options.execute.length === 0 &&
  options.files.length === 0 &&
  io.stdin.isTTY === true &&
  io.stdout.isTTY === true

async function openDatabase(options: SqlOptions, io: ShellIo): Promise<Database | number> {
  const url = await resolveTarget(options, io.environment)
  try {
    return await io.connect({
      url,
      database: options.database,
      set: options.settings,
      application: 'nyala sql',
    })
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    io.stderr.write(options.jsonErrors ? jsonErrorReport(error) : errorReport(error, undefined))
    return exitCodeOf(error)
  }
}

/** The texts to run, in the order -e, then -f; standard input where there are neither. */
async function readSources(options: SqlOptions, io: ShellIo): Promise<readonly string[]> {
  const files = options.execute.length + options.files.length === 0 ? ['-'] : options.files
  const texts: string[] = [...options.execute]
  for (const file of files) texts.push(await readSource(file, io.stdin))
  return texts
}

export async function readSource(file: string, stdin: Readable): Promise<string> {
  if (file === '-') return readAll(stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read "${file}": ${(error as Error).message}`)
  }
}

async function readAll(stream: Readable): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(Buffer.from(part as Uint8Array | string))
  return Buffer.concat(parts).toString('utf8')
}

async function runBatch(
  database: Database,
  sources: readonly string[],
  options: SqlOptions,
  io: ShellIo,
): Promise<number> {
  const target = await openOutput(options.output, io)
  const code = await runSources(database, sources, options, { io, output: target.output })
  // Not by `await using`: an output that was closed under a statement would be told a second time.
  // What could not be written has been told with its statement then; only a first failure here is news.
  const closed = Promise.resolve(target[Symbol.asyncDispose]())
  await (code === EXIT.ok ? closed : closed.catch(() => undefined))
  return code
}

async function runSources(
  database: Database,
  sources: readonly string[],
  options: SqlOptions,
  { io, output }: { readonly io: ShellIo; readonly output: Output },
): Promise<number> {
  const runner = new StatementRunner(database, io, output, runnerOptions(options, io))
  let worst: number = EXIT.ok
  const dialect = (): Dialect => dialectOf(database.settings)
  const { statementId } = options
  if (statementId !== undefined) {
    const all = sources.flatMap((source) => [...statementsInTurn(source, dialect)])
    if (all.length !== 1) {
      throw new UsageError(`--statement-id is the id of one statement, and there are ${all.length}`)
    }
  }
  for (const source of sources) {
    for (const { text } of statementsInTurn(source, dialect)) {
      const code = await runOne(runner, text, statementId)
      if (code === EXIT.ok) continue
      worst = worst === EXIT.ok ? code : worst
      if (!options.continueOnError || code === EXIT.interrupted) return code
    }
  }
  return worst
}

async function runOne(
  runner: StatementRunner,
  text: string,
  statementId: string | undefined,
): Promise<number> {
  if (isCopyCommand(text)) return runner.copy(text, statementId)
  return (await runProfile(runner, text)) ?? runner.run(text, statementId)
}

/** `profile` and `summary` are of the statement before them; undefined for anything else. */
async function runProfile(runner: StatementRunner, text: string): Promise<number | undefined> {
  const word = /^(?:profile|summary)$/i.exec(text)?.[0]?.toLowerCase()
  if (word === undefined) return undefined
  const { profileText, summaryText } = await import('./interactive/profile-text.ts')
  return runner.runProfile(word === 'profile' ? profileText : summaryText)
}

function runnerOptions(options: SqlOptions, io: ShellIo): RunnerOptions {
  const toTerminal = io.stdout.isTTY === true && options.output === undefined
  return {
    format: options.format ?? (toTerminal ? 'table' : 'csv'),
    color: toTerminal && !options.noColor && (io.environment('NO_COLOR') ?? '') === '',
    progress: options.progress,
    timing: options.timing,
    jsonErrors: options.jsonErrors,
  }
}
