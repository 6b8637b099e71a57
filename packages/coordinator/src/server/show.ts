import { SqlError } from '@nyala/client/protocol'
import { foldName, type RelationRecord, type TableRecord } from '@nyala/metastore'
import { requireDatabase } from '../bind/bind-query.ts'
import { SETTINGS, settingOf } from '../bind/settings.ts'
import { formatBytes } from '../plan/format.ts'
import { type Bound, boundText } from '../plan/estimate/bounds.ts'
import { boundsTogether, columnReader } from '../plan/estimate/column-bounds.ts'
import type { DescribeTable, Show, ShowFiles, ShowObject } from '../sql/statement.ts'
import { absolutePath, type Manifest } from '../table/manifest.ts'
import { isStale, type TableStatistics } from '../table/statistics.ts'
import { createText } from './create-text.ts'
import { count, type LocalResult, text } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import type { StatementContext } from './statement-context.ts'
import type { TableVerbs } from './table-verbs.ts'

type Row = LocalResult['rows'][number]

/** The answers to SHOW and DESCRIBE, out of the catalog and the manifests. */
export class Listings {
  readonly #services: Services
  readonly #tables: TableVerbs

  constructor(services: Services, tables: TableVerbs) {
    this.#services = services
    this.#tables = tables
  }

  async show(statement: Show, context: StatementContext): Promise<LocalResult> {
    const matches = likePattern(statement.pattern)
    const { catalog } = context
    if (statement.kind === 'showDatabases') {
      const rows = catalog.databases().map(({ record }): Row => [record.name, record.comment ?? ''])
      return table(
        'SHOW DATABASES',
        [text('name'), text('comment')],
        rows.filter((r) => matches(String(r[0]))),
      )
    }
    if (statement.kind === 'showFunctions') {
      const rows = (await this.#services.mirror.functions()).filter((r) => matches(r[0] ?? ''))
      return table(
        'SHOW FUNCTIONS',
        [text('name'), text('kind'), text('return_type'), text('parameters')],
        rows,
      )
    }
    const database = statement.database?.name ?? context.session.database
    requireDatabase(catalog, database)
    const relations = catalog.relations(database).filter(({ record }) => matches(record.name))
    if (statement.kind === 'showViews') {
      const views = relations.filter(({ record }) => record.kind === 'view')
      return table(
        'SHOW VIEWS',
        [text('name')],
        views.map(({ record }) => [record.name]),
      )
    }
    const rows = relations.map(({ record }): Row => [
      record.name,
      record.kind === 'view' ? 'view' : 'table',
      record.comment ?? '',
    ])
    return table('SHOW TABLES', [text('name'), text('type'), text('comment')], rows)
  }

  async object(statement: ShowObject, context: StatementContext): Promise<LocalResult> {
    switch (statement.kind) {
      case 'showCreateTable':
      case 'showCreateView': {
        const relation = this.#tables.relation(statement.table, context)
        const { iceberg } = this.#services.manifests
        const metadata = relation.kind === 'managed' ? await iceberg.metadata(relation) : undefined
        return table('SHOW CREATE', [text('result')], [[createText(relation, metadata)]])
      }
      case 'showColumns': {
        const relation = this.#tables.relation(statement.table, context)
        return table(
          'SHOW COLUMNS',
          [text('name'), text('type'), text('comment')],
          columnRows(relation),
        )
      }
      case 'showPartitions':
        return this.#partitions(this.#tables.table(statement.table, context))
      case 'showTableStats':
        return this.#tableStats(this.#tables.table(statement.table, context))
      case 'showColumnStats':
        return this.#columnStats(this.#tables.table(statement.table, context))
    }
  }

  async files(statement: ShowFiles, context: StatementContext): Promise<LocalResult> {
    const found = this.#tables.table(statement.table, context)
    const manifest = await this.#services.manifests.read(found)
    const names = partitionNames(manifest)
    const wanted = partitionFilter(statement, found.name, names)
    const rows = manifest.files
      .filter((file) => wanted(manifest.partitions[file.partition] ?? []))
      .map((file): Row => [
        absolutePath(manifest.location, file.path),
        file.bytes,
        file.rows,
        file.rowGroups.length,
        partitionText(names, manifest.partitions[file.partition] ?? []),
        file.modifiedMs < 0 ? null : new Date(file.modifiedMs).toISOString(),
      ])
    return table(
      'SHOW FILES',
      [
        text('path'),
        count('bytes'),
        count('rows'),
        count('row_groups'),
        text('partition'),
        text('modified'),
      ],
      rows,
    )
  }

  async describe(statement: DescribeTable, context: StatementContext): Promise<LocalResult> {
    const relation = this.#tables.relation(statement.table, context)
    if (statement.mode === 'plain') {
      return table('DESCRIBE', [text('name'), text('type'), text('comment')], columnRows(relation))
    }
    const rows: Row[] = [
      ...columnRows(relation),
      ['', null, null],
      ...(await this.#details(relation)),
    ]
    return table('DESCRIBE', [text('name'), text('type'), text('comment')], rows)
  }

  describeDatabase(name: string, context: StatementContext): LocalResult {
    requireDatabase(context.catalog, name)
    const record = context.catalog.database(name)?.record
    return table(
      'DESCRIBE DATABASE',
      [text('name'), text('location'), text('comment')],
      [[record?.name ?? name, record?.location ?? '', record?.comment ?? '']],
    )
  }

  settings(context: StatementContext): LocalResult {
    const rows = SETTINGS.map((s): Row => [
      s.name,
      context.settings.get(s.name),
      this.#services.defaultSettings[s.name] ?? s.default,
      s.description,
    ])
    return table(
      'SHOW SETTINGS',
      [text('name'), text('value'), text('default'), text('description')],
      rows,
    )
  }

  setting(name: string, context: StatementContext): LocalResult {
    const { name: known } = settingOf(name)
    return table('SHOW', [text(known)], [[context.settings.get(known)]])
  }

  async #partitions(found: TableRecord): Promise<LocalResult> {
    const manifest = await this.#services.manifests.read(found)
    const columns = partitionNames(manifest).map(text)
    if (columns.length === 0) {
      throw new SqlError('invalid_parameter_value', `table "${found.name}" is not partitioned`, {
        hint: 'SHOW TABLE STATS and SHOW FILES IN work for every table',
      })
    }
    const rows = partitionTotals(manifest).map(([values, files, rowCount, bytes]): Row => [
      ...values,
      rowCount,
      files,
      formatBytes(bytes),
    ])
    return table('SHOW PARTITIONS', [...columns, count('rows'), count('files'), text('size')], rows)
  }

  async #tableStats(found: TableRecord): Promise<LocalResult> {
    const statistics = await this.#services.manifests.readStatistics(found)
    const age = statistics === undefined ? null : new Date(statistics.computedAt).toISOString()
    const manifest = await this.#services.manifests.read(found)
    const totals = partitionTotals(manifest)
    const names = partitionNames(manifest)
    const sum = (i: 1 | 2 | 3): number => totals.reduce((n, t) => n + t[i], 0)
    const columns = [
      ...names.map(text),
      count('rows'),
      count('files'),
      text('size'),
      text('format'),
      text('computed_at'),
      text('state'),
      text('location'),
    ]
    const end = ['PARQUET', age, statisticsState(statistics, found)]
    const total: Row = [sum(2), sum(1), formatBytes(sum(3)), ...end, found.location]
    if (names.length === 0) return table('SHOW TABLE STATS', columns, [total])
    const rows = totals.map(([values, files, rowCount, bytes]): Row => [
      ...values,
      rowCount,
      files,
      formatBytes(bytes),
      ...end,
      null,
    ])
    const label: Row = names.map((_, i) => (i === 0 ? 'Total' : null))
    return table('SHOW TABLE STATS', columns, [...rows, [...label, ...total]])
  }

  async #columnStats(found: TableRecord): Promise<LocalResult> {
    const { manifests } = this.#services
    const statistics = await manifests.readStatistics(found)
    const computed = new Map(statistics?.columns.map((c) => [foldName(c.name), c]))
    const footers = footerStatistics(found, await manifests.read(found))
    const age = statistics === undefined ? null : new Date(statistics.computedAt).toISOString()
    const rows = [...found.columns, ...found.partitionColumns].map(({ name, type }): Row => {
      const c = computed.get(foldName(name))
      const footer = footers(name)
      const size = (n: number): string | null => (n < 0 ? null : String(Number(n.toFixed(2))))
      if (c === undefined) {
        const state = footer.nulls < 0 && footer.min === null ? 'none' : 'footers'
        return [name, type, -1, footer.nulls, footer.min, footer.max, null, null, null, state]
      }
      const values = [c.distinct, c.nulls, c.min, c.max, size(c.sizeMax), size(c.sizeAverage)]
      return [name, type, ...values, age, statisticsState(statistics, found)]
    })
    return table(
      'SHOW COLUMN STATS',
      [
        text('column'),
        text('type'),
        count('distinct_values'),
        count('nulls'),
        text('min'),
        text('max'),
        text('max_size'),
        text('avg_size'),
        text('computed_at'),
        text('state'),
      ],
      rows,
    )
  }

  async #details(relation: RelationRecord): Promise<readonly Row[]> {
    const created = new Date(relation.createdAt).toISOString()
    const common: Row[] = [
      ['# Detailed information', null, null],
      ['Database:', relation.database, null],
      ['Name:', relation.name, null],
      ['Id:', relation.id, null],
      ['CreateTime:', created, null],
      ['Comment:', relation.comment ?? '', null],
    ]
    if (relation.kind === 'view') {
      return [
        ...common,
        ['Kind:', 'VIEW', null],
        ['View text:', relation.sql, null],
        ['Resolved in:', relation.sessionDatabase, null],
      ]
    }
    const manifest = await this.#services.manifests.read(relation)
    const partitions = relation.partitionColumns.map((c): Row => [
      c.name,
      c.type,
      c.comment ?? null,
    ])
    return [
      ...(partitions.length === 0
        ? []
        : ([['# Partition columns', null, null], ...partitions, ['', null, null]] as Row[])),
      ...common,
      ...relation.columns.flatMap(({ name, notNull }): readonly Row[] =>
        notNull === true ? [['Not null:', name, null]] : [],
      ),
      ['Kind:', relation.kind === 'managed' ? 'MANAGED TABLE' : 'EXTERNAL TABLE', null],
      ['Location:', relation.location, null],
      ['Format:', 'PARQUET', null],
      ['Files:', String(manifest.files.length), null],
      ['Rows:', String(manifest.files.reduce((n, f) => n + f.rows, 0)), null],
      ['Size:', formatBytes(manifest.files.reduce((n, f) => n + f.bytes, 0)), null],
      ['Snapshot:', String(relation.snapshotId), null],
      ['Refreshed:', new Date(relation.refreshedAt).toISOString(), null],
      [
        'Statistics:',
        relation.statistics === null
          ? 'none'
          : new Date(relation.statistics.computedAt).toISOString(),
        null,
      ],
    ]
  }
}

const table = (
  command: string,
  columns: LocalResult['columns'],
  rows: readonly Row[],
): LocalResult => ({
  command,
  columns,
  rows,
})

const columnRows = (relation: RelationRecord): readonly Row[] => {
  const all =
    relation.kind === 'view'
      ? relation.columns
      : [...relation.columns, ...relation.partitionColumns]
  return all.map(
    (c: { readonly name: string; readonly type: string; readonly comment?: string }): Row => [
      c.name,
      c.type,
      c.comment ?? '',
    ],
  )
}

/** `stale`: the table was listed anew since its statistics were computed. */
const statisticsState = (
  statistics: TableStatistics | undefined,
  found: TableRecord,
): 'none' | 'current' | 'stale' =>
  statistics === undefined ? 'none' : isStale(statistics, found) ? 'stale' : 'current'

/** What the footers of all files say of a column; -1 and null where one of them does not say. */
function footerStatistics(
  found: TableRecord,
  manifest: Manifest,
): (name: string) => {
  readonly nulls: number
  readonly min: string | null
  readonly max: string | null
} {
  const { files, schemas, partitions, location } = manifest
  const reading = {
    ...found,
    alias: found.name,
    table: found.name,
    id: 0,
    location,
    schemas,
    files,
  }
  const scan = {
    ...reading,
    partitions,
    filesTotal: 0,
    partitionsTotal: 0,
    partitionsLeft: 0,
    statistics: undefined,
  }
  return (name) => {
    const column = columnReader(scan, name)
    const bounds = files.flatMap((file) => column?.boundsOf(file) ?? [])
    const { nulls, min, max } = boundsTogether(bounds)
    const shown = (bound: Bound | undefined): string | null =>
      bound === undefined || column?.domain === undefined
        ? null
        : (boundText(bound, column.domain) ?? null)
    return {
      nulls: column === undefined || nulls === undefined ? -1 : nulls,
      min: shown(min),
      max: shown(max),
    }
  }
}

type PartitionTotal = readonly [
  values: readonly (string | null)[],
  files: number,
  rows: number,
  bytes: number,
]

function partitionTotals(manifest: Manifest): readonly PartitionTotal[] {
  const totals = manifest.partitions.map(() => ({ files: 0, rows: 0, bytes: 0 }))
  for (const file of manifest.files) {
    const total = totals[file.partition]
    if (total === undefined) continue
    total.files++
    total.rows += file.rows
    total.bytes += file.bytes
  }
  return manifest.partitions.map((values, i) => [
    values,
    totals[i]?.files ?? 0,
    totals[i]?.rows ?? 0,
    totals[i]?.bytes ?? 0,
  ])
}

/** Columns that directories are named for, or the partition fields of a managed table. */
const partitionNames = ({ partitionColumns, layout }: Manifest): readonly string[] =>
  layout?.fields.map(({ name }) => name) ?? partitionColumns

const partitionText = (names: readonly string[], values: readonly (string | null)[]): string =>
  names.map((name, i) => `${name}=${values[i] ?? 'NULL'}`).join('/')

function partitionFilter(
  statement: ShowFiles,
  table: string,
  names: readonly string[],
): (values: readonly (string | null)[]) => boolean {
  const wanted = (statement.partition ?? []).map(({ column, value }) => {
    const index = names.findIndex((name) => foldName(name) === foldName(column))
    if (index >= 0) return { index, value }
    throw new SqlError(
      'undefined_column',
      `"${column}" is not a partition column of table "${table}"`,
    )
  })
  return (values) =>
    wanted.every(({ index, value }) => samePartitionValue(values[index] ?? null, value))
}

/** `month=01` is the partition that `PARTITION (month = 1)` means. */
function samePartitionValue(found: string | null, wanted: string | null): boolean {
  if (found === null || wanted === null) return found === wanted
  return (
    found === wanted ||
    (/^-?\d+$/.test(found) && /^-?\d+$/.test(wanted) && BigInt(found) === BigInt(wanted))
  )
}

/** `*` and `|` as in Impala, `%` and `_` as in SQL; without a pattern everything matches. Case does not matter. */
function likePattern(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true
  const source = pattern
    .split('|')
    .map((part) =>
      part
        .replace(/[.+?^${}()[\]\\]/g, '\\$&')
        .replace(/[*%]/g, '.*')
        .replace(/_/g, '.'),
    )
    .join('|')
  const expression = new RegExp(`^(?:${source})$`, 'iu')
  return (name) => expression.test(name)
}
