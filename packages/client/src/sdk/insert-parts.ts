import type { DataType, Table } from 'apache-arrow'
import { SqlError } from '../protocol/errors.ts'
import type { Column } from '../protocol/messages.ts'
import type { ArrowRows, InsertRow, InsertSource } from './insert.ts'
import { encodeParameters, type ParameterValue } from './parameters.ts'

/** Rows as a stream of Arrow. */
export interface ArrowPart {
  readonly columns: readonly string[]
  readonly rows: number
  readonly stream: Uint8Array
}

type Arrow = typeof import('apache-arrow')
type RowName = (row: number) => string

/** How the values of a column travel: numbers as such, everything else as the text that the kernel casts. */
interface ValueKind {
  readonly type: (arrow: Arrow) => DataType
  /** Undefined for what is no such value. */
  readonly of: (value: unknown) => unknown
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n }
const NUMBER = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i

const KINDS: Readonly<Record<'integer' | 'float' | 'boolean' | 'number' | 'text', ValueKind>> = {
  integer: { type: ({ Int64 }) => new Int64(), of: integerOf },
  float: {
    type: ({ Float64 }) => new Float64(),
    of: (value) => (typeof value === 'bigint' ? Number(value) : numberOf(value)),
  },
  boolean: {
    type: ({ Bool }) => new Bool(),
    of: (value) => (typeof value === 'boolean' ? value : undefined),
  },
  number: {
    type: ({ Utf8 }) => new Utf8(),
    of: (value) => {
      if (typeof value === 'bigint') return String(value)
      const number = numberOf(value)
      return number === undefined || !Number.isFinite(number) ? undefined : String(value).trim()
    },
  },
  text: { type: ({ Utf8 }) => new Utf8(), of: textOf },
}

function kindOf({ type }: Column): ValueKind {
  if (/^U?(?:TINY|SMALL|BIG)INT$|^U?INTEGER$/.test(type)) return KINDS.integer
  if (type === 'FLOAT' || type === 'DOUBLE') return KINDS.float
  if (type === 'BOOLEAN') return KINDS.boolean
  return type.startsWith('DECIMAL(') ? KINDS.number : KINDS.text
}

function integerOf(value: unknown): bigint | undefined {
  const isWhole =
    typeof value === 'bigint' ||
    (typeof value === 'number' && Number.isSafeInteger(value)) ||
    (typeof value === 'string' && /^\s*[-+]?\d{1,19}\s*$/.test(value))
  if (!isWhole) return undefined
  const whole = BigInt(value)
  return whole >= INT64.min && whole <= INT64.max ? whole : undefined
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && NUMBER.test(value) ? Number(value) : undefined
}

/** As a parameter's: the kernel casts it to the column's type. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const [encoded] = encodeParameters([value as ParameterValue])
  return encoded?.value ?? undefined
}

/** Cuts what is inserted into parts of about `batchRows` rows. Fails with the row and the column of a wrong value. */
export async function* partsOf(
  source: InsertSource,
  columns: readonly Column[],
  { batchRows, rowName }: { readonly batchRows: number; readonly rowName: RowName },
): AsyncGenerator<ArrowPart> {
  const arrow = await import('apache-arrow')
  if (isArrow(source)) return yield* arrowParts(arrow, source, batchRows)
  let rows: InsertRow[] = []
  let before = 0
  const flush = (): ArrowPart => {
    const start = before
    const part = partOfRows(arrow, columns, { rows, nameOf: (i) => rowName(start + i + 1) })
    before += rows.length
    rows = []
    return part
  }
  for await (const item of source) {
    if (isArrow(item)) {
      if (rows.length > 0) yield flush()
      yield* arrowParts(arrow, item, batchRows)
      before += item.numRows
      continue
    }
    for (const row of Array.isArray(item) ? (item as readonly InsertRow[]) : [item as InsertRow]) {
      rows.push(row)
      if (rows.length >= batchRows) yield flush()
    }
  }
  if (rows.length > 0) yield flush()
}

function isArrow(value: unknown): value is ArrowRows {
  if (typeof value !== 'object' || value === null) return false
  return 'numRows' in value && 'schema' in value
}

function* arrowParts(arrow: Arrow, rows: ArrowRows, batchRows: number): Generator<ArrowPart> {
  const table = 'batches' in rows ? (rows as unknown as Table) : undefined
  const columns = rows.schema.fields.map(({ name }) => name)
  const whole = table ?? new arrow.Table([rows as never])
  for (let at = 0; at < rows.numRows; at += batchRows) {
    const part = whole.slice(at, at + batchRows)
    yield { columns, rows: part.numRows, stream: arrow.tableToIPC(part, 'stream') }
  }
}

function partOfRows(
  arrow: Arrow,
  columns: readonly Column[],
  { rows, nameOf }: { readonly rows: readonly InsertRow[]; readonly nameOf: RowName },
): ArrowPart {
  const names = columns.map(({ name }) => name)
  checkKeys(rows, names, nameOf)
  const vectors = columns.map((column) => {
    const kind = kindOf(column)
    const values = rows.map((row, i) => {
      const value = row[column.name]
      if (value === null || value === undefined) return null
      const found = kind.of(value)
      if (found === undefined) throw wrongValue(column, nameOf(i), value)
      return found
    })
    return [column.name, arrow.vectorFromArray(values as never[], kind.type(arrow) as never)]
  })
  const table = new arrow.Table(Object.fromEntries(vectors) as never)
  return { columns: names, rows: rows.length, stream: arrow.tableToIPC(table, 'stream') }
}

/** A key that is no column is most often a misspelt one, whose values would all be NULL. */
function checkKeys(rows: readonly InsertRow[], names: readonly string[], nameOf: RowName): void {
  const known = new Set(names)
  rows.forEach((row, i) => {
    for (const key in row) {
      if (known.has(key)) continue
      throw new SqlError('undefined_column', `${nameOf(i)} has "${key}", which is no column`, {
        hint: `the columns are ${names.join(', ')}`,
      })
    }
  })
}

const wrongValue = ({ name, type }: Column, row: string, value: unknown): SqlError =>
  new SqlError(
    'invalid_text_representation',
    `${row}, column "${name}": ${shown(value)} is no ${type}`,
    { hint: 'nothing was inserted' },
  )

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`
  return typeof value === 'object' ? 'an object' : String(value)
}
