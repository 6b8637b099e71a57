import { isMutant } from '@nyala/client/base'
import { type Column, type ErrorName, SqlError } from '@nyala/client/protocol'
import { MORE_THAN_ONE_ROW, readRefusedValue } from '../protocol/refused-value.ts'
import { columnAt } from './failed-cast.ts'

/** What the kernel said: its class of error and its message without that prefix. */
interface KernelComplaint {
  readonly type: string
  readonly subtype: string
  readonly message: string
  /** Bytes of the statement before what it is about, where the kernel knows. */
  readonly position?: number
}

/**
 * The error of the kernel as one of ours. Understands both forms in which the kernel reports: JSON (as our kernels are
 * set) and `Conversion Error: …` (as a plain instance in the same process does). A {@link SqlError} is returned as it is.
 */
export function toSqlError(error: unknown): SqlError {
  if (error instanceof SqlError) return error
  const ofSystem = fromSystemError(error)
  if (ofSystem !== undefined) return ofSystem
  const text = error instanceof Error ? error.message : String(error)
  const complaint = parseComplaint(text)
  const refused =
    complaint.type === 'Invalid Input' ? readRefusedValue(complaint.message) : undefined
  if (refused !== undefined) return new SqlError(refused.name, refused.message, { cause: error })
  const [first = '', ...rest] = complaint.message.split('\n')
  // What else the kernel says of it is advice on a setting of its own.
  if (first.startsWith(MORE_THAN_ONE_ROW)) return subqueryError(error)
  const known = nameOf(complaint)
  const name = known === 'disk_full' && isMutant('no-spill-errors') ? 'io_error' : known
  const isFullDisk = name === 'disk_full' && complaint.type === 'IO'
  const hint = isFullDisk ? 'make room on the disk of this file' : HINTS[name]
  // Where we have advice of our own, the kernel's would only name settings that cannot be reached.
  const detail = hint === undefined ? rest.join('\n').trim() : ''
  return new SqlError(name, lowerFirst(first.trim()) || 'the kernel gave no reason', {
    ...(detail === '' ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  })
}

const subqueryError = (cause: unknown): SqlError =>
  new SqlError('cardinality_violation', lowerFirst(MORE_THAN_ONE_ROW), {
    hint: 'let it return at most one: an aggregate, or ORDER BY … LIMIT 1; IN and EXISTS take several',
    cause,
  })

/** What Node says of a file or process: no word of the kernel's, and nothing is wrong with the statement. */
function fromSystemError(error: unknown): SqlError | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT'
  return new SqlError(isFull ? 'disk_full' : 'io_error', error.message, { cause: error })
}

/** The error of a task that failed outside of a kernel: what nobody foresaw is `internal_error`. */
export function toTaskError(error: unknown): SqlError {
  if (error instanceof SqlError) return error
  const text = error instanceof Error ? error.message : String(error)
  return fromSystemError(error) ?? new SqlError('internal_error', text, { cause: error })
}

/**
 * The error of a statement whose rows a table takes, with the column whose value does not fit, where the kernel tells which
 * cast failed. Most are refused with their column by the statement itself; values within values are not.
 */
export function toColumnError(error: unknown, sql: string, columns: readonly Column[]): unknown {
  if (!(error instanceof Error) || error instanceof SqlError) return error
  const { type, position } = parseComplaint(error.message)
  if (type !== 'Conversion' || position === undefined) return error
  const name = columnAt(sql, position, new Set(columns.map((column) => column.name)))
  const column = columns.find((one) => one.name === name)
  if (column === undefined) return error
  const told = toSqlError(error)
  const where = `column "${column.name}" of type ${column.type}`
  return new SqlError(told.error, `${where}: ${told.message}`, { cause: error })
}

/**
 * An error of the directory that this kernel spills to is one of its machine: another executor may do better. To the kernel
 * it is a file like those that queries read.
 */
export function toSpillError(error: SqlError, directory: string): SqlError {
  const isOther = !error.message.includes(directory) || error.error === 'disk_full'
  if (isOther || isMutant('no-spill-errors')) return error
  return new SqlError(
    'io_error',
    `what was too much for memory cannot be spilled: ${error.message}`,
    {
      hint: 'see to the directory of the executor (--dir), or raise SET mem_limit to spill less',
      cause: error,
    },
  )
}

/** True where the kernel refuses all further work after this error and must be replaced. */
export function endsKernel(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof SqlError) return false
  return parseComplaint(error.message).type === 'FATAL'
}

function parseComplaint(text: string): KernelComplaint {
  const fromJson = parseJsonComplaint(text)
  if (fromJson !== undefined) return fromJson
  const plain = /^(?:Error: )?([A-Za-z][A-Za-z ]*?) Error: ([^]*)$/.exec(text)
  if (plain === null) return { type: '', subtype: '', message: text }
  return { type: plain[1] ?? '', subtype: '', message: plain[2] ?? '' }
}

function parseJsonComplaint(text: string): KernelComplaint | undefined {
  const start = text.indexOf('{"exception_type"')
  if (start < 0) return undefined
  try {
    const value = JSON.parse(text.slice(start)) as Readonly<Record<string, unknown>>
    const position = Number(value['position'])
    return {
      ...(Number.isSafeInteger(position) ? { position } : {}),
      type: String(value['exception_type'] ?? ''),
      subtype: String(value['error_subtype'] ?? ''),
      message: String(value['exception_message'] ?? ''),
    }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const lowerFirst = (text: string): string => {
  // An acronym stays as it is.
  if (/^[A-Z]{2}/.test(text)) return text
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function nameOf(complaint: KernelComplaint): ErrorName {
  const { message } = complaint
  switch (complaint.type) {
    case 'Out of Memory':
      return isSpillLimit(message) ? 'disk_full' : 'out_of_memory'
    case 'Conversion':
      return OUT_OF_RANGE.test(message)
        ? 'numeric_value_out_of_range'
        : 'invalid_text_representation'
    case 'Out of Range':
      return 'numeric_value_out_of_range'
    case 'Divide by Zero':
      return 'division_by_zero'
    case 'Decimal':
    case 'Object Size':
    case 'Sequence':
      return 'data_exception'
    case 'Mismatch Type':
    case 'Invalid type':
    case 'Unknown Type':
      return 'datatype_mismatch'
    case 'Parser':
    case 'Syntax':
      return 'syntax_error'
    case 'Binder':
      return binderName(complaint)
    case 'Catalog':
      return catalogName(complaint)
    case 'IO':
      return ioName(message)
    case 'Permission':
      return 'insufficient_privilege'
    case 'INTERRUPT':
    case 'Interrupt':
      return 'query_canceled'
    case 'Not implemented':
    case 'Missing Extension':
    case 'Autoload':
      return 'feature_not_supported'
    case 'Invalid Input':
      return invalidInputName(message)
    case 'Constraint':
    case 'Expression':
      return 'data_exception'
    case 'Settings':
    case 'Invalid Configuration':
    case 'Parameter Not Resolved':
    case 'Parameter Not Allowed':
      return 'invalid_parameter_value'
    case 'Serialization':
      return 'data_corrupted'
    case 'FATAL':
      return 'kernel_crashed'
  }
  // Damage to a footer is reported without a class.
  return DAMAGE.test(message) ? 'data_corrupted' : 'internal_error'
}

const OUT_OF_RANGE =
  /^(?!date|time).*out of range|overflow|^could not cast value|can't be cast because/i
const BAD_FILE =
  /no magic bytes|not a parquet file|too small to be a parquet|invalid parquet|parquet file.*(corrupt|damaged|invalid)/i
const DAMAGE =
  /corrupt|truncated|snappy|lz4|zstd|gzip|decompress|checksum|thrift|don't know what type|out of buffer|read beyond|footer/i
const NO_FILE = /no files found|no such file|cannot open file|could not open file|does not exist/i
const NO_SPACE = /no space left|disk full/i

const isSpillLimit = (message: string): boolean =>
  /max_temp_directory_size|failed to offload data block|temporary directory|no space left/i.test(
    message,
  )

function binderName({ subtype, message }: KernelComplaint): ErrorName {
  const isUnknown = /referenced (?:column|table)|does not have a column/i.test(message)
  if (subtype === 'COLUMN_NOT_FOUND' || isUnknown) return 'undefined_column'
  if (/ambiguous reference/i.test(message)) return 'ambiguous_column'
  if (/must appear in the group by|aggregate|window functions are not allowed/i.test(message)) {
    return 'grouping_error'
  }
  if (subtype === 'NO_MATCHING_FUNCTION' || /no function matches/i.test(message)) {
    return 'undefined_function'
  }
  if (/cannot compare|cannot mix values|conversion|cast/i.test(message)) return 'datatype_mismatch'
  return 'binder_error'
}

function catalogName({ message }: KernelComplaint): ErrorName {
  if (/function with name/i.test(message)) return 'undefined_function'
  if (/table with name|view with name/i.test(message)) return 'undefined_table'
  if (/schema with name|database/i.test(message)) return 'undefined_database'
  return 'undefined_object'
}

function ioName(message: string): ErrorName {
  // Of a file that is there; elsewhere it can be opened.
  if (/too many open files/i.test(message)) return 'io_error'
  if (NO_SPACE.test(message)) return 'disk_full'
  if (NO_FILE.test(message)) return 'undefined_file'
  return BAD_FILE.test(message) || DAMAGE.test(message) ? 'data_corrupted' : 'io_error'
}

function invalidInputName(message: string): ErrorName {
  if (BAD_FILE.test(message)) return 'data_corrupted'
  if (/cannot prepare multiple statements/i.test(message)) return 'feature_not_supported'
  if (/configuration has been locked/i.test(message)) return 'insufficient_privilege'
  if (/maximum.*expression depth|expression depth limit/i.test(message))
    return 'statement_too_complex'
  return 'data_exception'
}

const HINTS: Readonly<Partial<Record<ErrorName, string>>> = {
  out_of_memory: 'raise the limit with SET mem_limit, or read fewer columns and rows at once',
  disk_full:
    'start the executors with a higher --spill-limit, or raise SET mem_limit to spill less',
  data_corrupted: 'write the file again, or take it out of the table and REFRESH it',
  undefined_file: 'where the file went away after it was listed, REFRESH the table',
}
