import { rm } from 'node:fs/promises'
import { assert } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { WrittenFile } from '../kernel/kernel-protocol.ts'
import type { TableFile, TaskSpec } from '../protocol/index.ts'
import type { WrittenFacts } from '../storage/inspector.ts'

/** Reads the footer of a file that was written here. */
export type DescribeWritten = (path: string) => Promise<WrittenFacts>

/** The files of a table that a task has written, with what their footers say. Rejects where one cannot be read back. */
export async function tableFilesOf(
  files: readonly WrittenFile[],
  describe: DescribeWritten,
): Promise<readonly TableFile[]> {
  const found: TableFile[] = []
  for (const { path, rows, bytes, crc, keys } of files) {
    const facts = await describe(path)
    assert(facts.rows === rows, () => `${path} has ${facts.rows} rows, COPY said ${rows}`)
    assert(facts.bytes === bytes, () => `${path} has ${facts.bytes} bytes, COPY said ${bytes}`)
    const { statistics, columnBytes, rowGroupBytes } = facts
    found.push({
      ...{ path, rows, bytes, crc, columnBytes, rowGroupBytes },
      ...(keys === undefined ? {} : { partition: keys }),
      ...(statistics === undefined ? {} : { statistics }),
    })
  }
  return found
}

const MAY_NOT =
  /\b(?:EROFS|EACCES|EPERM)\b|read-only file system|permission denied|operation not permitted/i

/**
 * What a failed write to a table's directory is told as, where it is not allowed: all executors write to this directory,
 * and trying again does not help. Any other error as it is. Pure.
 */
export function toWriteError(error: SqlError, output: TaskSpec['output']): SqlError {
  if (output.kind !== 'table') return error
  const { directory } = output
  const isOfFile = error.error === 'io_error' && error.message.includes(directory)
  if (!isOfFile || !MAY_NOT.test(error.message)) return error
  return new SqlError('insufficient_privilege', `the table cannot be written: ${error.message}`, {
    hint: `the executors need the right to write in "${directory}", on a file system that is not read-only`,
    cause: error,
  })
}

/** Removes what a task has written that nobody wants any more. Never rejects: what stays is litter by its name. */
export async function removeWritten(files: readonly WrittenFile[]): Promise<void> {
  for (const { path } of files) await rm(path, { force: true }).catch(() => undefined)
}
