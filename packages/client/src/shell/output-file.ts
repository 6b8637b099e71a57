import { type FileHandle, open } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { type Output, streamOutput } from './output.ts'
import { type ShellIo, UsageError } from './shell-io.ts'

export type OpenedOutput = AsyncDisposable & { readonly output: Output }

export function standardOutput(io: ShellIo): OpenedOutput {
  const output = streamOutput(io.stdout)
  return { output, [Symbol.asyncDispose]: () => output.end() }
}

/**
 * Standard output, or the file that `-o` and `\o` name, which is emptied. Disposing of it writes what is left and closes
 * the file. Rejects with a {@link UsageError} when the file cannot be opened.
 */
export async function openOutput(file: string | undefined, io: ShellIo): Promise<OpenedOutput> {
  if (file === undefined) return standardOutput(io)
  const stream = (await openFile(file)).createWriteStream()
  const output = streamOutput(stream)
  return {
    output,
    async [Symbol.asyncDispose]() {
      try {
        await output.end()
      } finally {
        stream.end()
      }
      await finished(stream)
    },
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'w')
  } catch (error) {
    throw new UsageError(`cannot write "${file}": ${(error as Error).message}`)
  }
}
