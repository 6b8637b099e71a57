import { homedir } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { runCommand } from './commands.ts'
import type { ShellIo } from './shell-io.ts'

const io: ShellIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: (name) => process.env[name],
  home: homedir(),
  clock: systemClock,
  connect: async (options) => (await import('../sdk/index.ts')).connect(options),
  onInterrupt(action) {
    process.on('SIGINT', action)
    return () => process.off('SIGINT', action)
  },
}

process.exitCode = await runCommand(process.argv.slice(2), io)
