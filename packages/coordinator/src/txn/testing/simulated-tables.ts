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

export const idsOf = (table: TableRecord): readonly string[] => entriesOf(table).map(({ id }) => id)

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

/** What a client did and was shown in one transaction, by the ids of those that had put something into a table. */
export interface SimulatedTransaction {
  readonly id: string
  readonly client: string
  /** Milliseconds of the simulated clock. */
  readonly began: number
  ended: number
  /** The revision that the client had seen before, and after. */
  readonly token: number
  revision: number
  end: 'committed' | 'aborted' | 'unknown'
  /** What tables had in them before it put something in. */
  readonly reads: { readonly table: string; readonly ids: readonly string[] }[]
  /** Tables that it puts its id into. */
  readonly puts: string[]
}

export const newTransaction = (
  id: string,
  of: Pick<SimulatedTransaction, 'client' | 'began' | 'token'>,
): SimulatedTransaction => ({
  ...{ id, ...of, ended: of.began, revision: of.token },
  ...{ end: 'unknown', reads: [], puts: [] },
})
