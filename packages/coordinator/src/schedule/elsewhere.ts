import { isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'

/**
 * True where a query fails for want of an executor. It may be this coordinator that is cut off, and not the executor that
 * is gone; so of a query that others can go on with it is not for this one alone to say that it is over.
 */
export const mayGoOnElsewhere = (error: unknown): error is SqlError =>
  error instanceof SqlError &&
  (error.error === 'executor_lost' || error.error === 'no_executors') &&
  !isMutant('no-second-opinion')

/** Sends the client of such a query to another coordinator, or back to this one, which then asks all executors. */
export const notHere = (queryId: string, cause: SqlError): SqlError =>
  new SqlError(
    'cannot_connect_now',
    `query "${queryId}" cannot go on at this coordinator: ${cause.message}`,
    { queryId, hint: 'attach to it at another coordinator', cause },
  )
