import { positionAt, SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName, type TableRecord } from '@nyala/metastore'
import { isUnrepeatable, type KernelFunctions } from '../bind/functions.ts'
import { FILE_COLUMN, ROW_COLUMN } from '../plan/scan.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import type { BaseTable, Expression, Join, Select } from '../sql/ir.ts'
import { someNode } from '../sql/ir/tree.ts'
import { renderExpression, renderTableRef } from '../sql/renderer.ts'
import type { MergeClause, MergeStatement, ObjectName } from '../sql/statement.ts'
import { actionSql, givenSql, givenValue, type GivingClause } from './given-values.ts'
import { checkAssigned } from './row-change.ts'
import { PART, WHOLE } from './managed-table.ts'

/** A WHEN clause with its expressions as SQL. */
interface Clause extends GivingClause {
  readonly match: MergeClause['match']
}

/** What MERGE says, as SQL in parts. */
export interface Merge {
  readonly target: ObjectName
  /** The name that expressions know the target by. */
  readonly alias: string
  readonly source: string
  readonly condition: string
  readonly clauses: readonly Clause[]
}

/**
 * Reads the query of MERGE. Pure. Fails with `feature_not_supported` for windows and for functions that give another
 * value each time, as everything in it is computed in several places, and with `syntax_error`.
 */
export function mergeOf(
  statement: MergeStatement,
  context: { readonly text: string; readonly functions: KernelFunctions },
): Merge {
  const { query } = statement
  const refuse = (what: string, hint?: string): SqlError =>
    new SqlError('feature_not_supported', `${what} in MERGE is not supported`, {
      position: positionAt(context.text, statement.at),
      hint,
    })
  const { join, target, items } = parts(statement) ?? {}
  if (join?.condition === undefined || target === undefined || items === undefined) {
    throw refuse('a target or source of this form', 'write MERGE INTO t [AS a] USING s ON …')
  }
  if (isUnrepeatable(query, context.functions)) {
    throw refuse('a function that gives another value each time', 'give the value as a parameter')
  }
  if (someNode(items, ({ kind }) => kind === 'window')) throw refuse('a window function')
  const expressionAt = (item: number): Expression => {
    const expression = items[item]?.expression
    if (expression === undefined) throw refuse('a value that is none')
    return expression
  }
  const clauses = statement.clauses.map((clause, i): Clause => {
    const { match, action, condition, columns, values } = clause
    const names = columns?.map(({ name }) => foldName(name)) ?? values.map((_, k) => String(k))
    if (names.length !== values.length) {
      const message = `INSERT names ${names.length} columns and has ${values.length} values`
      throw new SqlError('syntax_error', message, { position: positionAt(context.text, clause.at) })
    }
    return {
      ...{ number: i + 1, match, action },
      condition:
        condition === undefined
          ? undefined
          : `CAST(${renderExpression(expressionAt(condition))} AS BOOLEAN)`,
      values: new Map(names.map((name, k) => [name, givenValue(expressionAt(values[k] ?? 0))])),
    }
  })
  return {
    target: { database: target.schema, name: target.table, at: statement.at },
    alias: target.alias ?? target.table,
    source: renderTableRef(join.right),
    condition: renderExpression(join.condition),
    clauses,
  }
}

function parts({ query }: MergeStatement):
  | {
      readonly join: Join
      readonly target: BaseTable
      readonly items: Select['items']
    }
  | undefined {
  if (query.kind !== 'select' || query.from?.kind !== 'join') return undefined
  const join = query.from
  const { left, right } = join
  if (left.kind !== 'table' || right.kind === 'join' || join.form !== 'regular') return undefined
  const isPlain =
    left.columnAliases.length === 0 && left.asOf === undefined && left.catalog === undefined
  const isWhole = query.where === undefined && query.ctes.length === 0 && left.sample === undefined
  if (!isPlain || !isWhole) return undefined
  return { join, target: left, items: query.items }
}

/** The clauses with the columns of the target. Fails with `undefined_column`, `duplicate_column` or `syntax_error`. */
export function resolveMerge(
  merge: Merge,
  statement: MergeStatement,
  { table, text }: { readonly table: TableRecord; readonly text: string },
): Merge {
  const clauses = merge.clauses.map((clause, i) => {
    const written = statement.clauses[i]
    if (written?.columns !== undefined) checkAssigned(table, written.columns, text)
    if (clause.action !== 'insert' || written?.columns !== undefined) return clause
    if (clause.values.size !== table.columns.length) {
      throw new SqlError(
        'syntax_error',
        `INSERT has ${clause.values.size} values, table "${table.name}" has ${table.columns.length} columns`,
        { position: positionAt(text, written?.at ?? 0) },
      )
    }
    const names = table.columns.map(({ name }) => foldName(name))
    const values = [...clause.values.values()].map((value, k) => [names[k] ?? '', value] as const)
    return { ...clause, values: new Map(values) }
  })
  return { ...merge, clauses }
}

/** The statements that a MERGE of a table is carried out by. Pure. */
export class MergeSql {
  readonly #table: TableRecord
  readonly #merge: Merge

  constructor(table: TableRecord, merge: Merge) {
    this.#table = table
    this.#merge = merge
  }

  get hasInserts(): boolean {
    return this.#clauses('notMatched').some(({ action }) => action === 'insert')
  }

  /** Whether a row that others add meanwhile might have been one of its own. */
  get isAboutAll(): boolean {
    return this.hasInserts || this.#clauses('notMatchedBySource').length > 0
  }

  /** Numbers of the clauses that delete. */
  get deletes(): ReadonlySet<number> {
    const deletes = this.#merge.clauses.filter(({ action }) => action === 'delete')
    return new Set(deletes.map(({ number }) => number))
  }

  /** What the expressions of a clause are read from: from the word FROM to the end. */
  from(match: MergeClause['match']): string {
    const { source, condition } = this.#merge
    if (match === 'notMatched') return `FROM ${source}`
    const target = `FROM ${this.#target(false)}`
    return match === 'matched' ? `${target} JOIN ${source} ON ${condition}` : target
  }

  /** Files, clauses, how many rows of the file each is for, and by how many rows of the source one of them is meant. */
  touched(): string {
    const changes = this.#changes([], false)
    return (
      'SELECT f, a, count(*), max(n) FROM (SELECT f, r, max(a) AS a, count(*) AS n ' +
      `FROM (${changes}) AS "$changes" GROUP BY f, r) AS "$rows" GROUP BY f, a`
    )
  }

  /** How many rows are added. */
  insertedCount(): string {
    return `SELECT count(*) FROM (${this.#inserted([], new Map([['x', '1']]))}) AS "$inserted"`
  }

  /** The rows of the files in question as they are afterwards, and those that are added. */
  written(what: { readonly files: boolean; readonly inserts: boolean }): string {
    const queries = [
      ...(what.files ? [this.#kept()] : []),
      ...(what.inserts ? [this.#inserted(this.#table.columns, new Map())] : []),
    ]
    return queries.join(' UNION ALL ')
  }

  #clauses(match: MergeClause['match']): readonly Clause[] {
    return this.#merge.clauses.filter((clause) => clause.match === match)
  }

  #target(isWhole: boolean): string {
    return `${isWhole ? WHOLE : PART} AS ${quoteIdentifier(this.#merge.alias)}`
  }

  #column(name: string): string {
    return `${quoteIdentifier(this.#merge.alias)}.${quoteIdentifier(name)}`
  }

  /** Where rows lie that change, by which clause, and the new values of these columns. */
  #changes(columns: readonly ColumnRecord[], isWhole: boolean): string {
    const { source, condition } = this.#merge
    const one = (clauses: readonly Clause[], join: string): string => {
      const action = actionSql(clauses)
      const places = new Map([
        ['f', this.#column(FILE_COLUMN)],
        ['r', this.#column(ROW_COLUMN)],
        ['a', action],
      ])
      const given = columns.map((column, i) => ({
        ...{ column, old: this.#column(column.name), as: `v${i}` },
      }))
      const rows = `${this.#target(isWhole)} ${join} ${source} ON ${condition}`
      const from = `FROM ${rows} WHERE (${action}) > 0`
      return givenSql(clauses, { places, columns: given, from })
    }
    const [matched, others] = [this.#clauses('matched'), this.#clauses('notMatchedBySource')]
    const queries = [
      ...(matched.length > 0 ? [one(matched, 'JOIN')] : []),
      ...(others.length > 0 ? [one(others, 'ANTI JOIN')] : []),
    ]
    if (queries.length > 0) return queries.join(' UNION ALL ')
    return `${one([], 'JOIN')} AND false`
  }

  #kept(): string {
    const { columns } = this.#table
    const isDeleted = [...this.deletes].map((number) => `"$change".a = ${number}`)
    const items = columns.map(({ name }, i) => {
      const old = this.#column(name)
      return `CASE WHEN "$change".a IS NULL THEN ${old} ELSE "$change".v${i} END AS ${quoteIdentifier(name)}`
    })
    const place = `"$change".f = ${this.#column(FILE_COLUMN)} AND "$change".r = ${this.#column(ROW_COLUMN)}`
    const changes = `LEFT JOIN (${this.#changes(columns, false)}) AS "$change" ON ${place}`
    const where = isDeleted.length === 0 ? '' : ` WHERE (${isDeleted.join(' OR ')}) IS NOT TRUE`
    return `SELECT ${items.join(', ')} FROM ${this.#target(false)} ${changes}${where}`
  }

  #inserted(columns: readonly ColumnRecord[], places: ReadonlyMap<string, string>): string {
    const { source, condition } = this.#merge
    const clauses = this.#clauses('notMatched')
    const rows = `${source} ANTI JOIN ${this.#target(true)} ON ${condition}`
    const from = `FROM ${rows} WHERE (${actionSql(clauses)}) > 0`
    const added = columns.map((column) => ({ column, old: undefined, as: column.name }))
    return givenSql(clauses, { places, columns: added, from })
  }
}
