import { mkdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { configurationError, LauncherError } from './launcher-error.ts'
import { pathsOf } from './layout.ts'
import { isAlive, type ProcessIdentity, processBirth } from './process-identity.ts'

/**
 * Runs `action`, of which only one at a time runs in a directory, whichever process asks. Whoever comes second fails with
 * exit code 3 at once. The lock is a link that names its holder: it is made whole or not at all, and one whose holder
 * was killed is told from one that is held.
 */
export async function withStartLock<T>(dir: string, action: () => Promise<T>): Promise<T> {
  await mkdir(dir, { recursive: true })
  const path = pathsOf(dir).startLock
  const birth = await processBirth(process.pid)
  if (birth === undefined) throw new LauncherError('cannot tell this process from others')
  const mine = `${process.pid} ${birth}`
  if (!(await take(path, mine))) {
    await removeDead(path, dir)
    if (!(await take(path, mine))) throw alreadyStarting(dir)
  }
  try {
    return await action()
  } finally {
    await rm(path, { force: true })
  }
}

async function take(path: string, holder: string): Promise<boolean> {
  try {
    await symlink(holder, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock of a process that is gone; fails where its holder runs. */
async function removeDead(path: string, dir: string): Promise<void> {
  const holder = await readHolder(path)
  if (holder === undefined) return
  if (await isAlive(identityOf(holder))) throw alreadyStarting(dir)
  // Set aside first: of several that found it dead one moves it, and sees whether it moved what it had looked at.
  const aside = join(dir, `start.lock.${process.pid}`)
  try {
    await rename(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const moved = await readHolder(aside)
  await rm(aside, { force: true })
  if (moved === undefined || moved === holder) return
  // Somebody was faster and held it already: it is given back.
  await take(path, moved)
  throw alreadyStarting(dir)
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function identityOf(holder: string): ProcessIdentity {
  const blank = holder.indexOf(' ')
  return { pid: Number(holder.slice(0, blank)), birth: holder.slice(blank + 1) }
}

const alreadyStarting = (dir: string): LauncherError =>
  configurationError(
    `another cluster is just starting in "${dir}"`,
    'choose another --dir, or wait and connect to that one',
  )
