import type { Test } from 'tap'
import { runCommand } from '../shell/commands.ts'
import { type FakeCall, FakeCoordinator } from './fake-coordinator.ts'
import { FakeShell, type FakeShellOptions } from './fake-shell.ts'
import { numbersAnswer } from './sample-results.ts'

/** Runs the program against a coordinator that plays `onStatement`. */
export async function run(
  test: Test,
  args: readonly string[],
  onStatement: (call: FakeCall) => void | Promise<void>,
  options: FakeShellOptions & { readonly input?: string } = {},
) {
  const fake = await FakeCoordinator.start({ onStatement })
  test.teardown(() => fake.close())
  const shell = new FakeShell({ environment: { NYALA_URL: fake.url }, ...options })
  shell.stdin.end(options.input ?? '')
  const code = await runCommand(args, shell.io)
  const sent = fake.receivedOf('statement')
  return { code, out: shell.stdout.text, err: shell.stderr.text, sent, fake, shell }
}

/** Answers with so many numbered rows. */
export const numbers =
  (rows: number, batchRows = 1000) =>
  (call: FakeCall): Promise<void> =>
    call.answer(numbersAnswer(rows, batchRows))
