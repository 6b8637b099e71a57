import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

/** Bytes read at once. */
const READ_BYTES = 1024 * 1024
/** Files whose checksum is known to be right, so that each is read for it once in the life of an executor. */
const CHECKED_MAX = 100_000

/** The end of the name of a file of a managed table: the CRC-32 of its bytes. */
const NAMED = /-([0-9a-f]{8})\.parquet$/

/** The checksum that the name of a file says; undefined for files of others. */
export function namedChecksum(path: string): number | undefined {
  const hex = NAMED.exec(path)?.[1]
  return hex === undefined ? undefined : Number.parseInt(hex, 16)
}

/** Which files of managed tables have been found to be as they were written. */
export class FileChecksums {
  /** By path, with what changes when the file does. */
  readonly #checked = new Map<string, string>()

  /** True where the file was found right, and has not been written to since, as far as `state` tells. */
  isKnown(path: string, state: string): boolean {
    return this.#checked.get(path) === state
  }

  /** The checksum of a file's bytes; rejects with the error of the file system. */
  async compute(path: string): Promise<number> {
    const file = await open(path, 'r')
    try {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      let crc = 0
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
        if (bytesRead === 0) return crc
        crc = crc32(buffer.subarray(0, bytesRead), crc)
      }
    } finally {
      await file.close()
    }
  }

  remember(path: string, state: string): void {
    this.#checked.delete(path)
    this.#checked.set(path, state)
    if (this.#checked.size <= CHECKED_MAX) return
    const oldest = this.#checked.keys().next()
    if (oldest.done !== true) this.#checked.delete(oldest.value)
  }
}
