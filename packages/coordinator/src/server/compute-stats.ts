import { SqlError } from '@nyala/client/protocol'
import { foldName, sameDoneTwice, type TableRecord } from '@nyala/metastore'
import { didYouMean } from '../bind/nearest.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import type { ComputeStats } from '../sql/statement.ts'
import type { ColumnStatistics, TableStatistics } from '../table/statistics.ts'
import type { Queries } from './query-statement.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import type { TableVerbs } from './table-verbs.ts'

/** Columns whose statistics one query computes: a table of a thousand columns is read a few times, not at once. */
const COLUMNS_PER_QUERY = 64
const MEASURES = 6

/** COMPUTE STATS: reads the whole table once and keeps what the planner wants to know of it. */
export async function computeStats(
  statement: ComputeStats,
  context: StatementContext,
  parts: { readonly services: Services; readonly tables: TableVerbs; readonly queries: Queries },
): Promise<StatementOutcome> {
  const { services, tables, queries } = parts
  const table = tables.table(statement.table, context)
  const columns = chosenColumns(table, statement.columns)
  const found: ColumnStatistics[] = []
  let rows = 0
  for (let first = 0; first < Math.max(1, columns.length); first += COLUMNS_PER_QUERY) {
    const part = columns.slice(first, first + COLUMNS_PER_QUERY)
    const body = await services.frontEnd.parseQuery(statisticsSql(table, part))
    const [cells = []] = await queries.collect(body, { ...context, sql: body.text })
    rows = Number(cells[0])
    found.push(...part.map((column, i) => readColumn(column, cells.slice(1 + i * MEASURES), rows)))
  }
  const kept =
    statement.columns === undefined
      ? []
      : ((await services.manifests.readStatistics(table))?.columns ?? [])
  const names = new Set(found.map((c) => foldName(c.name)))
  const statistics: TableStatistics = {
    format: 1,
    computedAt: services.clock.wall(),
    ...(table.manifest === null
      ? {}
      : { manifest: { crc32: table.manifest.crc32, bytes: table.manifest.bytes } }),
    rows,
    columns: [...kept.filter((c) => !names.has(foldName(c.name))), ...found],
  }
  const pointer = await services.manifests.writeStatistics(statistics)
  const updated = services.catalog.updateTable(
    { database: table.database, name: table.name },
    (current) => {
      if (current.id === table.id) return { ...current, statistics: pointer }
      throw new SqlError(
        'concurrent_ddl',
        `table "${table.name}" was dropped and created meanwhile`,
      )
    },
    { signal: context.signal, patience: context.patience },
  )
  const done = await sameDoneTwice(updated)
  const summary = `updated statistics of ${found.length} columns over ${rows} rows`
  context.notices.push(summary)
  return { command: 'COMPUTE STATS', revision: done.revision }
}

function chosenColumns(
  table: TableRecord,
  names: readonly string[] | undefined,
): TableRecord['columns'] {
  const all = [...table.columns, ...table.partitionColumns]
  if (names === undefined) return all
  return names.map((name) => {
    const column = all.find((c) => foldName(c.name) === foldName(name))
    if (column !== undefined) return column
    throw new SqlError(
      'undefined_column',
      `column "${name}" does not exist in table "${table.name}"`,
      {
        hint: didYouMean(
          name,
          all.map((c) => c.name),
        ),
      },
    )
  })
}

const isNested = (type: string): boolean => /\]$|^(STRUCT|MAP|UNION)/.test(type)
const isVariable = (type: string): boolean => type === 'VARCHAR' || type === 'JSON'

function statisticsSql(table: TableRecord, columns: TableRecord['columns']): string {
  const name = `${quoteIdentifier(table.database)}.${quoteIdentifier(table.name)}`
  const measures = columns.flatMap(({ name: column, type }) => {
    const c = quoteIdentifier(column)
    const none = 'CAST(NULL AS VARCHAR)'
    return [
      isNested(type) ? 'CAST(0 AS BIGINT)' : `approx_count_distinct(${c})`,
      `count(${c})`,
      isNested(type) ? none : `CAST(min(${c}) AS VARCHAR)`,
      isNested(type) ? none : `CAST(max(${c}) AS VARCHAR)`,
      isVariable(type) ? `CAST(max(strlen(${c})) AS DOUBLE)` : 'CAST(NULL AS DOUBLE)',
      isVariable(type) ? `avg(strlen(${c}))` : 'CAST(NULL AS DOUBLE)',
    ]
  })
  return `SELECT ${['count(*)', ...measures].join(', ')} FROM ${name}`
}

function readColumn(
  column: TableRecord['columns'][number],
  cells: readonly unknown[],
  rows: number,
): ColumnStatistics {
  const [distinct, present, min, max, sizeMax, sizeAverage] = cells
  const text = (value: unknown): string | null =>
    value === null || value === undefined ? null : String(value)
  return {
    name: column.name,
    type: column.type,
    // The estimate may exceed what is possible; a planner should not believe that.
    distinct: Math.min(Number(distinct ?? 0), Number(present ?? 0)),
    nulls: rows - Number(present ?? 0),
    min: text(min),
    max: text(max),
    sizeMax: typeof sizeMax === 'number' ? sizeMax : -1,
    sizeAverage: typeof sizeAverage === 'number' ? sizeAverage : -1,
  }
}
