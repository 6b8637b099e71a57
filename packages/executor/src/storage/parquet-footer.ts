import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { SqlError } from '@nyala/client/protocol'
import { THRIFT, ThriftError, ThriftReader } from './thrift-reader.ts'

/** One read gets the footer of nearly every file. */
const TAIL_BYTES = 64 * 1024
/** Length of the footer and magic bytes, at the end of the file. */
const TRAILER_BYTES = 8
/** Magic bytes at the front and the trailer. */
const FILE_BYTES_MIN = 12
/** A footer has a few hundred bytes a column chunk; more than this is damage or misuse. */
const FOOTER_BYTES_MAX = 512 * 1024 * 1024

export interface ParquetFooter {
  readonly rows: number
  /** Rows and compressed bytes of each row group. */
  readonly rowGroups: readonly { readonly rows: number; readonly bytes: number }[]
  /** Names of the columns, those of nested fields left out. */
  readonly names: readonly string[]
  /** Equal for files whose schemas are equal byte by byte. */
  readonly fingerprint: string
}

/**
 * Reads the footer of an open file of `size` bytes. Fails with `data_corrupted` naming the file where it is empty, cut
 * off or no Parquet, and with `feature_not_supported` where it is encrypted.
 */
export async function readFooter(
  file: FileHandle,
  path: string,
  size: number,
): Promise<ParquetFooter> {
  if (size === 0) throw corrupted(path, 'is empty')
  if (size < FILE_BYTES_MIN) throw corrupted(path, `of ${size} bytes is too short for Parquet`)
  const tail = await readAt(
    file,
    path,
    size - Math.min(size, TAIL_BYTES),
    Math.min(size, TAIL_BYTES),
  )
  const trailer = tail.subarray(tail.byteLength - TRAILER_BYTES)
  checkMagic(path, trailer.toString('latin1', 4))
  const footerBytes = trailer.readUInt32LE(0)
  if (footerBytes === 0 || footerBytes > size - FILE_BYTES_MIN || footerBytes > FOOTER_BYTES_MAX) {
    throw corrupted(path, `of ${size} bytes cannot have a footer of ${footerBytes} bytes`)
  }
  const start = tail.byteLength - TRAILER_BYTES - footerBytes
  const footer =
    start >= 0
      ? tail.subarray(start, start + footerBytes)
      : await readAt(file, path, size - TRAILER_BYTES - footerBytes, footerBytes)
  try {
    return parseFooter(footer)
  } catch (cause) {
    if (!(cause instanceof ThriftError)) throw cause
    throw corrupted(path, `has a damaged footer: ${cause.message}`, cause)
  }
}

/** Parses the Thrift struct FileMetaData. */
export function parseFooter(footer: Uint8Array): ParquetFooter {
  const reader = new ThriftReader(footer)
  const hash = createHash('sha1')
  let rows = 0
  let names: readonly string[] = []
  const rowGroups: { readonly rows: number; readonly bytes: number }[] = []
  reader.struct((id, type) => {
    if (id === 2 && type === THRIFT.list) {
      const from = reader.at
      names = readSchema(reader)
      hash.update(footer.subarray(from, reader.at))
    } else if (id === 3 && type === THRIFT.i64) rows = reader.int()
    else if (id === 4 && type === THRIFT.list)
      reader.list(() => rowGroups.push(readRowGroup(reader)))
    else if (id === 5 && type === THRIFT.list) readKeyValues(reader, (key) => noteKey(hash, key))
    else reader.skip(type)
  })
  if (names.length === 0) throw new ThriftError('it has no columns')
  if (rows < 0) throw new ThriftError(`it says ${rows} rows`)
  return { rows, rowGroups, names, fingerprint: hash.digest('hex') }
}

/** Geometry columns are told from blobs only by this key. */
function noteKey(hash: { update(text: string): unknown }, key: string): void {
  if (key === 'geo') hash.update('geo')
}

/** The elements of the schema tree in pre-order; returns the names of the root's children. */
function readSchema(reader: ThriftReader): readonly string[] {
  const names: string[] = []
  /** Children still to come, of each open element; the root's list is opened by the first element. */
  const open: number[] = []
  let first = true
  reader.list(() => {
    const { name, children } = readSchemaElement(reader)
    if (first) {
      first = false
      open.push(children)
      return
    }
    while (open.length > 1 && open.at(-1) === 0) open.pop()
    if (open.length === 1) names.push(name)
    open[open.length - 1] = (open.at(-1) ?? 0) - 1
    if (children > 0) open.push(children)
  })
  return names
}

function readSchemaElement(reader: ThriftReader): {
  readonly name: string
  readonly children: number
} {
  let name = ''
  let children = 0
  reader.struct((id, type) => {
    if (id === 4 && type === THRIFT.binary) name = reader.text()
    else if (id === 5 && type === THRIFT.i32) children = reader.int()
    else reader.skip(type)
  })
  return { name, children }
}

function readRowGroup(reader: ThriftReader): { readonly rows: number; readonly bytes: number } {
  let rows = 0
  let columnBytes = 0
  let compressedBytes: number | undefined
  reader.struct((id, type) => {
    if (id === 1 && type === THRIFT.list)
      reader.list(() => (columnBytes += readColumnBytes(reader)))
    else if (id === 3 && type === THRIFT.i64) rows = reader.int()
    else if (id === 6 && type === THRIFT.i64) compressedBytes = reader.int()
    else reader.skip(type)
  })
  return { rows, bytes: Math.max(0, compressedBytes ?? columnBytes) }
}

/** total_compressed_size of the metadata of a column chunk. */
function readColumnBytes(reader: ThriftReader): number {
  let bytes = 0
  reader.struct((id, type) => {
    if (id !== 3 || type !== THRIFT.struct) return reader.skip(type)
    reader.struct((innerId, innerType) => {
      if (innerId === 7 && innerType === THRIFT.i64) bytes = reader.int()
      else reader.skip(innerType)
    })
  })
  return bytes
}

function readKeyValues(reader: ThriftReader, onKey: (key: string) => void): void {
  reader.list(() => {
    reader.struct((id, type) => {
      if (id === 1 && type === THRIFT.binary) onKey(reader.text())
      else reader.skip(type)
    })
  })
}

function checkMagic(path: string, magic: string): void {
  if (magic === 'PAR1') return
  if (magic === 'PARE') {
    throw new SqlError('feature_not_supported', `file "${path}" is encrypted Parquet`)
  }
  throw corrupted(path, 'is not Parquet, or was cut off: it does not end with "PAR1"')
}

async function readAt(file: FileHandle, path: string, at: number, bytes: number): Promise<Buffer> {
  const target = Buffer.allocUnsafe(bytes)
  const { bytesRead } = await file.read(target, 0, bytes, at)
  if (bytesRead === bytes) return target
  throw corrupted(path, `became shorter while it was read`)
}

const corrupted = (path: string, what: string, cause?: unknown): SqlError =>
  new SqlError('data_corrupted', `file "${path}" ${what}`, {
    hint: 'write it again, or move it out of the directory',
    cause,
  })
