import { stat, type Stats } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { TaskFiles } from '../protocol/index.ts'
import { FileChecksums, namedChecksum } from './file-checksums.ts'
import { fileError } from '../storage/roots.ts'

/** A listing keeps microseconds, the file system nanoseconds, and neither is exact as a number. */
const MODIFIED_TOLERANCE_MS = 0.002
/** Looked at together; the file system of Node has four threads. */
const STATS_AT_ONCE = 64

interface GuardedFile {
  readonly table: string
  readonly path: string
  readonly bytes: number
  readonly modifiedMs: number
}

/**
 * Tells whether the files of a task are those that the table had when it was listed, by size and time of change: some
 * ten microseconds a file. A writer that keeps both is not found out. Files of managed tables bear their checksum in
 * their names; it is compared when an executor reads them for the first time.
 */
export class FileGuard {
  readonly #files: readonly GuardedFile[]
  readonly #checksums: FileChecksums

  constructor(lists: readonly TaskFiles[], checksums: FileChecksums = ofThisProcess) {
    this.#checksums = checksums
    const files = new Map<string, GuardedFile>()
    for (const { table, location, paths, bytes, modifiedMs } of lists) {
      paths.forEach((relative, i) => {
        const path = isAbsolute(relative) ? relative : join(location, relative)
        files.set(path, { table, path, bytes: bytes[i] ?? 0, modifiedMs: modifiedMs[i] ?? 0 })
      })
    }
    this.#files = [...files.values()]
  }

  get isEmpty(): boolean {
    return this.#files.length === 0
  }

  /** A file of a managed table is read whole for its checksum, once. Never rejects. */
  async #damage(file: GuardedFile, { ino, size, mtimeMs }: Stats): Promise<SqlError | undefined> {
    const { path, table } = file
    const expected = namedChecksum(path)
    const state = `${ino}:${size}:${mtimeMs}`
    if (isMutant('no-data-checksum')) return undefined
    if (expected === undefined || this.#checksums.isKnown(path, state)) return undefined
    try {
      const found = await this.#checksums.compute(path)
      if (found === expected) {
        this.#checksums.remember(path, state)
        return undefined
      }
      return new SqlError('data_corrupted', `file "${path}" of table "${table}" is damaged`, {
        detail: `its CRC-32 is ${hex(found)}, it was written with ${hex(expected)}`,
        hint: 'restore the file from a copy',
      })
    } catch (cause) {
      return missing(file, cause as NodeJS.ErrnoException)
    }
  }

  /** The error to fail with: `file_changed`, or what keeps a file from being looked at. Never rejects. */
  changed(): Promise<SqlError | undefined> {
    return new Promise((resolve) => {
      let next = 0
      let open = 0
      const advance = (error: SqlError | undefined): void => {
        if (error !== undefined) {
          next = this.#files.length
          return resolve(error)
        }
        while (open < STATS_AT_ONCE && next < this.#files.length) {
          const file = this.#files[next++] as GuardedFile
          open++
          stat(file.path, (cause, stats) => {
            const found = cause === null ? difference(file, stats) : missing(file, cause)
            const done = (error: SqlError | undefined): void => {
              open--
              advance(error)
            }
            if (found !== undefined || file.modifiedMs >= 0) return done(found)
            void this.#damage(file, stats).then(done)
          })
        }
        if (open === 0) resolve(undefined)
      }
      advance(undefined)
    })
  }
}

const ofThisProcess = new FileChecksums()

function difference(file: GuardedFile, { size, mtimeMs }: Stats): SqlError | undefined {
  // Files of managed tables come without a time: they are never written again, and have a checksum.
  const sameTime =
    file.modifiedMs < 0 || Math.abs(mtimeMs - file.modifiedMs) <= MODIFIED_TOLERANCE_MS
  if (size === file.bytes && sameTime) return undefined
  return changedError(
    file,
    `it had ${file.bytes} bytes, written ${timeText(file.modifiedMs)}, and has ${size}, written ${timeText(mtimeMs)}`,
  )
}

function missing(file: GuardedFile, cause: NodeJS.ErrnoException): SqlError {
  if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
    return isOfManaged(file) ? goneError(file, cause) : changedError(file, 'it is gone')
  return fileError(file.path, cause)
}

/** Their files come without a time: nothing writes them again. */
const isOfManaged = ({ modifiedMs }: GuardedFile): boolean => modifiedMs < 0

const goneError = ({ path, table }: GuardedFile, cause: unknown): SqlError =>
  new SqlError('file_changed', `file "${path}" of table "${table}" is gone`, {
    detail: 'the snapshot of the table that the statement reads has rows in it',
    hint: `restore it from a copy, or go on with an older snapshot that does without: DESCRIBE HISTORY ${table} lists them`,
    cause,
  })

const changedError = ({ path, table, modifiedMs }: GuardedFile, what: string): SqlError =>
  new SqlError(
    'file_changed',
    modifiedMs < 0
      ? `file "${path}" is not the one that was written for table "${table}"`
      : `file "${path}" is not the one that table "${table}" was listed with`,
    {
      detail: what,
      // No listing of a managed table would do without it.
      hint:
        modifiedMs < 0
          ? 'restore the file from a copy'
          : `REFRESH ${table} lists the files as they are now`,
    },
  )

const timeText = (ms: number): string => (ms < 0 ? 'once' : new Date(ms).toISOString())

const hex = (crc: number): string => crc.toString(16).padStart(8, '0')
