import { type ErrorName, positionAt, SqlError } from '@nyala/client/protocol'

/** Where a place in the text that the kernel saw lies in the text that the user wrote. */
export interface SourceMap {
  readonly text: string
  toUser(offset: number): number | undefined
}

interface KernelReport {
  readonly exception_type?: string
  readonly exception_message?: string
  readonly position?: string
  readonly error_subtype?: string
  readonly type?: string
  readonly name?: string
  readonly candidates?: string
}

const BY_TYPE: Readonly<Record<string, ErrorName>> = {
  Parser: 'syntax_error',
  Syntax: 'syntax_error',
  Binder: 'binder_error',
  Catalog: 'undefined_object',
  Conversion: 'invalid_text_representation',
  'Out of Range': 'numeric_value_out_of_range',
  'Invalid Input': 'invalid_parameter_value',
  'Invalid type': 'datatype_mismatch',
  'Mismatch Type': 'datatype_mismatch',
  'Out of Memory': 'out_of_memory',
  'Not implemented': 'feature_not_supported',
  Permission: 'insufficient_privilege',
  INTERRUPT: 'query_canceled',
  IO: 'io_error',
}

/** The error that the kernel of this process reported as JSON (`errors_as_json`), typed and placed. */
export function kernelError(error: unknown, source?: SourceMap): SqlError {
  if (error instanceof SqlError) return error
  const text = error instanceof Error ? error.message : String(error)
  const report = parseReport(text)
  if (report === undefined) return new SqlError('binder_error', text, { cause: error })
  const [message = '', ...rest] = (report.exception_message ?? text).split('\n')
  const offset = report.position === undefined ? undefined : source?.toUser(Number(report.position))
  return new SqlError(nameOf(report), lowerFirst(message), {
    position:
      offset === undefined || source === undefined ? undefined : positionAt(source.text, offset),
    hint: hintOf(report, rest),
    cause: error,
  })
}

function parseReport(text: string): KernelReport | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as KernelReport
  } catch {
    return undefined
  }
}

function nameOf(report: KernelReport): ErrorName {
  const message = report.exception_message ?? ''
  const subtype = report.error_subtype
  if (subtype === 'COLUMN_NOT_FOUND') return 'undefined_column'
  if (subtype === 'MISSING_ENTRY') {
    return /function/i.test(report.type ?? '') ? 'undefined_function' : 'undefined_table'
  }
  if (subtype === 'NO_MATCHING_FUNCTION') return 'undefined_function'
  if (/^Ambiguous reference/i.test(message)) return 'ambiguous_column'
  if (
    /must appear in the GROUP BY clause|aggregate/i.test(message) &&
    report.exception_type === 'Binder'
  ) {
    return 'grouping_error'
  }
  if (
    /^Referenced (column|table)|does not have a column named|not found in FROM clause/i.test(
      message,
    )
  ) {
    return 'undefined_column'
  }
  if (/^Cannot combine types/i.test(message)) return 'datatype_mismatch'
  if (/No function matches|Could not choose a best candidate/i.test(message))
    return 'undefined_function'
  if (
    /^Cannot (compare|mix|cast|combine)|type/i.test(message) &&
    report.exception_type === 'Binder'
  ) {
    return 'datatype_mismatch'
  }
  return BY_TYPE[report.exception_type ?? ''] ?? 'binder_error'
}

const HINT_LENGTH_MAX = 400

/** What the kernel adds below its first line, without the excerpt of the text it saw. */
function hintOf(report: KernelReport, rest: readonly string[]): string | undefined {
  const lines = rest.filter((line) => line.trim() !== '' && !/^LINE \d+:|^\s*\^$/.test(line))
  if (report.error_subtype === 'COLUMN_NOT_FOUND' && report.candidates !== undefined) {
    const names = report.candidates.split(',').map((name) => `"${name.trim().replaceAll('"', '')}"`)
    return `the nearest columns are ${names.slice(0, 3).join(', ')}`
  }
  const hint = lines.map((line) => line.trim()).join(' ')
  if (hint === '') return undefined
  // An operator has dozens of forms, which help nobody.
  return hint.length <= HINT_LENGTH_MAX ? hint : `${hint.slice(0, HINT_LENGTH_MAX)} …`
}

/** A message starts small, unless its first word is a name or all capitals. */
const lowerFirst = (message: string): string =>
  /^[A-Z][a-z]/.test(message) ? message.charAt(0).toLowerCase() + message.slice(1) : message
