import type { SqlError } from '../../protocol/errors.ts'
import type { Column } from '../../protocol/messages.ts'
import type { InsertRow } from '../../sdk/insert.ts'
import { type NestedType, nestedTypeOf } from '../../sdk/nested-type.ts'
import type { CopyFormat, CsvOptions } from './copy-command.ts'
import { badFile, CsvReader, type CsvRecord } from './csv-reader.ts'
import { JsonReader } from './json-reader.ts'

/** A row of a file, and the line that it begins in. */
export interface CopyRow {
  readonly line: number
  readonly row: InsertRow
}

export interface CopySource {
  readonly format: Exclude<CopyFormat, 'parquet'>
  readonly csv: CsvOptions
  readonly columns: readonly Column[]
}

/**
 * Rows of the pieces of a file in UTF-8: a list for each piece. Values are such as `insert` takes: texts are made those
 * booleans and numbers that they are. Fails with `bad_copy_file_format` and the line.
 */
export async function* copyRows(
  pieces: AsyncIterable<Uint8Array | string>,
  source: CopySource,
): AsyncGenerator<readonly CopyRow[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const reader = source.format === 'csv' ? csvRows(source) : jsonRows(source)
  let line = 1
  for await (const piece of pieces) {
    const rows = reader.push(
      decoded(decoder, typeof piece === 'string' ? Buffer.from(piece) : piece, line),
    )
    line = rows.at(-1)?.line ?? line
    yield rows
  }
  yield reader.push(decoded(decoder, undefined, line))
  yield reader.end()
}

function decoded(
  decoder: InstanceType<typeof TextDecoder>,
  piece: Uint8Array | undefined,
  line: number,
): string {
  try {
    return decoder.decode(piece, { stream: piece !== undefined })
  } catch {
    throw badFile(line, 'this line, or one of those after it, is not UTF-8')
  }
}

interface RowReader {
  push(text: string): readonly CopyRow[]
  end(): readonly CopyRow[]
}

function csvRows({ csv, columns }: CopySource): RowReader {
  const reader = new CsvReader(csv.delimiter)
  const values = columns.map(({ type }) => valueOf(type))
  let header = csv.header
  const rowsOf = (records: readonly CsvRecord[]): readonly CopyRow[] =>
    records.flatMap((record) => {
      if (header !== 'no') {
        if (header === 'match') checkHeader(record, columns)
        header = 'no'
        return []
      }
      checkWidth(record, columns)
      const row: Record<string, unknown> = {}
      record.fields.forEach(({ text, isQuoted }, i) => {
        const name = columns[i]?.name ?? ''
        row[name] = !isQuoted && text === csv.nullText ? null : values[i]?.(text)
      })
      return [{ line: record.line, row }]
    })
  return { push: (text) => rowsOf(reader.push(text)), end: () => rowsOf(reader.end()) }
}

function checkHeader({ line, fields }: CsvRecord, columns: readonly Column[]): void {
  const found = fields.map(({ text }) => text)
  const isSame =
    found.length === columns.length &&
    columns.every(({ name }, i) => name.toLowerCase() === found[i]?.toLowerCase())
  if (isSame) return
  const wanted = columns.map(({ name }) => name).join(', ')
  throw badFile(
    line,
    `the names are ${found.join(', ')}, and not ${wanted}`,
    'name the columns behind the table',
  )
}

function checkWidth({ line, fields }: CsvRecord, columns: readonly Column[]): void {
  if (fields.length === columns.length) return
  const what = `${fields.length} ${fields.length === 1 ? 'field' : 'fields'}, where there are ${columns.length} columns`
  const names = columns.map(({ name }) => name).join(', ')
  throw badFile(
    line,
    what,
    `the columns are ${names}; name those that the file has behind the table`,
  )
}

function jsonRows({ columns }: CopySource): RowReader {
  const reader = new JsonReader()
  const known = new Map(
    columns.map(({ name, type }) => [
      name.toLowerCase(),
      { name, value: valueOf(type), type: nestedTypeOf(type) },
    ]),
  )
  const rowsOf = (records: ReturnType<JsonReader['push']>): readonly CopyRow[] =>
    records.map(({ line, value }) => ({
      line,
      row: Object.fromEntries(
        Object.entries(value).map(([key, item]) => {
          const { name, value: of, type } = known.get(key.toLowerCase()) ?? { name: key }
          if (typeof item === 'string') return [name, of?.(item)]
          return [name, type === undefined ? item : jsonValue(item, type)]
        }),
      ),
    }))
  return { push: (text) => rowsOf(reader.push(text)), end: () => rowsOf(reader.end()) }
}

/** What a value of JSON is in a column: where that has nothing in it, the text of what is more. */
function jsonValue(item: unknown, type: NestedType): unknown {
  if (typeof item !== 'object' || item === null) return item
  switch (type.kind) {
    case 'scalar':
      return JSON.stringify(item)
    case 'list':
      return Array.isArray(item) ? item.map((one) => jsonValue(one, type.element)) : item
    case 'map':
      return withValues(item, () => type.value)
    case 'struct':
      return withValues(item, (name) => type.fields.get(name))
  }
}

const withValues = (item: object, typeOf: (name: string) => NestedType | undefined): object =>
  Array.isArray(item)
    ? item
    : Object.fromEntries(
        Object.entries(item).map(([name, one]) => {
          const type = typeOf(name)
          return [name, type === undefined ? (one as unknown) : jsonValue(one, type)]
        }),
      )

const TRUTHS = new Map<string, boolean>([
  ...['t', 'true', 'y', 'yes', 'on', '1'].map((text) => [text, true] as const),
  ...['f', 'false', 'n', 'no', 'off', '0'].map((text) => [text, false] as const),
])
const NUMBERS = new Map([
  ['nan', Number.NaN],
  ...['inf', '+inf', 'infinity', '+infinity'].map((text) => [text, Infinity] as const),
  ...['-inf', '-infinity'].map((text) => [text, -Infinity] as const),
])

/** What a text of the file is as a value of a type; the text itself where the cluster reads it. */
function valueOf(type: string): (text: string) => unknown {
  if (type === 'BOOLEAN') return (text) => TRUTHS.get(text.trim().toLowerCase()) ?? text
  if (type === 'FLOAT' || type === 'DOUBLE') {
    return (text) => NUMBERS.get(text.trim().toLowerCase()) ?? text
  }
  return (text) => text
}

/** Lines of the rows that were read last. */
export class RowLines {
  /** More than an insert gathers before it looks at their values. */
  static readonly #KEPT = 200_000
  #lines: number[] = []
  #first = 1

  add(rows: readonly CopyRow[]): void {
    for (const { line } of rows) this.#lines.push(line)
    if (this.#lines.length < 2 * RowLines.#KEPT) return
    const gone = this.#lines.length - RowLines.#KEPT
    this.#lines = this.#lines.slice(gone)
    this.#first += gone
  }

  name(row: number): string {
    const line = this.#lines[row - this.#first]
    return line === undefined ? `row ${row}` : `line ${line}`
  }
}

const REFUSED =
  /^(?:row \d+, )?column "((?:[^"]|"")*)" of type .*? (?:cannot hold "([^]*)"|must not be NULL)$/

/**
 * Whether a row is one of which the cluster tells such an error, which names column and value but no row. Undefined where
 * an error is about something else. Pure.
 */
export function refusedRow(error: SqlError): ((row: InsertRow) => boolean) | undefined {
  const found = REFUSED.exec(error.message)
  if (found === null) return undefined
  const name = (found[1] ?? '').replaceAll('""', '"')
  const shown = found[2]
  return (row) => {
    const value = row[name] ?? undefined
    if (shown === undefined || value === undefined)
      return shown === undefined && value === undefined
    // Of a long one the beginning is told.
    const text = String(value)
    return text === shown || [...text].slice(0, [...shown].length).join('') === shown
  }
}
