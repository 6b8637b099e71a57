import { positionAt, SqlError } from '@nyala/client/protocol'
import { foldName } from '@nyala/metastore'
import { didYouMean } from '../bind/nearest.ts'
import {
  currentSchema,
  currentSortOrder,
  type SortOrder,
  type TableMetadata,
} from '../iceberg/metadata.ts'
import type { IcebergField } from '../iceberg/types.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import type { SortColumn } from '../sql/statement.ts'

/** The fields of the sort order that SORT BY says. Pure. Fails with `undefined_column` or `feature_not_supported`. */
export function newSortFields(
  items: readonly SortColumn[],
  columns: readonly IcebergField[],
  text: string,
): SortOrder['fields'] {
  return items.map(({ column, descending, nullsFirst, at }) => {
    const found = columns.find(({ name }) => foldName(name) === foldName(column))
    const position = positionAt(text, at)
    if (found === undefined) {
      const names = columns.map(({ name }) => name)
      const message = `column "${column}" of SORT BY does not exist in the table`
      throw new SqlError('undefined_column', message, { position, hint: didYouMean(column, names) })
    }
    if (typeof found.type !== 'string') {
      const message = `rows cannot be sorted by "${column}", which is no simple value`
      throw new SqlError('feature_not_supported', message, { position })
    }
    return {
      transform: 'identity',
      'source-id': found.id,
      direction: descending ? 'desc' : 'asc',
      'null-order': nullsFirst ? 'nulls-first' : 'nulls-last',
    }
  })
}

/** The order of rows in a file, as items of ORDER BY; none where the table has none, or one that only others know. */
export function orderSql(metadata: TableMetadata): readonly string[] {
  const { fields } = currentSchema(metadata)
  const order = currentSortOrder(metadata)?.fields ?? []
  const items = order.flatMap((item) => {
    const column = fields.find(({ id }) => id === item['source-id'])
    if (column === undefined || item.transform !== 'identity') return []
    const nulls = item['null-order'] === 'nulls-first' ? 'NULLS FIRST' : 'NULLS LAST'
    return [`${quoteIdentifier(column.name)} ${item.direction.toUpperCase()} ${nulls}`]
  })
  return items.length === order.length ? items : []
}
