import { SqlError, positionAt } from '@nyala/client/protocol'
import { guardQuery } from './guard.ts'
import type { Expression, Query } from './ir.ts'
import { lex, splitStatements } from './lexer.ts'
import { type Literal, literalRowsOf } from './literal-rows.ts'
import { DEFAULT_SQL_LIMITS, type SqlLimits } from './limits.ts'
import { ParserInstance } from './parser-instance.ts'
import { prepareText } from './pre-pass.ts'
import { readSerialized } from './reader.ts'
import { syntaxErrorAt } from './errors.ts'
import type { InsertHeader, QueryBody, Statement, StatementDraft } from './statement.ts'
import { parseStatement } from './statement-parser.ts'
import { renderQuery } from './renderer.ts'
import { castBesideFloats, valuesOf } from './values-lists.ts'
import type { Dialect, StatementText, Token } from './token.ts'

export interface ParseOptions {
  /** `ansi` unless the session says `SET sql_dialect = impala`. */
  readonly dialect?: Dialect
}

/** INSERT of rows that are literals. */
export interface LiteralInsert extends InsertHeader {
  readonly rows: readonly (readonly Literal[])[]
}

/** Longer texts are read as any other statement is. */
const LITERAL_TEXT_MAX = 256 * 1024

/**
 * From SQL text to statements. It owns one sealed DuckDB instance, which only parses.
 *
 *   open → (splitStatements | parse | parseQuery | parseExpression)* → close
 */
export class SqlFrontEnd {
  /** The instance that parses. Tests ask it what DuckDB makes of a text; nothing else does. */
  readonly parser: ParserInstance
  readonly #limits: SqlLimits

  private constructor(parser: ParserInstance, limits: SqlLimits) {
    this.parser = parser
    this.#limits = limits
  }

  static async open(limits: SqlLimits = DEFAULT_SQL_LIMITS): Promise<SqlFrontEnd> {
    return new SqlFrontEnd(await ParserInstance.open(), limits)
  }

  close(): void {
    this.parser.close()
  }

  /** The statements of a script; each can be given to `parse`, which then reports places in the script. */
  splitStatements(script: string, options: ParseOptions = {}): readonly StatementText[] {
    return splitStatements(script, { ...options, limits: this.#limits })
  }

  /**
   * One statement: a text that holds exactly one, or one of `splitStatements`.
   * Throws SqlError: `syntax_error`, `feature_not_supported`, `duplicate_column` (CREATE TABLE), `program_limit_exceeded`,
   * `statement_too_complex`, `internal_error` (the guard).
   */
  async parse(sql: string | StatementText, options: ParseOptions = {}): Promise<Statement> {
    const statement = typeof sql === 'string' ? this.#only(sql, options) : sql
    const draft = parseStatement(statement)
    return this.#complete(draft, statement.script, options.dialect ?? 'ansi')
  }

  /** An INSERT of literal rows, for which nobody needs to be asked; undefined for any other text. Throws what `parse` does. */
  literalInsert(sql: string, options: ParseOptions = {}): LiteralInsert | undefined {
    if (sql.length > LITERAL_TEXT_MAX || !/^\s*insert\b/i.test(sql)) return undefined
    const draft = parseStatement(this.#only(sql, options))
    if (draft.kind !== 'insert' || draft.partition !== undefined) return undefined
    const { body, ...header } = draft
    const rows = literalRowsOf(body)
    return rows === undefined ? undefined : { ...header, rows }
  }

  /** A query alone, as in the stored text of a view. Throws what `parse` does. */
  async parseQuery(sql: string, options: ParseOptions = {}): Promise<QueryBody> {
    const statement = await this.parse(sql, options)
    if (statement.kind === 'query') return statement
    throw new SqlError('syntax_error', 'expected a query', { position: positionAt(sql, 0) })
  }

  /** An expression alone, as after SELECT. Throws what `parse` does. */
  async parseExpression(sql: string, options: ParseOptions = {}): Promise<Expression> {
    const tokens = lex(sql, { ...options, limits: this.#limits })
    const select: Token = { kind: 'word', start: 0, end: 0, value: 'SELECT', word: 'SELECT' }
    const { query } = await this.#readQuery([select, ...tokens], sql, options.dialect ?? 'ansi')
    const [item] = query.kind === 'select' ? query.items : []
    const isAlone =
      query.kind === 'select' &&
      query.items.length === 1 &&
      item?.alias === undefined &&
      isBare(query)
    if (item !== undefined && isAlone) return item.expression
    throw new SqlError('syntax_error', 'expected a single expression', {
      position: positionAt(sql, 0),
    })
  }

  #only(sql: string, options: ParseOptions): StatementText {
    const [statement, second] = this.splitStatements(sql, options)
    if (statement === undefined) throw new SqlError('syntax_error', 'the text holds no statement')
    if (second === undefined) return statement
    throw new SqlError('syntax_error', 'the text holds more than one statement', {
      position: positionAt(sql, second.start),
      hint: 'send one statement at a time',
    })
  }

  async #complete(draft: StatementDraft, script: string, dialect: Dialect): Promise<Statement> {
    if (!('body' in draft)) return draft
    const { body, ...header } = draft
    const read = await this.#readQuery(body, script, dialect)
    // The values of an INSERT become what its columns are.
    const isInserted = draft.kind === 'insert' && valuesOf(read.query) !== undefined
    return { ...header, ...(isInserted ? read : withCastTexts(read)) }
  }

  async #readQuery(tokens: readonly Token[], script: string, dialect: Dialect): Promise<QueryBody> {
    const first = tokens[0]
    const last = tokens.at(-1)
    if (first === undefined || last === undefined) throw syntaxErrorAt(script, script.length, '')
    const prepared = prepareText({ script, tokens }, dialect)
    const serialized = await this.parser.serialize(prepared.sql)
    const query = readSerialized(serialized, { text: script, ...prepared })
    const sql = await guardQuery(query, serialized, (text) => this.parser.serialize(text))
    return {
      query,
      sql,
      text: script.slice(first.start, last.end),
      source: { sql: prepared.sql, toUser: prepared.toUser },
      hints: prepared.hints,
      parameters: parameterNames(tokens),
    }
  }
}

/** The kernel is asked about the text that was made, in which places are not the user's. */
function withCastTexts(read: QueryBody): QueryBody {
  const query = castBesideFloats(read.query)
  if (query === read.query) return read
  const sql = renderQuery(query)
  return { ...read, query, sql, source: { sql, toUser: () => undefined } }
}

/** A SELECT of items and nothing else. */
const isBare = (query: Query): boolean =>
  query.kind === 'select' &&
  query.ctes.length + query.orderBy.length === 0 &&
  [query.from, query.where, query.groupBy, query.having, query.qualify].every(
    (c) => c === undefined,
  ) &&
  [query.sample, query.limit, query.distinct].every((c) => c === undefined)

function parameterNames(tokens: readonly Token[]): readonly string[] {
  const parameters = tokens.filter((token) => token.kind === 'parameter')
  return [
    ...new Set(parameters.map((token, i) => (token.value === '' ? String(i + 1) : token.value))),
  ]
}
