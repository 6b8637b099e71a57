import { parseArgs, type ParseArgsConfig } from 'node:util'
import { UsageError } from './shell-io.ts'

type Options = NonNullable<ParseArgsConfig['options']>

type Parsed<O extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; strict: true; allowPositionals: true }>
>

/** `parseArgs` of Node, with our own error for what it refuses. */
export function parseArguments<const O extends Options>(
  args: readonly string[],
  options: O,
): Parsed<O> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    // Node's sentences begin in upper case and may go on with advice that is about dashes.
    const [first = ''] = error.message.split('. ')
    throw new UsageError(first.charAt(0).toLowerCase() + first.slice(1))
  }
}
