import { parseArguments } from './arguments.ts'
import { FORMATS, type FormatName, isFormatName } from './formats/format.ts'
import { UsageError } from './shell-io.ts'

export interface SqlOptions {
  /** Statements of `-e`, in order. */
  readonly execute: readonly string[]
  /** Files of `-f`, `-` for standard input. */
  readonly files: readonly string[]
  readonly format: FormatName | undefined
  readonly url: string | undefined
  readonly dir: string | undefined
  readonly database: string | undefined
  readonly output: string | undefined
  readonly settings: Readonly<Record<string, string>>
  readonly continueOnError: boolean
  readonly progress: boolean
  readonly noColor: boolean
  readonly timing: boolean
  readonly jsonErrors: boolean
  readonly historyFile: string | undefined
  /** Of the one statement that there is. */
  readonly statementId: string | undefined
  readonly help: boolean
}

export const SQL_USAGE = `usage: nyala sql [options]

Runs statements, or starts an interactive shell when standard input and output are terminals.

  -e, --execute SQL        run these statements and exit (repeatable)
  -f, --file FILE          run the statements of a file, - for standard input (repeatable)
      --format NAME        ${Object.keys(FORMATS).join(' | ')}
      --url URL            nyala://host:port,host:port/database; default NYALA_URL, else the cluster of --dir
      --dir DIR            directory of a cluster that nyala up started; default ./.nyala
  -d, --database NAME      database of the session
  -o, --output FILE        write results to a file
      --set NAME=VALUE     setting of the session (repeatable)
  -c, --continue-on-error  go on after a statement that failed
      --progress           show progress on standard error
      --no-color           no colours; NO_COLOR does the same
      --timing             show how long each statement took
      --json-errors        errors as lines of JSON
      --statement-id ID    id of the one statement: a write is done once under it, however often it is sent
      --history-file FILE  default ~/.nyala_history

With -e, -f or a pipe the first statement that fails ends the run. In the interactive shell the statements after it on the
line still run, as in psql; Ctrl-C drops them. "summary;" and "profile;" after a statement show what its tasks and operators did.
`

export function parseSqlOptions(args: readonly string[]): SqlOptions {
  const { values, positionals } = parseArguments(args, {
    execute: { type: 'string', short: 'e', multiple: true },
    file: { type: 'string', short: 'f', multiple: true },
    format: { type: 'string' },
    url: { type: 'string' },
    dir: { type: 'string' },
    database: { type: 'string', short: 'd' },
    output: { type: 'string', short: 'o' },
    set: { type: 'string', multiple: true },
    'continue-on-error': { type: 'boolean', short: 'c' },
    progress: { type: 'boolean' },
    'no-color': { type: 'boolean' },
    timing: { type: 'boolean' },
    'json-errors': { type: 'boolean' },
    'history-file': { type: 'string' },
    'statement-id': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  const [extra] = positionals
  if (extra !== undefined) {
    throw new UsageError(`"${extra}" is not expected here; pass statements with -e`)
  }
  return {
    execute: values.execute ?? [],
    files: values.file ?? [],
    format: values.format === undefined ? undefined : formatName(values.format),
    url: values.url,
    dir: values.dir,
    database: values.database,
    output: values.output,
    settings: Object.fromEntries((values.set ?? []).map(setting)),
    continueOnError: values['continue-on-error'] ?? false,
    progress: values.progress ?? false,
    noColor: values['no-color'] ?? false,
    timing: values.timing ?? false,
    jsonErrors: values['json-errors'] ?? false,
    historyFile: values['history-file'],
    statementId: values['statement-id'],
    help: values.help ?? false,
  }
}

export function formatName(name: string): FormatName {
  if (isFormatName(name)) return name
  throw new UsageError(`"${name}" is not a format; there are ${Object.keys(FORMATS).join(', ')}`)
}

function setting(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  if (equals > 0) return [text.slice(0, equals).trim(), text.slice(equals + 1)]
  throw new UsageError(`--set takes name=value, not "${text}"`)
}
