import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, deferred, type Log } from '@nyala/client/base'
import { randomHex, SqlError } from '@nyala/client/protocol'
import { crc32, type Frame } from '@nyala/client/wire'

/** A part is some megabytes; one row may be larger, but not this large. */
const PART_BYTES_MAX = 256 * 1024 * 1024
/** Nobody comes back to an upload that nothing was added to for so long. */
const KEPT_MS = 3_600_000
/** Ids of statements, as clients make them. */
const UPLOAD_ID = /^[0-9A-Za-z_-]{8,64}$/

export interface UploadsOptions {
  /** Shared by all coordinators and executors. */
  readonly directory: string
  readonly clock: Clock
  readonly log: Log
}

export interface UploadRequest {
  readonly upload: string
  readonly part: number
  readonly bytes: number
}

/**
 * Parts of rows that clients are about to insert: files of no table, which the INSERT reads. Each is on disk before the
 * client is told, so the INSERT may be sent to any coordinator. They go with `end`, or when they are old.
 */
export class Uploads {
  readonly #options: UploadsOptions
  /** Parts that come now, by their uploads, whatever connections they come on. */
  readonly #coming = new Map<string, Set<UploadedPart>>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** Takes the frames of one part. */
  open(request: UploadRequest): UploadedPart {
    const { upload, bytes } = request
    checkId(upload)
    if (bytes > PART_BYTES_MAX) {
      throw new SqlError('program_limit_exceeded', `a part of ${bytes} bytes is too large`, {
        hint: `the most is ${PART_BYTES_MAX}: insert fewer rows at once (batchRows)`,
      })
    }
    if (request.part === 0) void this.#removeOld()
    const part = new UploadedPart(join(this.#options.directory, upload), request)
    const parts = this.#coming.get(upload) ?? new Set()
    this.#coming.set(upload, parts.add(part))
    void part.settled.then(() => {
      parts.delete(part)
      if (parts.size === 0 && this.#coming.get(upload) === parts) this.#coming.delete(upload)
    })
    return part
  }

  /**
   * Removes an upload with all of its parts. A client that gave up may do so while a part still comes, which would
   * write its file into the directory after it was removed: it is cut off first.
   */
  async end(upload: string): Promise<void> {
    checkId(upload)
    const coming = [...(this.#coming.get(upload) ?? [])]
    for (const part of coming) part.end()
    await Promise.all(coming.map(({ settled }) => settled))
    await rm(join(this.#options.directory, upload), { recursive: true, force: true })
  }

  /** What clients have left that went away. Never rejects. */
  async #removeOld(): Promise<void> {
    const { directory, clock, log } = this.#options
    try {
      for (const name of await readdir(directory)) {
        const path = join(directory, name)
        const { mtimeMs } = await stat(path)
        if (UPLOAD_ID.test(name) && clock.wall() - mtimeMs > KEPT_MS) {
          await rm(path, { recursive: true, force: true })
        }
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn('uploadsNotSwept', { error })
    }
  }
}

function checkId(upload: string): void {
  if (UPLOAD_ID.test(upload)) return
  throw new SqlError('invalid_parameter_value', `"${upload}" is no id of an upload`)
}

/** The parts that come on one connection, by their calls. */
export class IncomingParts {
  readonly #uploads: Uploads
  readonly #parts = new Map<number, UploadedPart>()

  constructor(uploads: Uploads) {
    this.#uploads = uploads
  }

  /** Resolves when the part is on disk. */
  async take(
    request: UploadRequest & { readonly call: number },
  ): Promise<{ readonly path: string }> {
    const { call } = request
    const part = this.#uploads.open(request)
    this.#parts.set(call, part)
    try {
      return { path: await part.path }
    } finally {
      this.#parts.delete(call)
    }
  }

  /** Frames of a part that has failed already are nobody's. */
  push(frame: Frame): void {
    this.#parts.get(frame.call)?.push(frame)
  }

  abandon(): void {
    for (const part of this.#parts.values()) part.end()
  }
}

/** One part while it comes. */
export class UploadedPart {
  readonly #directory: string
  readonly #request: UploadRequest
  readonly #temporary: string
  #work: Promise<FileHandle>
  #sequence = 0
  #bytes = 0
  readonly #ended = deferred<string>()
  #isEnding = false

  constructor(directory: string, request: UploadRequest) {
    this.#directory = directory
    this.#request = request
    // The same part may come on another connection, too, while this one is not known to be lost.
    this.#temporary = join(directory, `${request.part}-${randomHex(6)}.tmp`)
    this.#work = this.#create()
    // It is told by `path`.
    this.#work.catch(() => undefined)
  }

  /** Where the whole part lies, on disk. Fails with `io_error`, `disk_full`, `data_corrupted` or `protocol_violation`. */
  get path(): Promise<string> {
    return this.#ended.promise
  }

  /** Resolves when nothing of the part is under way any more, whatever came of it. */
  get settled(): Promise<void> {
    return this.#ended.promise.then(
      () => undefined,
      () => undefined,
    )
  }

  push(frame: Frame): void {
    const { sequence, crc, last } = frame
    const payload = Buffer.from(frame.payload)
    const isNext = sequence === this.#sequence++
    this.#bytes += payload.byteLength
    const isTooLong = this.#bytes > this.#request.bytes
    this.#work = this.#work.then(async (file) => {
      if (!isNext || isTooLong) {
        throw new SqlError(
          'protocol_violation',
          'a part of an upload is not what it was said to be',
        )
      }
      if (crc32(payload) !== crc) {
        throw new SqlError('data_corrupted', 'a frame of an upload was damaged on its way')
      }
      await file.appendFile(payload)
      return file
    })
    this.#work.catch(() => undefined)
    if (last || isTooLong || !isNext) this.end()
  }

  /** Nothing more comes: it is whole, or its client is gone. A whole part may be told so twice; it ends once. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#finish().then(this.#ended.resolve, this.#ended.reject)
  }

  async #create(): Promise<FileHandle> {
    await mkdir(this.#directory, { recursive: true })
    return open(this.#temporary, 'w')
  }

  async #finish(): Promise<string> {
    let file: FileHandle | undefined
    try {
      const whole = await this.#work
      file = whole
      if (this.#bytes !== this.#request.bytes) {
        throw new SqlError('protocol_violation', 'a part of an upload is cut off')
      }
      await whole.sync()
      const path = join(this.#directory, `${this.#request.part}.parquet`)
      await rename(this.#temporary, path)
      return path
    } catch (cause) {
      await rm(this.#temporary, { force: true }).catch(() => undefined)
      if (cause instanceof SqlError) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      throw code === 'ENOSPC' || code === 'EDQUOT'
        ? new SqlError('disk_full', 'there is no space left for rows to insert', { cause })
        : new SqlError('io_error', `rows to insert cannot be written: ${message}`, { cause })
    } finally {
      await file?.close().catch(() => undefined)
    }
  }
}
