import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { type Output, streamOutput } from './output.ts'
import type { ShellIo } from './shell-io.ts'

/** Standard output, or the file that `-o` and `\o` name; disposing of it writes what is left and closes the file. */
export function openOutput(
  file: string | undefined,
  io: ShellIo,
): AsyncDisposable & { readonly output: Output } {
  if (file === undefined) {
    const output = streamOutput(io.stdout)
    return { output, [Symbol.asyncDispose]: () => output.end() }
  }
  const stream = createWriteStream(file)
  const output = streamOutput(stream)
  return {
    output,
    async [Symbol.asyncDispose]() {
      await output.end()
      stream.end()
      await finished(stream)
    },
  }
}
