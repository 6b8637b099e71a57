import { SqlError, positionAt } from '@nyala/client/protocol'
import type { Query } from './ir.ts'
import { EXPRESSION_DEPTH_MAX } from './limits.ts'
import { keySet, ReadContext, type Raw, type SourceText } from './reader/context.ts'
import { parseLossless } from './reader/json.ts'
import { readAnyExpression } from './reader/read-expression.ts'
import { readStatementNode } from './reader/read-query.ts'

const RESULT_KEYS = keySet('error', 'statements')

/**
 * The tree of the one query in DuckDB's serialised statement.
 * Throws `syntax_error` for what the parser refused and `feature_not_supported` for constructs of
 * which not every part is known here.
 */
export function readSerialized(json: string, source: SourceText): Query {
  const result = parseLossless(json) as Raw
  const context = new ReadContext(source, {
    expression: readAnyExpression,
    statement: readStatementNode,
  })
  if (result['error'] !== false) throw parseError(result, source)
  context.checkKeys(result, RESULT_KEYS, 'result')
  const statements = context.objects(result, 'statements')
  const [statement] = statements
  if (statement === undefined || statements.length > 1) {
    return context.unknown(`${statements.length} statements in place of one`)
  }
  return readStatementNode(context, statement)
}

/** What the user wrote at `offset`: a quoted text or name, a word, a number, or one character. */
function nearText(text: string, offset: number): string | undefined {
  return /^(?:'[^']*'?|"[^"]*"?|`[^`]*`?|[\p{L}_$][\p{L}\p{N}_$]*|[\d.]+|\S)/u.exec(
    text.slice(offset, offset + 80),
  )?.[0]
}

function parseError(result: Raw, source: SourceText): SqlError {
  const message = String(result['error_message'])
  const place = Number(result['position'] ?? NaN)
  const offset = Number.isNaN(place) ? undefined : source.errorToUser(place)
  const position = offset === undefined ? undefined : positionAt(source.text, offset)
  if (/expression depth limit|memory exhausted/i.test(message)) {
    return new SqlError(
      'statement_too_complex',
      `the tree of the query is deeper than sql_expression_depth_max (${EXPRESSION_DEPTH_MAX})`,
      { position, hint: 'use IN or lists in place of long chains of operators and joins' },
    )
  }
  if (/^syntax error at (?:or near|end of input)/i.test(message)) {
    const near = offset === undefined ? undefined : nearText(source.text, offset)
    const where = near === undefined ? 'at end of input' : `at or near "${near}"`
    return new SqlError('syntax_error', `syntax error ${where}`, { position })
  }
  if (/Only SELECT statements can be serialized/.test(message)) {
    return new SqlError('feature_not_supported', 'this form of query is not supported', {
      position,
      hint: /pivot/i.test(source.text)
        ? 'PIVOT needs its values listed: FROM t PIVOT (… FOR column IN (value, …))'
        : 'a WITH is followed by a SELECT',
    })
  }
  if (result['error_type'] === 'not implemented' || /not supported/i.test(message)) {
    return new SqlError('feature_not_supported', lowerFirst(message), { position })
  }
  // The parser's own message for these is the name of a function it lacks.
  const isOpaque = /NOT IMPLEMENTED/.test(message)
  return new SqlError('syntax_error', isOpaque ? MISPLACED_CLAUSE : lowerFirst(message), {
    position,
    hint: isOpaque ? 'put the inner query into FROM, or write LIMIT … OFFSET …' : undefined,
  })
}

const MISPLACED_CLAUSE = 'a query cannot have two ORDER BY or LIMIT clauses, nor LIMIT with a comma'

/** Names that begin a message, in capitals, stay. */
const lowerFirst = (message: string): string =>
  /^[A-Z][a-z]/.test(message) ? message.charAt(0).toLowerCase() + message.slice(1) : message
