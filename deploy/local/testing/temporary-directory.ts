import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** An empty directory that goes when the test ends. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}
