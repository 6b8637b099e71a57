import type { Frame } from '@nyala/client/wire'
import { SqlError } from '@nyala/client/protocol'
import * as stages from './stage.ts'

/** The error that a query ends with because of a task's. */
export function failureError(why: stages.FailReason, error: SqlError): SqlError {
  switch (why) {
    case 'error':
      return error
    case 'quarantined':
      return new SqlError(
        'query_quarantined',
        `the kernels of ${stages.KERNEL_CRASHES_MAX} executors died while they ran this query: ${error.message}`,
        {
          hint: 'the query is not tried again; lower its memory or change it',
          cause: error,
        },
      )
    case 'attempts':
      return new SqlError(
        error.error,
        `a task failed ${stages.ATTEMPTS_MAX} times, at last with: ${error.message}`,
        {
          hint: error.hint,
          cause: error,
        },
      )
    case 'delivered':
      return new SqlError(
        error.error,
        `${error.message}; part of the result had been delivered, so the query cannot go on by itself`,
        {
          hint: 'run the statement again',
          cause: error,
        },
      )
  }
}

/** A result has more rows than the setting `max_rows` allows. */
export const tooManyRows = (rowsMax: number): SqlError =>
  new SqlError('configuration_limit_exceeded', `the result has more than ${rowsMax} rows`, {
    hint: 'add LIMIT, or raise the setting max_rows',
  })

/** Of a task that writes files or segments a result would wait here for ever. */
export const strangeFrame = ({ task, attempt, sequence }: Frame): SqlError =>
  new SqlError(
    'protocol_violation',
    `frame ${sequence} came of task ${task} attempt ${attempt}, which sends no rows here`,
  )
