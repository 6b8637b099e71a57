import { SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import { currentSchema, currentSpec, type TableMetadata } from '../iceberg/metadata.ts'
import type { Services } from '../server/services.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import type { LiteralInsert } from '../sql/front-end.ts'
import type { Literal } from '../sql/literal-rows.ts'
import { isEncodable } from './append-encoder.ts'
import { GROUP_TEXT_MAX } from './append-group.ts'
import { placesOf } from './assignment.ts'
import { namedColumn } from './assigned-value.ts'
import { isOfValue } from './failed-row.ts'
import { fingerprintOf } from './fingerprint.ts'

const NUMBERS = /^(?:INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL\(.*)$/

/** INSERT of a few literal rows, which needs no plan and no executor. */
export class AppendStatement {
  readonly #services: Services
  readonly #tables: TableVerbs

  constructor(services: Services, tables: TableVerbs) {
    this.#services = services
    this.#tables = tables
  }

  /** Undefined where it must be run, or its error told, as any other INSERT; then nothing was done. */
  async insert(
    statement: LiteralInsert,
    context: StatementContext,
  ): Promise<StatementOutcome | undefined> {
    const { manifests, appends } = this.#services
    const table = this.#tables.table(statement.table, context)
    if (table.kind !== 'managed' || statement.overwrite) return undefined
    if (statement.partition !== undefined) return undefined
    if (!isPlain(await manifests.iceberg.metadata(table))) return undefined
    const rows = rowsText(statement, table, context.sql)
    if (rows === undefined) return undefined
    const end = await appends.append(table, {
      identity: { id: context.statementId, fingerprint: fingerprintOf(context) },
      text: { rows, timeZone: context.settings.get('timezone') },
      schemaVersion: table.schemaVersion,
      notices: [...context.notices],
      ...{ signal: context.signal, patience: context.patience },
      commit: context.commit,
    })
    switch (end.kind) {
      case 'done':
        return {
          ...{ command: 'INSERT', rows: end.rows, revision: end.revision },
          profile: { reason: 'literal rows are written by the coordinator', ...end.steps },
        }
      case 'repeated': {
        const { command, rows: first, notices } = end.outcome
        context.notices.push(...notices)
        const { revision } = end
        return { command, revision, ...(first === null ? {} : { rows: first }) }
      }
      case 'unfit':
        context.commit.begun = false
        return undefined
    }
  }

  /** The error of an INSERT, with the row and the column that it is about where its rows are written out. Never rejects. */
  async located(error: unknown, context: StatementContext): Promise<unknown> {
    if (!isOfValue(error)) return error
    const { frontEnd, mirror } = this.#services
    const insert = frontEnd.literalInsert(context.sql, { dialect: context.settings.dialect })
    if (insert === undefined) return error
    const table = this.#tables.table(insert.table, context)
    const { rows, columns } = insert
    const at = { table, columns, at: insert.table.at, text: context.sql }
    const places = placesIn(rows[0]?.length ?? 0, at)
    const timezone = context.settings.get('timezone')
    const failureOf = (expression: string): Promise<unknown> =>
      mirror.constant(expression, timezone).then(
        () => undefined,
        (failure: unknown) => failure,
      )
    for (const [i, row] of rows.entries()) {
      const cells = cellsOf(row, table, places ?? [])
      const missing = table.columns.find((column, j) => column.notNull && isNull(row, places?.[j]))
      if (missing !== undefined) {
        const what = `row ${i + 1}, ${namedColumn(missing)} must not be NULL`
        return new SqlError('not_null_violation', what, { cause: error })
      }
      if (!isOfValue(await failureOf(`ROW(${cells.join(', ')})`))) continue
      for (const [j, { name, type }] of table.columns.entries()) {
        const failure = await failureOf(cells[j] ?? 'NULL')
        if (!isOfValue(failure)) continue
        const what = `row ${i + 1}, ${namedColumn({ name, type })}: ${failure.message}`
        const known = error.error === 'not_null_violation' ? failure.error : error.error
        return new SqlError(known, what, { hint: error.hint, cause: error })
      }
    }
    return error
  }
}

/** The values of a row as the table's columns have them. Pure. */
const cellsOf = (
  row: readonly Literal[],
  { columns }: Pick<TableRecord, 'columns'>,
  places: readonly (number | undefined)[],
): readonly string[] =>
  columns.map(({ type }, i) => {
    const place = places[i]
    return `CAST(${place === undefined ? 'NULL' : (row[place]?.sql ?? 'NULL')} AS ${type})`
  })

/** A column that is left out is NULL too. */
const isNull = (row: readonly Literal[], place: number | undefined): boolean =>
  place === undefined || row[place]?.isNull !== false

/** Rows of it go into one file, in any order, and are of types that can be written here. */
function isPlain(metadata: TableMetadata): boolean {
  const order = metadata['sort-orders'].find(
    (one) => one['order-id'] === metadata['default-sort-order-id'],
  )
  return (
    currentSpec(metadata).fields.length === 0 &&
    (order?.fields.length ?? 0) === 0 &&
    isEncodable(currentSchema(metadata).fields)
  )
}

/**
 * The rows as the table's, each value cast to its column's type. Undefined where the columns do not agree with the
 * table's, where one is NULL that must not be, and where the values of a column, taken together, are of another type than each by itself. Pure.
 */
export function rowsText(
  statement: Pick<LiteralInsert, 'rows' | 'columns' | 'table'>,
  table: Pick<TableRecord, 'name' | 'columns'>,
  text: string,
): readonly string[] | undefined {
  const { rows, columns } = statement
  const places = placesIn(rows[0]?.length ?? 0, { table, columns, at: statement.table.at, text })
  if (places === undefined) return undefined
  const isUniform = table.columns.every(({ type, notNull }, i) => {
    const place = places[i]
    if (notNull === true && rows.some((row) => isNull(row, place))) return false
    return (
      place === undefined ||
      areAlike(
        rows.map((row) => row[place]),
        type,
      )
    )
  })
  if (!isUniform) return undefined
  let length = 0
  const texts = rows.map((row) => {
    const rendered = `(${cellsOf(row, table, places).join(', ')})`
    length += rendered.length
    return rendered
  })
  return length > GROUP_TEXT_MAX ? undefined : texts
}

/** What is wrong with them is told where they are bound. */
function placesIn(
  found: number,
  target: Parameters<typeof placesOf>[1],
): ReturnType<typeof placesOf> | undefined {
  try {
    return placesOf(found, target)
  } catch (error) {
    if (error instanceof SqlError) return undefined
    throw error
  }
}

/**
 * A list of values is of one type, which is that of each where they are of one kind, or only one. Where texts are among
 * others, and of VARCHAR, each is one of the column by itself anyway.
 */
function areAlike(values: readonly (Literal | undefined)[], type: string): boolean {
  if (values.length === 1 || type === 'VARCHAR') return true
  const kinds = new Set(
    values.flatMap((value) => {
      if (value === undefined || value.of === 'null') return []
      return [value.type ?? value.of]
    }),
  )
  if (kinds.size > 1) return kinds.has('text')
  return !kinds.has('decimal') || NUMBERS.test(type)
}
