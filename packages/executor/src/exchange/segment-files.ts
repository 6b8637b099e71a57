import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, realpath, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { deferred } from '@nyala/client/base'

/** A file in the making. One that has failed is to be abandoned. */
export interface SegmentWriter {
  /** Resolves when more may come. */
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when all that came is in the file. */
  finish(): Promise<void>
  /** Stops writing; never fails. What there is of the file is for others to remove. */
  abandon(): Promise<void>
}

export interface SegmentReader {
  /** Bytes of the file. */
  size(): Promise<number>
  /** Fills `target` from its beginning with what the file has from `position` on; the number of bytes, 0 at its end. */
  read(target: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}

/** Where segments lie: a file system, or the memory of a simulation. Fails as Node does. */
export interface SegmentFiles {
  makeDirectory(path: string): Promise<void>
  /** A file, or a directory with all that is in it; one that is not there is no error. */
  remove(path: string): Promise<void>
  /** The path without links and dots. Fails where nothing is there. */
  realPath(path: string): Promise<string>
  /** Of the files below a directory; what goes away meanwhile counts nothing. */
  bytesBelow(directory: string): Promise<number>
  open(path: string): Promise<SegmentReader>
  /** A new file; that it cannot be made is shown by the first write. */
  create(path: string): SegmentWriter
}

export const diskFiles: SegmentFiles = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true })
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  realPath: (path) => realpath(path),
  async bytesBelow(directory) {
    const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(
      () => [],
    )
    let bytes = 0
    for (const entry of entries) {
      if (!entry.isFile()) continue
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      )
    }
    return bytes
  },
  async open(path) {
    const file = await open(path, 'r')
    return {
      size: async () => (await file.stat()).size,
      read: async (target, position) =>
        (await file.read(target, 0, target.byteLength, position)).bytesRead,
      close: () => file.close(),
    }
  },
  create: (path) => new DiskWriter(path),
}

class DiskWriter implements SegmentWriter {
  readonly #stream: ReturnType<typeof createWriteStream>

  constructor(path: string) {
    this.#stream = createWriteStream(path, { flags: 'wx' })
    // Shown by the writes that follow and by `finish`.
    this.#stream.on('error', () => undefined)
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#throwIfErrored()
    if (!this.#stream.write(bytes)) await once(this.#stream, 'drain')
  }

  async finish(): Promise<void> {
    // A stream that has failed has closed, and will not say so again.
    this.#throwIfErrored()
    this.#stream.end()
    await once(this.#stream, 'close')
  }

  async abandon(): Promise<void> {
    if (this.#stream.closed) return
    // What was still to be written is an error to the stream, which is of no interest here.
    const closed = deferred<undefined>()
    this.#stream.once('close', () => closed.resolve(undefined))
    this.#stream.destroy()
    await closed.promise
  }

  #throwIfErrored(): void {
    if (this.#stream.errored !== null) throw this.#stream.errored
  }
}
