import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { DatabaseName, ObjectName, PartitionSpec, PlainStatement } from '../statement.ts'

/** After REFRESH. */
export function parseRefresh(cursor: Cursor): PlainStatement {
  const table = cursor.objectName()
  const partitions: PartitionSpec[] = []
  while (cursor.isWord('PARTITION')) partitions.push(parsePartition(cursor))
  return { kind: 'refresh', table, partitions }
}

/** After INVALIDATE. */
export function parseInvalidate(cursor: Cursor): PlainStatement {
  cursor.expectWords('METADATA')
  return {
    kind: 'invalidateMetadata',
    table: cursor.isAtEnd ? undefined : cursor.objectName(),
  }
}

/** After COMPUTE. */
export function parseCompute(cursor: Cursor): PlainStatement {
  const incremental = cursor.takeWords('INCREMENTAL')
  cursor.expectWords('STATS')
  const table = cursor.objectName()
  const columns = cursor.isSymbol('(') ? cursor.list(() => cursor.name('a column name')) : undefined
  return { kind: 'computeStats', table, columns, incremental }
}

/** `PARTITION (column = literal, …)`. */
export function parsePartition(cursor: Cursor): PartitionSpec {
  cursor.expectWords('PARTITION')
  return cursor.list(() => {
    const column = cursor.name('a partition column')
    cursor.expectSymbol('=')
    return { column, value: parsePartitionValue(cursor) }
  })
}

/** A literal as the text that stands in a Hive path. */
export function parsePartitionValue(cursor: Cursor): string | null {
  if (cursor.takeWords('NULL')) return null
  const isTruth = cursor.takeOneOf('TRUE', 'FALSE')
  if (isTruth !== undefined) return isTruth.toLowerCase()
  // DATE '2024-01-01' is the text itself.
  if (cursor.word() === 'DATE' || cursor.word() === 'TIMESTAMP') cursor.next()
  const sign = cursor.takeSymbol('-') ? '-' : ''
  const token = cursor.peek()
  if (token?.kind === 'number' || (token?.kind === 'string' && sign === '')) {
    cursor.next()
    return `${sign}${token.value}`
  }
  throw cursor.error('expected a literal')
}

/** After SHOW. */
export function parseShow(cursor: Cursor): PlainStatement {
  if (cursor.takeOneOf('DATABASES', 'SCHEMAS') !== undefined) {
    return { kind: 'showDatabases', database: undefined, pattern: parsePattern(cursor) }
  }
  if (cursor.takeWords('TABLES')) return showIn(cursor, 'showTables')
  if (cursor.takeWords('VIEWS')) return showIn(cursor, 'showViews')
  if (cursor.takeWords('FUNCTIONS')) return showIn(cursor, 'showFunctions')
  if (cursor.takeWords('CREATE', 'TABLE')) return showObject('showCreateTable', cursor.objectName())
  if (cursor.takeWords('CREATE', 'VIEW')) {
    return showObject('showCreateView', cursor.objectName('a view name'))
  }
  if (cursor.takeWords('PARTITIONS')) return showObject('showPartitions', cursor.objectName())
  if (cursor.takeWords('TABLE', 'STATS')) return showObject('showTableStats', cursor.objectName())
  if (cursor.takeWords('COLUMN', 'STATS')) return showObject('showColumnStats', cursor.objectName())
  if (cursor.takeWords('COLUMNS')) {
    if (cursor.takeOneOf('IN', 'FROM') === undefined)
      throw cursor.error('write SHOW COLUMNS IN table')
    return showObject('showColumns', cursor.objectName())
  }
  if (cursor.takeWords('FILES')) return parseShowFiles(cursor)
  if (cursor.takeWords('QUERIES')) return { kind: 'showQueries' }
  if (cursor.takeOneOf('SETTINGS', 'ALL') !== undefined) return { kind: 'showSettings' }
  const at = cursor.at
  const word = cursor.word()
  if (word !== undefined && UNKNOWN_OBJECTS.has(word)) {
    throw notSupported(
      cursor.script,
      at,
      `SHOW ${word} is not supported`,
      'SHOW takes DATABASES, TABLES, VIEWS, FUNCTIONS, PARTITIONS, FILES, COLUMNS, STATS, QUERIES, CREATE or a setting',
    )
  }
  return { kind: 'showSetting', name: parseSettingName(cursor), at }
}

/** What other engines show. */
const UNKNOWN_OBJECTS = new Set(
  'DATA METADATA RANGE ROLES ROLE CURRENT GRANT GRANTS AGGREGATE ANALYTIC INDEX INDEXES CATALOGS'.split(
    ' ',
  ),
)

const showObject = (
  kind:
    | 'showCreateTable'
    | 'showCreateView'
    | 'showPartitions'
    | 'showTableStats'
    | 'showColumnStats'
    | 'showColumns',
  table: ObjectName,
): PlainStatement => ({ kind, table })

function showIn(
  cursor: Cursor,
  kind: 'showTables' | 'showViews' | 'showFunctions',
): PlainStatement {
  let database: DatabaseName | undefined
  if (cursor.takeOneOf('IN', 'FROM') !== undefined) database = cursor.databaseName()
  return { kind, database, pattern: parsePattern(cursor) }
}

/** `LIKE 'a*|b*'`; Impala also takes the text alone. */
function parsePattern(cursor: Cursor): string | undefined {
  const isLike = cursor.takeWords('LIKE')
  return isLike || cursor.peek()?.kind === 'string' ? cursor.string('a pattern') : undefined
}

function parseShowFiles(cursor: Cursor): PlainStatement {
  if (cursor.takeOneOf('IN', 'FROM') === undefined) throw cursor.error('write SHOW FILES IN table')
  const table = cursor.objectName()
  const partition = cursor.isWord('PARTITION') ? parsePartition(cursor) : undefined
  return { kind: 'showFiles', table, partition }
}

/** Settings are named in lower case. */
export const parseSettingName = (cursor: Cursor): string =>
  cursor.name('the name of a setting').toLowerCase()
