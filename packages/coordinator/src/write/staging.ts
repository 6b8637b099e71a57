import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isMutant } from '@nyala/client/base'

/** The parts of a table's directory that writes put files into; those of one write bear its id in their names. */
export const PARTS = ['data', 'metadata'] as const

/**
 * Removes all files that bear the id of a write. Safe only once it is certain that no head names any of them, nor
 * ever will. What is gone already is no failure; a directory that cannot be
 * read is.
 */
export async function removeStaged(location: string, writeId: string): Promise<void> {
  for (const part of PARTS) {
    const directory = join(location, part)
    for (const name of await namesIn(directory)) {
      if (name.includes(writeId)) await rm(join(directory, name), { recursive: true, force: true })
    }
  }
}

/** Removes data files of a write that is committed which are not among those that it has committed. */
export async function removeUncommitted(
  location: string,
  writeId: string,
  committed: readonly string[],
): Promise<void> {
  const directory = join(location, 'data')
  const kept = new Set(committed.map((path) => basename(path)))
  for (const name of await namesIn(directory)) {
    if (!name.includes(writeId) || kept.has(name)) continue
    await rm(join(directory, name), { recursive: true, force: true })
  }
}

/**
 * Removes the metadata that a write has staged for attempts of its commit other than `last`: before that one is decided,
 * as with the decision goes the record by which others would find it.
 */
export async function removeAttempts(
  location: string,
  writeId: string,
  last: number,
): Promise<void> {
  const directory = join(location, 'metadata')
  const staged = new RegExp(
    `^(?:snap-\\d+-(\\d+)-${writeId}|\\d+-${writeId}-(\\d+)|${writeId}-merged-(\\d+))-`,
  )
  for (const name of await namesIn(directory)) {
    const attempt = staged
      .exec(name)
      ?.slice(1)
      .find((group) => group !== undefined)
    if (attempt !== undefined && Number(attempt) !== last) {
      await rm(join(directory, name), { force: true })
    }
  }
}

/** Removes these files, those that are there. */
export async function removeFiles(paths: readonly string[]): Promise<void> {
  if (isMutant('no-staged-removal')) return
  await Promise.all(paths.map((path) => rm(path, { force: true })))
}

async function namesIn(directory: string): Promise<readonly string[]> {
  if (isMutant('no-staged-removal')) return []
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Removes all files of an aborted write; a directory that is the write's own goes as a whole. */
export async function removeAll(write: {
  readonly id: string
  readonly locations: readonly string[]
  readonly own?: readonly string[] | undefined
}): Promise<void> {
  for (const location of write.locations) {
    const isOwn = basename(location).includes(write.id) || write.own?.includes(location) === true
    if (isOwn) await rm(location, { recursive: true, force: true })
    else await removeStaged(location, write.id)
  }
}

/** What becomes of files that came to nothing. A simulation has none. */
export interface StagedFiles {
  readonly removeAll: typeof removeAll
  readonly removeUncommitted: typeof removeUncommitted
  readonly removeAttempts: typeof removeAttempts
}

export const STAGED_FILES: StagedFiles = { removeAll, removeUncommitted, removeAttempts }
