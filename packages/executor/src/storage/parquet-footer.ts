import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { SqlError } from '@nyala/client/protocol'
import {
  type ChunkStatistics,
  type Family,
  familyOfElement,
  type LeafElement,
  type LogicalAnnotation,
  readStatistics,
  trustedStatistics,
} from './column-statistics.ts'
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
  /** For each of `names` what its chunks say, one for each row group; undefined for nested columns. */
  readonly columns: readonly (FooterColumn | undefined)[]
  /** Bytes of the footer itself, for whoever keeps it. */
  readonly bytes: number
  /** Equal for files whose schemas are equal byte by byte. */
  readonly fingerprint: string
}

export interface FooterColumn {
  readonly family: Family | undefined
  readonly chunks: readonly ChunkStatistics[]
  /** Compressed, of all row groups. */
  readonly bytes: number
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
  let schema: FileSchema = { names: [], leaves: [] }
  const rowGroups: { readonly rows: number; readonly bytes: number }[] = []
  const columns: Mutable<FooterColumn>[] = []
  reader.struct((id, type) => {
    if (id === 2 && type === THRIFT.list) {
      const from = reader.at
      schema = readSchema(reader)
      hash.update(footer.subarray(from, reader.at))
    } else if (id === 3 && type === THRIFT.i64) rows = reader.int()
    else if (id === 4 && type === THRIFT.list) {
      // The schema comes before the row groups, as fields come in the order of their numbers.
      for (const leaf of schema.leaves)
        columns.push({ family: familyOf(leaf), chunks: [], bytes: 0 })
      reader.list(() => rowGroups.push(readRowGroup(reader, schema, columns)))
    } else if (id === 5 && type === THRIFT.list) readKeyValues(reader, (key) => noteKey(hash, key))
    else reader.skip(type)
  })
  const { names } = schema
  if (names.length === 0) throw new ThriftError('it has no columns')
  if (rows < 0) throw new ThriftError(`it says ${rows} rows`)
  return {
    rows,
    rowGroups,
    names,
    columns: topLevel(schema, columns, rowGroups.length),
    bytes: footer.byteLength,
    fingerprint: hash.digest('hex'),
  }
}

type Mutable<T extends FooterColumn> = Pick<T, 'family'> & {
  readonly chunks: ChunkStatistics[]
  bytes: number
}

interface Leaf {
  readonly element: LeafElement
  /** Index of the column of the table that it is; undefined where it is but a part of one. */
  readonly column: number | undefined
}

interface FileSchema {
  /** Names of the root's children. */
  readonly names: readonly string[]
  /** In the order of the chunks of a row group. */
  readonly leaves: readonly Leaf[]
}

const familyOf = (leaf: Leaf): Family | undefined =>
  leaf.column === undefined ? undefined : familyOfElement(leaf.element)

/** Columns that are leaves themselves, where every row group says something of each. */
function topLevel(
  { names, leaves }: FileSchema,
  columns: readonly FooterColumn[],
  rowGroups: number,
): readonly (FooterColumn | undefined)[] {
  const found: (FooterColumn | undefined)[] = names.map(() => undefined)
  leaves.forEach(({ column }, i) => {
    if (column !== undefined && columns[i]?.chunks.length === rowGroups) found[column] = columns[i]
  })
  return found
}

/** Geometry columns are told from blobs only by this key. */
function noteKey(hash: { update(text: string): unknown }, key: string): void {
  if (key === 'geo') hash.update('geo')
}

/** The elements of the schema tree in pre-order. */
function readSchema(reader: ThriftReader): FileSchema {
  const names: string[] = []
  const leaves: Leaf[] = []
  /** Children still to come, of each open element; the root's list is opened by the first element. */
  const open: number[] = []
  let first = true
  reader.list(() => {
    const { name, children, element } = readSchemaElement(reader)
    if (first) {
      first = false
      open.push(children)
      return
    }
    while (open.length > 1 && open.at(-1) === 0) open.pop()
    const isTop = open.length === 1
    if (isTop) names.push(name)
    open[open.length - 1] = (open.at(-1) ?? 0) - 1
    if (children > 0) open.push(children)
    else leaves.push({ element, column: isTop ? names.length - 1 : undefined })
  })
  return { names, leaves }
}

function readSchemaElement(reader: ThriftReader): {
  readonly name: string
  readonly children: number
  readonly element: LeafElement
} {
  let name = ''
  let children = 0
  let logical: LogicalAnnotation | undefined
  const numbers: (number | undefined)[] = []
  reader.struct((id, type) => {
    if (id === 4 && type === THRIFT.binary) name = reader.text()
    else if (id === 5 && type === THRIFT.i32) children = reader.int()
    else if (id === 10 && type === THRIFT.struct) logical = readLogicalType(reader)
    else if (type === THRIFT.i32) numbers[id] = reader.int()
    else reader.skip(type)
  })
  const element = {
    physical: numbers[1],
    repetition: numbers[3] ?? 0,
    converted: numbers[6],
    scale: numbers[7] ?? 0,
    logical,
  }
  return { name, children, element }
}

/** The union LogicalType; of its variants only what tells values apart. */
function readLogicalType(reader: ThriftReader): LogicalAnnotation | undefined {
  let found: LogicalAnnotation | undefined
  reader.struct((variant, type) => {
    if (type !== THRIFT.struct) return reader.skip(type)
    const read = { id: variant, scale: 0, utc: false, unit: 0, signed: false }
    const isTime = variant === 7 || variant === 8
    reader.struct((id, fieldType) => {
      if (fieldType === THRIFT.true || fieldType === THRIFT.false) {
        if (isTime && id === 1) read.utc = fieldType === THRIFT.true
        if (variant === 10 && id === 2) read.signed = fieldType === THRIFT.true
      } else if (variant === 5 && id === 1 && fieldType === THRIFT.i32) read.scale = reader.int()
      else if (isTime && id === 2 && fieldType === THRIFT.struct) {
        reader.struct((unit, unitType) => {
          read.unit = unit
          reader.skip(unitType)
        })
      } else reader.skip(fieldType)
    })
    found = read
  })
  return found
}

function readRowGroup(
  reader: ThriftReader,
  { leaves }: FileSchema,
  columns: readonly Mutable<FooterColumn>[],
): { readonly rows: number; readonly bytes: number } {
  let rows = 0
  let columnBytes = 0
  let compressedBytes: number | undefined
  let chunk = 0
  reader.struct((id, type) => {
    if (id === 1 && type === THRIFT.list)
      reader.list(() => {
        const column = columns[chunk]
        const bytes = readColumnChunk(reader, leaves[chunk], column)
        columnBytes += bytes
        if (column !== undefined) column.bytes += bytes
        chunk++
      })
    else if (id === 3 && type === THRIFT.i64) rows = reader.int()
    else if (id === 6 && type === THRIFT.i64) compressedBytes = reader.int()
    else reader.skip(type)
  })
  return { rows, bytes: Math.max(0, compressedBytes ?? columnBytes) }
}

/** Keeps what the metadata of a column chunk says of its values; returns its total_compressed_size. */
function readColumnChunk(
  reader: ThriftReader,
  leaf: Leaf | undefined,
  column: Mutable<FooterColumn> | undefined,
): number {
  let bytes = 0
  let raw: ReturnType<typeof readStatistics> | undefined
  const isTop = leaf?.column !== undefined
  reader.struct((id, type) => {
    if (id !== 3 || type !== THRIFT.struct) return reader.skip(type)
    reader.struct((innerId, innerType) => {
      if (innerId === 7 && innerType === THRIFT.i64) bytes = reader.int()
      else if (innerId === 12 && innerType === THRIFT.struct && isTop) raw = readStatistics(reader)
      else reader.skip(innerType)
    })
  })
  if (isTop && column !== undefined)
    column.chunks.push(trustedStatistics(raw, leaf.element, column.family))
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
