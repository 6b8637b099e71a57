import { fileURLToPath } from 'node:url'
import { systemClock } from '@nyala/client/base'
import { runCommand } from '../commands.ts'
import { fakePrograms } from './fake-programs.ts'

/** The launcher's commands with fake coordinators and executors. */
process.exitCode = await runCommand(process.argv.slice(2), {
  clock: systemClock,
  variables: process.env,
  directory: process.cwd(),
  print: (line) => void process.stdout.write(`${line}\n`),
  report: (line) => void process.stderr.write(`${line}\n`),
  program: fileURLToPath(import.meta.url),
  programs: fakePrograms,
})
