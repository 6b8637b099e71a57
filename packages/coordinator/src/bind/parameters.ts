import { type Parameter, positionAt, SqlError } from '@nyala/client/protocol'
import { quoteLiteral } from '../sql/escape.ts'
import { lex } from '../sql/lexer.ts'
import type { Dialect } from '../sql/token.ts'

/** A statement's text with its parameters in place, and the way back to the places of the original. */
export interface BoundText {
  readonly sql: string
  /** The error with its position in the text that the user sent. */
  relocate(error: unknown): unknown
}

/** Types of a parameter are names, with digits and brackets at most: nothing that could end the cast. */
const TYPE_NAME = /^[A-Za-z][A-Za-z0-9_ ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?(\[\d*\])*$/

/**
 * Puts each value as a literal, cast to its type, where `$1` or `?` stood. Values go through the one quoting function,
 * tokens are found by the lexer: a `$1` inside a string or a comment is none. Fails with `undefined_parameter` where
 * there are fewer values than the text names, and with `invalid_parameter_value` where there are more.
 */
export function bindParameters(
  sql: string,
  parameters: readonly Parameter[],
  dialect: Dialect,
): BoundText {
  // Most statements have none; their text need not be read twice.
  if (parameters.length === 0 && !/[$?]/.test(sql)) return { sql, relocate: (error) => error }
  const tokens = lex(sql, { dialect }).filter((token) => token.kind === 'parameter')
  const edits: { readonly start: number; readonly end: number; readonly text: string }[] = []
  let highest = 0
  tokens.forEach((token, i) => {
    const index = token.value === '' ? i + 1 : Number(token.value)
    const value = Number.isInteger(index) ? parameters[index - 1] : undefined
    if (value === undefined)
      throw undefinedParameter(sql, token.start, token.value || String(index), parameters.length)
    highest = Math.max(highest, index)
    edits.push({ start: token.start, end: token.end, text: literal(value, index, dialect) })
  })
  if (highest < parameters.length) {
    throw new SqlError(
      'invalid_parameter_value',
      `${parameters.length} parameters were given, but the statement uses ${highest}`,
    )
  }
  return applyEdits(sql, edits)
}

function applyEdits(
  sql: string,
  edits: readonly { readonly start: number; readonly end: number; readonly text: string }[],
): BoundText {
  let out = ''
  let from = 0
  for (const edit of edits) {
    out += sql.slice(from, edit.start) + edit.text
    from = edit.end
  }
  out += sql.slice(from)
  const toUser = (offset: number): number => {
    let shift = 0
    for (const edit of edits) {
      const start = edit.start + shift
      if (offset < start) break
      if (offset < start + edit.text.length) return edit.start
      shift += edit.text.length - (edit.end - edit.start)
    }
    return offset - shift
  }
  return {
    sql: out,
    relocate(error) {
      if (!(error instanceof SqlError) || error.position === undefined || edits.length === 0)
        return error
      return new SqlError(error.error, error.message, {
        detail: error.detail,
        hint: error.hint,
        position: positionAt(sql, toUser(error.position.offset)),
        queryId: error.queryId,
        cause: error.cause,
      })
    },
  }
}

function literal(parameter: Parameter, index: number, dialect: Dialect): string {
  if (!TYPE_NAME.test(parameter.type)) {
    throw new SqlError(
      'invalid_parameter_value',
      `parameter $${index} has the type "${parameter.type}", which is none`,
      {
        hint: 'use a type such as BIGINT, DECIMAL(10,2) or VARCHAR[]',
      },
    )
  }
  // Without a type of their own, as where they are written out, they take the one that is wanted of them.
  if (/^"?NULL"?$/i.test(parameter.type)) return 'NULL'
  if (parameter.value === null) return `CAST(NULL AS ${parameter.type})`
  // The text is read again by the session's dialect, in which a backslash may be an escape.
  const value = quoteLiteral(
    dialect === 'impala' ? parameter.value.replaceAll('\\', '\\\\') : parameter.value,
  )
  if (/^VARCHAR$/i.test(parameter.type)) return value
  if (/^BLOB$/i.test(parameter.type)) return `from_hex(${value})`
  return `CAST(${value} AS ${parameter.type})`
}

const undefinedParameter = (sql: string, at: number, name: string, given: number): SqlError =>
  new SqlError('undefined_parameter', `there is no parameter $${name}: ${given} were given`, {
    position: positionAt(sql, at),
    hint: 'pass one value for each $n of the statement, counting from $1',
  })
