import { foldName, type TableRecord } from '@nyala/metastore'
import type { FieldSummary, PartitionField } from '../iceberg/partition-field.ts'
import { rangeOfSummary, type SummaryRange } from '../iceberg/summary-range.ts'
import { type Bound, compareBounds, type Domain, domainOf } from '../plan/estimate/bounds.ts'
import { knownValue } from '../plan/estimate/constants.ts'
import { type BoundsOfColumn, CAN_BE_TRUE, outcomesOf } from '../plan/estimate/outcomes.ts'
import type { Constant, Expression } from '../sql/ir.ts'
import { simpleType, type SqlType } from '../sql/sql-types.ts'
import { parseType } from '../sql/type-text.ts'
import type { ScanPredicate } from './scan-predicates.ts'

/** False where no row of a manifest's files can matter, as far as its summaries of their partitions tell. */
export type ManifestTest = (
  fields: readonly PartitionField[],
  summaries: readonly FieldSummary[],
) => boolean

/**
 * What predicates over a table, as they stand in the text, ask of a manifest; undefined where they ask nothing. Only forms
 * are read whose meaning does not depend on binding: a plain column of the table, compared with constants of its own kind.
 * All else may be true.
 */
export function manifestTest(
  predicates: readonly ScanPredicate[],
  table: { readonly alias: string; readonly columns: TableRecord['columns'] },
): ManifestTest | undefined {
  const columns = new Map(
    table.columns.map(({ name, type }) => [foldName(name), parseType(type)] as const),
  )
  const readable = predicates
    .map(({ expression, isMerged }) =>
      new Reader(columns, foldName(table.alias), isMerged).read(expression),
    )
    .filter((expression) => expression !== ANYTHING)
  if (readable.length === 0) return undefined
  return (fields, summaries) => {
    const ranges = rangesOf(fields, summaries)
    const boundsOf: BoundsOfColumn = (name) => {
      const [range, type] = [ranges.get(name), columns.get(name)]
      return range === undefined || type === undefined ? undefined : known(range, domainOf(type))
    }
    return readable.every((expression) => (outcomesOf(expression, boundsOf) & CAN_BE_TRUE) !== 0)
  }
}

/** By the names of columns, folded, what all fields together say of them. */
function rangesOf(
  fields: readonly PartitionField[],
  summaries: readonly FieldSummary[],
): ReadonlyMap<string, SummaryRange> {
  const found = new Map<string, SummaryRange>()
  // A list that tells of another number of fields tells of other fields.
  if (fields.length !== summaries.length) return found
  fields.forEach((field, i) => {
    const summary = summaries[i]
    const range = summary === undefined ? undefined : rangeOfSummary(field, summary)
    if (range === undefined || field.source === undefined) return
    const name = foldName(field.source.name)
    const before = found.get(name)
    found.set(name, before === undefined ? range : bothOf(before, range))
  })
  return found
}

function bothOf(a: SummaryRange, b: SummaryRange): SummaryRange {
  const of = (
    x: Bound | undefined,
    y: Bound | undefined,
    isNearer: (order: number) => boolean,
  ): Bound | undefined => {
    if (x === undefined || y === undefined) return x ?? y
    return isNearer(compareBounds(x, y)) ? x : y
  }
  return {
    nulls: a.nulls === 'some' ? b.nulls : a.nulls,
    min: of(a.min, b.min, (order) => order > 0),
    max: of(a.max, b.max, (order) => order < 0),
    excludes: (value) => a.excludes?.(value) === true || b.excludes?.(value) === true,
  }
}

/** In the form that outcomes are read from: a row stands for all of them. */
const known = (
  { min, max, nulls, excludes }: SummaryRange,
  domain: Domain | undefined,
): ReturnType<BoundsOfColumn> => ({
  bounds: {
    rows: 1,
    nulls: nulls === 'none' ? 0 : nulls === 'all' ? 1 : undefined,
    ...{ min, max, exact: false },
  },
  domain,
  excludes,
})

/** Stands for what is not read. */
const ANYTHING: Expression = { kind: 'column', path: [''] }

/** Reads the predicates of a text over one table; columns become their folded names. */
class Reader {
  readonly #columns: ReadonlyMap<string, SqlType>
  readonly #alias: string
  readonly #isMerged: boolean

  constructor(columns: ReadonlyMap<string, SqlType>, alias: string, isMerged: boolean) {
    this.#columns = columns
    this.#alias = alias
    this.#isMerged = isMerged
  }

  read(e: Expression): Expression {
    switch (e.kind) {
      case 'constant':
        return e
      case 'comparison':
        return this.#compared(e, e.left, [e.right]) ?? this.#mirrored(e) ?? ANYTHING
      case 'between':
        return this.#compared(e, e.operand, [e.lower, e.upper]) ?? ANYTHING
      case 'in':
        return this.#compared(e, e.operand, e.list) ?? ANYTHING
      case 'conjunction': {
        const operands = e.operands.map((operand) => this.read(operand))
        return operands.every((one) => one === ANYTHING) ? ANYTHING : { ...e, operands }
      }
      case 'not': {
        const operand = this.read(e.operand)
        return operand === ANYTHING ? ANYTHING : { ...e, operand }
      }
      case 'isTruth': {
        const operand = this.read(e.operand)
        return operand === ANYTHING ? ANYTHING : { ...e, operand }
      }
      case 'isNull': {
        const column = this.#column(e.operand)
        return column === undefined ? ANYTHING : { ...e, operand: column.reference }
      }
      case 'function': {
        const [operand, pattern] = e.args
        if (operand === undefined || pattern === undefined || e.args.length !== 2) return ANYTHING
        return this.#compared(e, operand, [pattern]) ?? ANYTHING
      }
      default:
        return ANYTHING
    }
  }

  #mirrored(e: Extract<Expression, { kind: 'comparison' }>): Expression | undefined {
    const swapped = this.#compared(e, e.right, [e.left])
    if (swapped?.kind !== 'comparison') return undefined
    return { ...e, left: swapped.right, right: swapped.left }
  }

  /** The expression with its column and its constants as they are compared; undefined where that is not known. */
  #compared(
    e: Extract<Expression, { kind: 'comparison' | 'between' | 'in' | 'function' }>,
    operand: Expression,
    constants: readonly Expression[],
  ): Expression | undefined {
    const column = this.#column(operand)
    if (column === undefined) return undefined
    const values = asCompared(constants, column.type)
    const [first, second] = values ?? []
    if (values === undefined || first === undefined) return undefined
    switch (e.kind) {
      case 'comparison':
        return { ...e, left: column.reference, right: first }
      case 'between':
        return second === undefined
          ? undefined
          : { ...e, operand: column.reference, lower: first, upper: second }
      case 'in':
        return { ...e, operand: column.reference, list: values }
      case 'function':
        return { ...e, args: [column.reference, first] }
    }
  }

  #column(e: Expression): { readonly reference: Expression; readonly type: SqlType } | undefined {
    if (e.kind !== 'column' || e.path.length > 2) return undefined
    const path = e.path.map(foldName)
    const name = path.at(-1) ?? ''
    if (path.length === 1 ? this.#isMerged : path[0] !== this.#alias) return undefined
    // `a.b` may be the field b of a column a.
    if (path.length === 2 && this.#columns.has(this.#alias)) return undefined
    const type = this.#columns.get(name)
    return type === undefined ? undefined : { reference: { kind: 'column', path: [name] }, type }
  }
}

/**
 * Constants as the kernel compares them with a column of this type; undefined where they are not of one kind, as then it
 * might cast the column, in whose own order the values do not lie. A literal text is of any kind.
 */
function asCompared(
  constants: readonly Expression[],
  type: SqlType,
): readonly Expression[] | undefined {
  const own = domainOf(type)
  if (own === undefined) return undefined
  const kinds = new Set<string>()
  const values = constants.map((constant) => {
    const value = knownValue(constant)
    if (value === undefined) return undefined
    if (value.value === null) return NULL
    const kind = isText(constant) ? 'literal' : (domainOf(value.type)?.kind ?? 'none')
    kinds.add(kind)
    const isCast =
      (kind === 'literal' && own.kind !== 'text') ||
      (kind === 'date' && own.kind === 'timestamp' && !own.zoned) ||
      (kind === 'integer' && own.kind === 'decimal')
    return isCast ? ({ kind: 'cast', operand: constant, type, try: false } as const) : constant
  })
  const found = values.filter((value) => value !== undefined)
  return found.length < values.length || kinds.size > 1 ? undefined : found
}

const isText = (e: Expression): boolean =>
  e.kind === 'constant' && e.type.kind === 'simple' && e.type.name === 'VARCHAR'

const NULL: Constant = { kind: 'constant', type: simpleType('NULL'), value: null }
