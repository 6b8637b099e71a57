import type { DataType } from 'apache-arrow'
import { SqlError } from '../protocol/errors.ts'
import type { Column } from '../protocol/messages.ts'
import { ownTable } from './foreign-arrow.ts'
import type { ArrowRows, InsertRow, InsertSource } from './insert.ts'
import { type ColumnBuilder, columnBuilder } from './insert-columns.ts'
import { shownValue, type WrongValue } from './nested-text.ts'

/** Rows as a stream of Arrow. */
export interface ArrowPart {
  readonly columns: readonly string[]
  readonly rows: number
  readonly stream: Uint8Array
}

type Arrow = typeof import('apache-arrow')
type RowName = (row: number) => string

/** Rows that are looked at together. */
const ROWS_TOGETHER = 256
/** A part is sent when it has so many bytes, however few its rows are: two are on their way, and one is made. */
const PART_BYTES = 16 * 1024 * 1024

/** Cuts what is inserted into parts of about `batchRows` rows. Fails with the row and the column of a wrong value. */
export async function* partsOf(
  source: InsertSource,
  columns: readonly Column[],
  { batchRows, rowName }: { readonly batchRows: number; readonly rowName: RowName },
): AsyncGenerator<ArrowPart> {
  const arrow = await import('apache-arrow')
  if (isArrow(source)) return yield* arrowParts(arrow, source, batchRows)
  let part = new RowPart(columns, { rowName, first: 1 })
  const next = (rows = 0): RowPart => new RowPart(columns, { rowName, first: part.end + rows })
  for await (const item of source) {
    if (isArrow(item)) {
      if (part.rows > 0) yield part.finish(arrow)
      yield* arrowParts(arrow, item, batchRows)
      part = next(item.numRows)
      continue
    }
    for (const row of Array.isArray(item) ? (item as readonly InsertRow[]) : [item as InsertRow]) {
      part.push(row)
      if (part.rows < batchRows && part.bytes < PART_BYTES) continue
      yield part.finish(arrow)
      part = next()
    }
  }
  if (part.rows > 0) yield part.finish(arrow)
}

function isArrow(value: unknown): value is ArrowRows {
  if (typeof value !== 'object' || value === null) return false
  return 'numRows' in value && 'schema' in value
}

function* arrowParts(arrow: Arrow, rows: ArrowRows, batchRows: number): Generator<ArrowPart> {
  const columns = rows.schema.fields.map(({ name }) => name)
  const whole = ownTable(arrow, rows)
  for (let at = 0; at < rows.numRows; at += batchRows) {
    const part = whole.slice(at, at + batchRows)
    yield { columns, rows: part.numRows, stream: arrow.tableToIPC(part, 'stream') }
  }
}

/** Rows while they become a part: some are gathered, then each column takes its values of them. */
class RowPart {
  readonly #columns: readonly Column[]
  readonly #builders: readonly ColumnBuilder[]
  readonly #known: ReadonlySet<string>
  readonly #rowName: RowName
  readonly #first: number
  #gathered: InsertRow[] = []
  #taken = 0
  /** What the rows take that were looked at. */
  bytes = 0

  constructor(
    columns: readonly Column[],
    { rowName, first }: { readonly rowName: RowName; readonly first: number },
  ) {
    this.#columns = columns
    this.#builders = columns.map(columnBuilder)
    this.#known = new Set(columns.map(({ name }) => name))
    this.#rowName = rowName
    this.#first = first
  }

  get rows(): number {
    return this.#taken + this.#gathered.length
  }

  /** The number of the row that comes next. */
  get end(): number {
    return this.#first + this.rows
  }

  push(row: InsertRow): void {
    this.#gathered.push(row)
    if (this.#gathered.length === ROWS_TOGETHER) this.#take()
  }

  #take(): void {
    const rows = this.#gathered
    const nameOf = (i: number): string => this.#rowName(this.#first + this.#taken + i)
    checkKeys(rows, this.#known, nameOf)
    this.bytes = 0
    this.#builders.forEach((builder, i) => {
      const column = this.#columns[i] as Column
      const values = rows.map((row) => row[column.name])
      const wrong = builder.append(values)
      if (wrong >= 0) {
        const { wrong: inner } = builder
        throw wrongValue(column, nameOf(wrong), { value: values[wrong], inner })
      }
      this.bytes += builder.bytes
    })
    this.#taken += rows.length
    this.#gathered = []
  }

  finish(arrow: Arrow): ArrowPart {
    this.#take()
    const children = this.#builders.map((builder) => builder.finish(arrow))
    const fields = this.#columns.map(
      ({ name }, i) => new arrow.Field(name, children[i]?.type as DataType, true),
    )
    const data = arrow.makeData({
      ...{ type: new arrow.Struct(fields), length: this.#taken, nullCount: 0 },
      children: children as never,
    })
    const table = new arrow.Table([new arrow.RecordBatch(new arrow.Schema(fields), data as never)])
    return {
      columns: this.#columns.map(({ name }) => name),
      rows: this.#taken,
      stream: arrow.tableToIPC(table, 'stream'),
    }
  }
}

/** What is no object, or has a key that is no column, most often a misspelt one, would be a row of NULLs. */
function checkKeys(
  rows: readonly InsertRow[],
  known: ReadonlySet<string>,
  nameOf: (row: number) => string,
): void {
  rows.forEach((row, i) => {
    if (Object(row) !== row || Array.isArray(row)) {
      const hint = 'a row is { column: value, … }'
      throw new SqlError('invalid_parameter_value', `${nameOf(i)} is no object`, { hint })
    }
    for (const key in row) {
      if (known.has(key)) continue
      throw new SqlError('undefined_column', `${nameOf(i)} has "${key}", which is no column`, {
        hint: `the columns are ${[...known].join(', ')}`,
      })
    }
  })
}

function wrongValue(
  { name, type }: Column,
  row: string,
  { value, inner }: { readonly value: unknown; readonly inner: WrongValue | undefined },
): SqlError {
  const message = inner?.message ?? `${shownValue(value)} is no ${type}`
  return new SqlError(
    inner?.error ?? 'invalid_text_representation',
    `${row}, column "${name}"${inner?.path ?? ''}: ${message}`,
    { hint: inner?.hint ?? 'nothing was inserted' },
  )
}
