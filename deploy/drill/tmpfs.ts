import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Why a drill that mounts a file system cannot be run here. */
export const unlessRoot = (): string | undefined =>
  process.getuid?.() === 0 ? undefined : 'only root can mount a file system'

/** Puts a file system of so many bytes in memory where a directory is; the returned function takes it away. */
export async function mountTmpfs(directory: string, bytes: number): Promise<() => Promise<void>> {
  const run = promisify(execFile)
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'nyala-drill', directory])
  return async () => {
    // Lazily: processes that are ending, and kernels, may have a file open there.
    await run('umount', ['-l', directory])
  }
}
