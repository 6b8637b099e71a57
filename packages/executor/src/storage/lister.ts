import { type Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SqlError } from '@nyala/client/protocol'
import { isPattern, parsePattern, type Segment } from './glob.ts'
import { fileError, type Roots } from './roots.ts'

/** A listing travels in one message of at most 64 MiB; a file takes some 200 bytes of it. */
export const LISTED_FILES_MAX = 100_000
/** Deeper directories than this are a loop or a mistake. */
const DEPTH_MAX = 64

/**
 * Finds files below directories and by patterns, never outside the roots. Links are followed where their target lies in
 * a root; a file keeps the path by which it was found, because its partition values stand in that.
 */
export class Lister {
  readonly #roots: Roots

  constructor(roots: Roots) {
    this.#roots = roots
  }

  /** All data files below a directory, at any depth, in the order of their paths; hidden ones are left out. */
  async below(
    location: string,
  ): Promise<{ readonly location: string; readonly paths: readonly string[] }> {
    const real = await this.#roots.resolve(location)
    if (!(await isDirectory(real))) {
      throw new SqlError('invalid_parameter_value', `location "${location}" is not a directory`, {
        hint: 'a table is a directory of Parquet files; name a single file in FROM instead',
      })
    }
    const found = new Collector()
    await this.#walk({ directory: real, trail: [real], found })
    return { location: real, paths: found.sorted() }
  }

  /** The files that a path or pattern names, in the order of their paths. Fails with `undefined_file` for none. */
  async matching(
    path: string,
  ): Promise<{ readonly base: string; readonly paths: readonly string[] }> {
    if (!isPattern(path)) return await this.#single(path)
    const { base, segments } = parsePattern(path)
    const real = await this.#roots.resolve(base)
    const found = new Collector()
    await this.#match({ directory: real, trail: [real], found }, segments)
    if (found.size === 0) {
      throw new SqlError('undefined_file', `no file matches "${path}"`, {
        hint: 'check the pattern: * and ? stay within one directory, ** crosses directories',
      })
    }
    return { base: real, paths: found.sorted() }
  }

  async #single(
    path: string,
  ): Promise<{ readonly base: string; readonly paths: readonly string[] }> {
    const real = await this.#roots.resolve(path)
    if (await isDirectory(real)) {
      throw new SqlError('invalid_parameter_value', `"${path}" is a directory`, {
        hint: `name its files, for example "${join(path, '*.parquet')}"`,
      })
    }
    return { base: real, paths: [real] }
  }

  async #walk(place: Place): Promise<void> {
    for (const entry of await this.#read(place)) {
      if (isHidden(entry.name)) continue
      const path = join(place.directory, entry.name)
      const kind = await this.#kindOf(entry, path)
      if (kind === 'file') place.found.add(path)
      if (kind === 'directory') await this.#walk(await this.#enter(place, path))
    }
  }

  async #match(place: Place, segments: readonly Segment[]): Promise<void> {
    const [segment, ...rest] = segments
    if (segment === undefined) return
    if (segment.kind === 'anyDepth') return await this.#matchAnyDepth(place, rest)
    for (const entry of await this.#read(place)) {
      if (!segment.matches(entry.name)) continue
      const path = join(place.directory, entry.name)
      const kind = await this.#kindOf(entry, path)
      if (kind === 'file' && rest.length === 0) place.found.add(path)
      if (kind === 'directory' && rest.length > 0)
        await this.#match(await this.#enter(place, path), rest)
    }
  }

  /** `**` stands for no directory, or for one and the same again. A pattern that ends in it takes all files. */
  async #matchAnyDepth(place: Place, rest: readonly Segment[]): Promise<void> {
    if (rest.length > 0) await this.#match(place, rest)
    for (const entry of await this.#read(place)) {
      if (entry.name.startsWith('.')) continue
      const path = join(place.directory, entry.name)
      const kind = await this.#kindOf(entry, path)
      if (kind === 'file' && rest.length === 0) place.found.add(path)
      if (kind === 'directory') await this.#matchAnyDepth(await this.#enter(place, path), rest)
    }
  }

  async #read(place: Place): Promise<readonly Dirent[]> {
    if (place.trail.length > DEPTH_MAX) {
      throw new SqlError(
        'program_limit_exceeded',
        `"${place.directory}" is nested deeper than ${DEPTH_MAX}`,
      )
    }
    try {
      return await readdir(place.directory, { withFileTypes: true })
    } catch (cause) {
      throw fileError(place.directory, cause)
    }
  }

  /** Descends into a directory; one that is above itself through a link is refused. */
  async #enter(place: Place, path: string): Promise<Place> {
    const real = await realpath(path)
    if (place.trail.includes(real)) {
      throw new SqlError('invalid_parameter_value', `"${path}" leads back to "${real}"`, {
        hint: 'take the symbolic link out of the directory',
      })
    }
    return { directory: path, trail: [...place.trail, real], found: place.found }
  }

  /** What an entry is once a link is followed; a link that leads out of the roots is an error that names it. */
  async #kindOf(entry: Dirent, path: string): Promise<'file' | 'directory' | 'other'> {
    if (entry.isFile()) return 'file'
    if (entry.isDirectory()) return 'directory'
    if (!entry.isSymbolicLink()) return 'other'
    const real = await this.#roots.resolve(path)
    const target = await stat(real)
    return target.isFile() ? 'file' : target.isDirectory() ? 'directory' : 'other'
  }
}

interface Place {
  readonly directory: string
  /** Real paths of the directories from the start to here. */
  readonly trail: readonly string[]
  readonly found: Collector
}

class Collector {
  readonly #paths = new Set<string>()

  get size(): number {
    return this.#paths.size
  }

  add(path: string): void {
    this.#paths.add(path)
    if (this.#paths.size <= LISTED_FILES_MAX) return
    throw new SqlError('program_limit_exceeded', `more than ${LISTED_FILES_MAX} files to list`, {
      hint: 'compact the files, or split the table',
    })
  }

  sorted(): readonly string[] {
    return [...this.#paths].sort()
  }
}

/** Names that writers give to what is not data: `.crc`, `_SUCCESS`, `_temporary`. A partition may be named so. */
const isHidden = (name: string): boolean =>
  name.startsWith('.') || (name.startsWith('_') && !name.includes('='))

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (cause) {
    throw fileError(path, cause)
  }
}
