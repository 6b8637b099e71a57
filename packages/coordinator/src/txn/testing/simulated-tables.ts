import type { SessionTransaction } from '@nyala/client/protocol'
import type { CatalogSnapshot, TableRecord } from '@nyala/metastore'
import type { StatementContext } from '../../server/statement-context.ts'
import { wordsOf } from '../../write/testing/simulated-world.ts'

/** What a transaction has put into a table. */
export interface Entry {
  readonly id: string
  readonly file: string
}

/** The contents of a table are in its comment. */
export const entriesOf = (table: TableRecord): readonly Entry[] =>
  wordsOf(table).map((entry) => {
    const [id = '', file = ''] = entry.split('=')
    return { id, file }
  })

export function withEntry(table: TableRecord, { id, file }: Entry): TableRecord {
  const comment = [...wordsOf(table), `${id}=${file}`].join(' ')
  return { ...table, comment, snapshotId: table.snapshotId + 1 }
}

/** What statements of transactions ask of their context. */
export function contextOf(
  statementId: string,
  parts: {
    readonly transaction?: StatementContext['transaction']['current']
    readonly session?: SessionTransaction
    readonly catalog?: CatalogSnapshot
    readonly sender?: string
  },
): StatementContext {
  const { transaction, session, catalog, sender } = parts
  const context = {
    ...{ statementId, sql: statementId, catalog, sender, notices: [] },
    session: {
      ...{ database: 'default', settings: {}, revision: 0 },
      ...(session === undefined ? {} : { transaction: session }),
    },
    settings: { number: () => 0 },
    signal: new AbortController().signal,
    commit: { begun: false },
    transaction: { current: transaction },
  }
  return context as unknown as StatementContext
}
