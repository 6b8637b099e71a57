import type { Up } from '@nyala/client/protocol'
import type { ColumnRecord, RelationRecord } from '@nyala/metastore'
import type { Services } from './services.ts'

/** What the word before an offset of a statement may become: the body of the reply to `complete`. */
export async function completionsOf(
  message: Extract<Up, { kind: 'complete' }>,
  { catalog, mirror }: Pick<Services, 'catalog' | 'mirror'>,
): Promise<unknown> {
  const { database } = message.session
  const text = message.sql.slice(0, message.offset)
  const snapshot = catalog.snapshot()
  // `sales.or`: what is before the point may be another database.
  const named = /(?:^|[^\w."])"?(\w+)"?\.\w*$/.exec(text)?.[1]
  const databases = new Set([database, ...(named === undefined ? [] : [named])])
  const relations = [...databases].flatMap((name) =>
    snapshot.relations(name).map(({ record }) => ({
      database: name,
      name: record.name,
      columns: relationColumns(record),
    })),
  )
  const items = await mirror.complete(text, database, relations)
  return {
    start: items[0]?.start ?? message.offset,
    items: items.map(({ text, kind }) => ({ text, kind })),
  }
}

const relationColumns = (record: RelationRecord): readonly ColumnRecord[] =>
  record.kind === 'view' ? record.columns : [...record.columns, ...record.partitionColumns]
