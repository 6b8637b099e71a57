import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@nyala/client/base'
import { runCommand } from './local/commands.ts'

const program = fileURLToPath(import.meta.url)

/** Runs a command and resolves with the exit code: 0, 1 failed, 3 usage or configuration, 130 interrupted. */
export const run = (args: readonly string[]): Promise<number> =>
  runCommand(args, {
    clock: systemClock,
    variables: process.env,
    directory: process.cwd(),
    print: (line) => void process.stdout.write(`${line}\n`),
    report: (line) => void process.stderr.write(`${line}\n`),
    program,
  })

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(program)) {
  process.exitCode = await run(process.argv.slice(2))
}
