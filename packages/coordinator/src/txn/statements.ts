import { SqlError } from '@nyala/client/protocol'
import type { StatementContext } from '../server/statement-context.ts'
import type { Statement } from '../sql/statement.ts'

/** Statements that change the catalog in a commit of their own, by what they are called. */
const ALONE: ReadonlyMap<Statement['kind'], string> = new Map([
  ['createDatabase', 'CREATE DATABASE'],
  ['createView', 'CREATE VIEW'],
  ['dropView', 'DROP VIEW'],
  ['renameView', 'ALTER VIEW'],
  ['executeProcedure', 'ALTER TABLE … EXECUTE'],
  ['renameTable', 'ALTER TABLE … RENAME TO'],
  ['createExternalTable', 'CREATE EXTERNAL TABLE'],
  ['recoverPartitions', 'ALTER TABLE … RECOVER PARTITIONS'],
  ['refresh', 'REFRESH'],
  ['invalidateMetadata', 'INVALIDATE METADATA'],
  ['computeStats', 'COMPUTE STATS'],
  ['dropStats', 'DROP STATS'],
])

/** Statements that change nothing but the session. */
const READS = /^(?:query|explain|describe.*|show.*|set|reset|use|killQuery|begin)$/

/**
 * Fails where a statement cannot be part of the transaction that it was sent in: one of its statements has failed, it is
 * over, it is read only and the statement is not, or the statement has to be alone.
 */
export function checkInTransaction(statement: Statement, context: StatementContext): void {
  const { current } = context.transaction
  if (current === undefined) return
  if (statement.kind === 'commit' || statement.kind === 'rollback') return
  current.checkOpen()
  if (current.isReadOnly && !READS.test(statement.kind)) throw readOnly(statement.kind)
  const command = ALONE.get(statement.kind)
  if (command === undefined) return
  throw new SqlError(
    'active_sql_transaction',
    `${command} cannot be part of a transaction of several statements`,
    { hint: 'COMMIT first, or send it before BEGIN' },
  )
}

/** `createTableAs` is CREATE TABLE AS. */
function readOnly(kind: Statement['kind']): SqlError {
  const command = kind.replaceAll(/[A-Z]/g, (letter) => ` ${letter}`).toUpperCase()
  const message = `${command} cannot be part of a transaction that is read only`
  return new SqlError('read_only_sql_transaction', message, {
    hint: 'ROLLBACK, and BEGIN without READ ONLY',
  })
}
