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

/**
 * Fails where a statement cannot be part of the transaction that it was sent in: one of its statements has failed, it is
 * over, or the statement has to be alone.
 */
export function checkInTransaction(statement: Statement, context: StatementContext): void {
  const { current } = context.transaction
  if (current === undefined) return
  if (statement.kind === 'commit' || statement.kind === 'rollback') return
  current.checkOpen()
  const command = ALONE.get(statement.kind)
  if (command === undefined) return
  throw new SqlError(
    'active_sql_transaction',
    `${command} cannot be part of a transaction of several statements`,
    { hint: 'COMMIT first, or send it before BEGIN' },
  )
}
