import { SqlError } from '../protocol/errors.ts'
import { CLIENT_VERSION } from '../sdk/version.ts'
import { EXIT, type ShellIo, UsageError } from './shell-io.ts'

type Command = (args: readonly string[], io: ShellIo) => Promise<number>

/** Commands load what they need when they run, so that a short one starts fast. */
const COMMANDS: Readonly<Record<string, Command>> = {
  up: async (args) => (await import('./cluster/up.ts')).runUp(args),
  status: async (args, io) => (await import('./status-command.ts')).runStatus(args, io),
  sql: async (args, io) => (await import('./sql-command.ts')).runSql(args, io),
  down: async (args) => (await import('./cluster/down.ts')).runDown(args),
  drill: async (args) => (await import('./cluster/drill.ts')).runDrill(args),
  sample: async (args) => (await import('./cluster/sample.ts')).runSample(args),
  help: async (_args, io) => {
    io.stdout.write(USAGE)
    return EXIT.ok
  },
  version: async (_args, io) => {
    io.stdout.write(`nyala ${CLIENT_VERSION}\n`)
    return EXIT.ok
  },
}

const USAGE = `usage: nyala <command> [options]

  up       start a local cluster
  status   members, leader, queries and health of a cluster
  sql      run statements, or an interactive shell
  down     stop a local cluster
  drill    break a cluster in many ways and see whether what is promised holds
  sample   write sample data
  help     this text; nyala <command> --help tells of a command
  version  the version of this program
`

const ALIASES: Readonly<Record<string, string>> = {
  '--help': 'help',
  '-h': 'help',
  '--version': 'version',
  '-V': 'version',
}

/** Runs the command that the arguments name and resolves with its exit code. */
export async function runCommand(args: readonly string[], io: ShellIo): Promise<number> {
  const [word, ...rest] = args
  if (word === undefined) {
    io.stderr.write(USAGE)
    return EXIT.usage
  }
  const name = ALIASES[word] ?? word
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  try {
    if (command === undefined) throw new UsageError(`"${word}" is not a command of nyala`)
    return await command(rest, io)
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`nyala: ${error.message}\nsee nyala help\n`)
      return EXIT.usage
    }
    if (!(error instanceof SqlError)) throw error
    const { errorReport, exitCodeOf } = await import('./error-report.ts')
    io.stderr.write(errorReport(error, undefined))
    return exitCodeOf(error)
  }
}
