import { SqlError } from '@nyala/client/protocol'
import { sample } from '../sample/command.ts'
import { down } from './down.ts'
import type { Environment } from './environment.ts'
import { EXIT_FAILED, EXIT_USAGE, LauncherError } from './launcher-error.ts'
import { superviseInBackground, up } from './up.ts'

/**
 * The programs of this package: `nyala up`, `nyala down`, `nyala sample` and `nyala drill` as the shell calls them, and the supervisor that
 * `up --detach` leaves in the background.
 */
const COMMANDS = {
  up,
  down,
  sample,
  // Its clients and its own kernel are nothing that starting a cluster should wait for.
  drill: async (args, environment) =>
    (await import('../drill/command.ts')).drill(args, environment),
  supervise: superviseInBackground,
} as const satisfies Readonly<
  Record<string, (args: readonly string[], environment: Environment) => Promise<number>>
>

/** Runs a command and resolves with the exit code: 0, 1 failed, 3 usage or configuration, 130 interrupted. */
export async function runCommand(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const [name = '', ...rest] = args
  if (!isCommand(name)) {
    const names = Object.keys(COMMANDS).join(', ')
    environment.report(`unknown command "${name}", expected one of ${names}`)
    return EXIT_USAGE
  }
  try {
    return await COMMANDS[name](rest, environment)
  } catch (error) {
    return reportError(error, name, environment.report)
  }
}

/** Tells an operating error and resolves with its exit code; a bug is thrown on. */
export function reportError(
  error: unknown,
  command: string,
  report: (line: string) => void,
): number {
  if (!(error instanceof LauncherError || error instanceof SqlError)) throw error
  report(`nyala ${command}: ${error.message}`)
  if (error.hint !== undefined) report(error.hint)
  return error instanceof LauncherError ? error.exitCode : EXIT_FAILED
}

const isCommand = (name: string): name is keyof typeof COMMANDS => Object.hasOwn(COMMANDS, name)
