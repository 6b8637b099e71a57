import type { Rows } from './run.ts'

/** Relative to the larger of both and one: parts are added in another order than the whole. */
const FLOAT_TOLERANCE = 1e-9

export interface Expectation {
  /** Output columns that the rows are ordered by, most significant first. */
  readonly ordered: readonly number[]
  /** False where LIMIT may have chosen among rows that the order does not tell apart. */
  readonly complete: boolean
}

/** What is different between the answers, as a sentence; undefined where nothing is. */
export function difference(wanted: Rows, got: Rows, expectation: Expectation): string | undefined {
  const [names, types] = [wanted.columns, got.columns].map((cs) =>
    cs.map((c) => `${c.name} ${c.type}`).join(', '),
  )
  if (names !== types) return `columns differ:\n  want ${names}\n  got  ${types}`
  if (wanted.rows.length !== got.rows.length) {
    return `want ${wanted.rows.length} rows, got ${got.rows.length}\n${sample(wanted, got)}`
  }
  const ordered = comparable(wanted, got, expectation.ordered)
  for (const [i, row] of wanted.rows.entries()) {
    const other = got.rows[i] ?? []
    const column = ordered.find((c) => !sameValue(row[c], other[c]))
    if (column !== undefined) {
      return `row ${i} is out of order in column ${column + 1}: want ${text(row[column])}, got ${text(other[column])}\n${sample(wanted, got)}`
    }
  }
  if (!expectation.complete) return undefined
  const missing = unmatched(wanted, got)
  return missing === undefined ? undefined : `no row like ${missing}\n${sample(wanted, got)}`
}

/**
 * The columns of an order up to the first one with floats that are not the same to the last bit: rows that are equal there
 * in one answer may not be in the other, and what is next in the order does not decide between them.
 */
function comparable(wanted: Rows, got: Rows, ordered: readonly number[]): readonly number[] {
  const first = ordered.findIndex((c) =>
    wanted.rows.some(
      (row, i) => typeof row[c] === 'number' && !Object.is(row[c], got.rows[i]?.[c]),
    ),
  )
  return first < 0 ? ordered : ordered.slice(0, first + 1)
}

/** A row of `wanted` that has no partner among `got`; each row is the partner of one only. */
function unmatched(wanted: Rows, got: Rows): string | undefined {
  const groups = new Map<string, (readonly unknown[])[]>()
  for (const row of got.rows) {
    const key = exactPart(row)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [row])
    else group.push(row)
  }
  for (const row of wanted.rows) {
    const group = groups.get(exactPart(row)) ?? []
    const index = group.findIndex((other) => row.every((value, i) => sameValue(value, other[i])))
    if (index < 0) return rowText(row)
    group.splice(index, 1)
  }
  return undefined
}

const exactPart = (row: readonly unknown[]): string =>
  row.map((value) => (typeof value === 'number' ? '' : text(value))).join('\u0000')

function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return text(a) === text(b)
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true
  const scale = Math.max(1, Math.abs(a), Math.abs(b))
  return Number.isFinite(scale) && Math.abs(a - b) <= FLOAT_TOLERANCE * scale
}

/** Kinds are told apart: the text '1', the number 1 and a NULL are three things. */
const text = (value: unknown): string =>
  value === null || value === undefined
    ? 'NULL'
    : typeof value === 'string'
      ? `'${value}'`
      : typeof value === 'object'
        ? `${value.constructor.name}:${String(value)}`
        : String(value)

const rowText = (row: readonly unknown[]): string => `(${row.map(text).join(', ')})`

const sample = (wanted: Rows, got: Rows): string =>
  [
    ...wanted.rows.slice(0, 8).map((row) => `  want ${rowText(row)}`),
    ...got.rows.slice(0, 8).map((row) => `  got  ${rowText(row)}`),
  ].join('\n')
