import type { SegmentFiles, SegmentReader, SegmentWriter } from '@nyala/executor/testing'

/** The disk of a simulated machine: directories are the beginnings of the names of files. */
export class MemoryFiles implements SegmentFiles {
  readonly #files = new Map<string, Uint8Array>()
  /** Bytes that fit; more fail as on a full disk. */
  limitBytes: number = Number.POSITIVE_INFINITY
  #usedBytes = 0

  get paths(): readonly string[] {
    return [...this.#files.keys()]
  }

  put(path: string, bytes: Uint8Array): void {
    this.#usedBytes += bytes.length - (this.#files.get(path)?.length ?? 0)
    this.#files.set(path, bytes)
    if (this.#usedBytes > this.limitBytes) throw systemError('ENOSPC', path)
  }

  get(path: string): Uint8Array | undefined {
    return this.#files.get(path)
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve()
  }

  remove(path: string): Promise<void> {
    for (const [name, bytes] of this.#files) {
      if (name !== path && !name.startsWith(`${path}/`)) continue
      this.#files.delete(name)
      this.#usedBytes -= bytes.length
    }
    return Promise.resolve()
  }

  realPath(path: string): Promise<string> {
    const isThere = path === '/' || this.#files.has(path) || !path.endsWith('.parquet')
    return isThere ? Promise.resolve(path) : Promise.reject(systemError('ENOENT', path))
  }

  bytesBelow(directory: string): Promise<number> {
    let sum = 0
    for (const [name, bytes] of this.#files) if (name.startsWith(directory)) sum += bytes.length
    return Promise.resolve(sum)
  }

  open(path: string): Promise<SegmentReader> {
    const bytes = this.#files.get(path)
    if (bytes === undefined) return Promise.reject(systemError('ENOENT', path))
    return Promise.resolve({
      size: () => Promise.resolve(bytes.length),
      read(target: Uint8Array, position: number) {
        const part = bytes.subarray(position, position + target.length)
        target.set(part)
        return Promise.resolve(part.length)
      },
      close: () => Promise.resolve(),
    })
  }

  create(path: string): SegmentWriter {
    const parts: Uint8Array[] = []
    const put = (): void => this.put(path, Buffer.concat(parts))
    return {
      write: async (bytes) => {
        parts.push(Uint8Array.from(bytes))
        await Promise.resolve().then(put)
      },
      finish: () => Promise.resolve().then(put),
      abandon: () => Promise.resolve(),
    }
  }
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, syscall: 'simulated' })
}
