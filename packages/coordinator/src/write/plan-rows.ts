import { SqlError } from '@nyala/client/protocol'
import type { PlannedQuery, Queries } from '../server/query-statement.ts'
import type { StatementContext } from '../server/statement-context.ts'
import type { SqlFrontEnd } from '../sql/front-end.ts'

/** Plans a query that was written around the user's, whose own errors have been told already, by their places in it. */
export async function planRows(
  sql: string,
  context: StatementContext,
  parts: { readonly queries: Queries; readonly frontEnd: SqlFrontEnd },
): Promise<PlannedQuery> {
  try {
    const body = await parts.frontEnd.parseQuery(sql)
    return await parts.queries.plan(body, { ...context, sql }, undefined)
  } catch (error) {
    if (!(error instanceof SqlError) || error.position === undefined) throw error
    // A place in our text is none in the user's.
    const { message, detail, hint } = error
    throw new SqlError(error.error, message, { detail, hint, cause: error })
  }
}
