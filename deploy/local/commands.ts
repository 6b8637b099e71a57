import { sample } from '../sample/command.ts'
import { down } from './down.ts'
import type { Environment } from './environment.ts'
import { EXIT_USAGE, LauncherError } from './launcher-error.ts'
import { superviseInBackground, up } from './up.ts'

/**
 * The programs of this package: `nyala up`, `nyala down` and `nyala sample` as the shell calls them, and the supervisor that
 * `up --detach` leaves in the background.
 */
const COMMANDS = {
  up,
  down,
  sample,
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
    if (!(error instanceof LauncherError)) throw error
    environment.report(`nyala ${name}: ${error.message}`)
    if (error.hint !== undefined) environment.report(error.hint)
    return error.exitCode
  }
}

const isCommand = (name: string): name is keyof typeof COMMANDS => Object.hasOwn(COMMANDS, name)
