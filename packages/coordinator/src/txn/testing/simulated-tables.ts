import type { SessionTransaction } from '@nyala/client/protocol'
import type { Catalog, CatalogSnapshot, TableRecord } from '@nyala/metastore'
import type { StatementContext } from '../../server/statement-context.ts'

/** What a transaction has put into a table. */
export interface Entry {
  readonly id: string
  readonly file: string
}

export const tableOf = (name: string): Parameters<Catalog['createRelation']>[0] => ({
  ...{ kind: 'managed', database: 'default', name, comment: '', location: `/w/${name}` },
  columns: [{ name: 'a', type: 'BIGINT' }],
  ...{ partitionColumns: [], schemaVersion: 1, snapshotId: 0 },
  ...{ manifest: null, statistics: null, refreshedAt: 0 },
})

export function tableIn(snapshot: CatalogSnapshot, name: string): TableRecord {
  const found = snapshot.relation('default', name)?.record
  if (found === undefined || found.kind === 'view') throw new Error(`no table ${name}`)
  return found
}

/** The contents of a table are in its comment. */
export const entriesOf = ({ comment = '' }: TableRecord): readonly Entry[] =>
  comment === ''
    ? []
    : comment.split(' ').map((entry) => {
        const [id = '', file = ''] = entry.split('=')
        return { id, file }
      })

export function withEntry(table: TableRecord, { id, file }: Entry): TableRecord {
  const comment = [...(table.comment === '' ? [] : [table.comment]), `${id}=${file}`].join(' ')
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
