import type { Position, SqlError } from '../protocol/errors.ts'
import { toErrorBody } from '../protocol/messages.ts'
import { displayWidth } from './formats/display-width.ts'
import { EXIT } from './shell-io.ts'

/** A line of the statement is shown up to this many characters around the error. */
const EXCERPT_CHARACTERS = 100

/** An error for people: code and message, the place in the statement, detail, hint and the query's id. */
export function errorReport(error: SqlError, sql: string | undefined): string {
  const lines = [`ERROR ${error.code}: ${error.message}`]
  if (error.position !== undefined && sql !== undefined) lines.push(...excerpt(sql, error.position))
  if (error.detail !== undefined) lines.push(`DETAIL: ${error.detail}`)
  if (error.hint !== undefined) lines.push(`HINT: ${error.hint}`)
  if (error.statementId !== undefined) {
    lines.push(
      `statement ${error.statementId}: the same text with --statement-id ${error.statementId} tells what became of it,` +
        ' and is not done twice',
    )
  }
  if (error.queryId !== undefined) {
    const by = error.coordinator === undefined ? '' : ` on ${error.coordinator}`
    lines.push(`query ${error.queryId}${by}`)
  }
  return `${lines.join('\n')}\n`
}

/** The line of the error, cut to a window around it, with a caret below. */
function excerpt(sql: string, position: Position): readonly string[] {
  const line = sql.split('\n')[position.line - 1]
  if (line === undefined) return []
  const points = [...line.replaceAll('\t', ' ').replace(/\r$/, '')]
  const column = Math.min(position.column - 1, points.length)
  const start = Math.max(0, column - Math.floor(EXCERPT_CHARACTERS / 2))
  const end = Math.min(points.length, start + EXCERPT_CHARACTERS)
  const label = `LINE ${position.line}: ${start > 0 ? '…' : ''}`
  const before = label + points.slice(start, column).join('')
  const shown = label + points.slice(start, end).join('') + (end < points.length ? '…' : '')
  return [shown, `${' '.repeat(displayWidth(before))}^`]
}

/** The same as one line of JSON, for programs. */
export function jsonErrorReport(error: SqlError): string {
  const { code, category, retryable, statementId } = error
  const id = statementId === undefined ? {} : { statementId }
  return `${JSON.stringify({ code, category, retryable, ...id, ...toErrorBody(error) })}\n`
}

/** The exit code that an error ends the shell with. */
export function exitCodeOf(error: SqlError): number {
  switch (error.error) {
    case 'connection_exception':
    case 'connection_failure':
    case 'cannot_connect_now':
      return EXIT.cannotConnect
    case 'commit_outcome_unknown':
      return EXIT.outcomeUnknown
    default:
      return EXIT.failed
  }
}
