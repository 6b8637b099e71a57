import { type Column, SqlError } from '@nyala/client/protocol'
import type { CatalogSnapshot, TableRecord, ViewRecord } from '@nyala/metastore'
import { foldName } from '@nyala/metastore'
import type { Scan } from '../plan/scan.ts'
import type { ColumnRef, Expression, Query, TableFunction } from '../sql/ir.ts'
import { renderExpression, renderQuery } from '../sql/renderer.ts'
import { absolutePath, type Manifest } from '../table/manifest.ts'
import type { ManifestStore } from '../table/manifest-store.ts'
import { isStale } from '../table/statistics.ts'
import { isUnrepeatable, type KernelFunctions } from './functions.ts'
import type { SourceMap } from './kernel-errors.ts'
import { manifestTest } from './manifest-test.ts'
import type { Mirror, MirroredRelation } from './mirror.ts'
import {
  type FileRef,
  type ResolvedQuery,
  resolveQuery,
  type ScanRef,
  substituteFiles,
  type TableVersion,
} from './resolve.ts'
import { scanPredicates } from './scan-predicates.ts'
import { TableVersions } from './table-versions.ts'
import { mapTree, someNode } from '../sql/ir/tree.ts'

/** A query whose names are resolved, whose types are known, and whose scans have the files that can matter. */
export interface BoundQuery {
  readonly query: Query
  readonly scans: readonly Scan[]
  /** Undefined where only the kernel will know: the query reads files that are no table. */
  readonly columns: readonly Column[] | undefined
  /** Relations of the text, for whoever wants to describe it again. */
  readonly relations: readonly MirroredRelation[]
  /** Ids of the views that it stands on. */
  readonly views: ReadonlySet<string>
  /** It reads a table as of a time that is another one later, though the catalog stays as it is. */
  readonly moves: boolean
}

export interface BindContext {
  readonly catalog: CatalogSnapshot
  readonly database: string
  readonly source: SourceMap
  /** Of the session. */
  readonly timezone: string
  readonly mirror: Mirror
  readonly manifests: ManifestStore
  readonly functions: KernelFunctions
  viewQuery(view: ViewRecord): Promise<Query>
  /** Told of the scans while the kernel is still asked for names and types: it may plan meanwhile. Must not throw. */
  ahead?(query: Query, scans: readonly Scan[]): void
  /** What tables of the database `$target` stand for. */
  readonly targets?: ReadonlyMap<string, TableVersion> | undefined
  /** Finds the files that patterns name; fails where they are outside the roots. */
  findFiles(file: FileRef): Promise<readonly string[]>
}

/** Binds a query against one snapshot of the catalog. `sql` is the text whose tree `query` is. */
export async function bindQuery(
  query: Query,
  sql: string,
  context: BindContext,
): Promise<BoundQuery> {
  const versions = new TableVersions(context)
  const resolved = await resolveQuery(query, {
    catalog: context.catalog,
    database: context.database,
    text: context.source.text,
    viewQuery: (view) => context.viewQuery(view),
    tableVersion: (table, asOf) => versions.find(table, asOf),
    targets: context.targets,
  })
  const isDescribed = resolved.files.length === 0
  const describing = isDescribed ? describe(resolved, sql, context) : undefined
  const scanning = bindScans(resolved, context)
  // What is wrong with the text is said before what is wrong with its tables.
  scanning.catch(() => undefined)
  const columns = await describing
  const { query: withFiles, scans } = await scanning
  const { relations, views } = resolved
  return { query: withFiles, scans, columns, relations, views, moves: versions.move }
}

async function bindScans(
  resolved: ResolvedQuery,
  context: BindContext,
): Promise<Pick<BoundQuery, 'query' | 'scans'>> {
  const query = await findAll(resolved.query, resolved.files, context)
  const scans = await Promise.all(resolved.scans.map((ref) => bindScan(ref, query, context)))
  if (resolved.files.length === 0) context.ahead?.(query, scans)
  return { query, scans }
}

/** The mirror's relations have no snapshots: it is asked about a text without them, whose places are not the user's. */
async function describe(
  { described, relations }: Pick<ResolvedQuery, 'described' | 'relations'>,
  sql: string,
  { mirror, database, source }: BindContext,
): Promise<readonly Column[]> {
  if (described === undefined) return mirror.columns(sql, { database, relations, source })
  const columns = await mirror.columns(renderQuery(described.query), { database, relations })
  return columns.map(({ name, type }) => ({ name: described.nameOf(name), type }))
}

async function findAll(
  query: Query,
  files: readonly FileRef[],
  context: BindContext,
): Promise<Query> {
  if (files.length === 0) return query
  const paths = new Map<TableFunction, readonly string[]>()
  for (const file of files) paths.set(file.node, await context.findFiles(file))
  return substituteFiles(query, paths)
}

async function bindScan(ref: ScanRef, query: Query, context: BindContext): Promise<Scan> {
  const { table } = ref
  const { version } = ref
  const manifest = await readVersion(ref, query, context)
  const left = await prune(ref, query, manifest, context)
  return {
    id: ref.id,
    database: table.database,
    table: table.name,
    alias: ref.alias,
    location: manifest.location,
    columns: table.columns,
    partitionColumns: table.partitionColumns,
    schemas: manifest.schemas,
    files:
      left === undefined
        ? manifest.files
        : manifest.files.filter((file) => left.has(file.partition)),
    partitions: manifest.partitions,
    layout: manifest.layout,
    deletes: manifest.deletes,
    fieldIds: manifest.fieldIds,
    retyped: manifest.retyped,
    statistics: version?.snapshot === undefined ? await readStatistics(table, context) : undefined,
    filesTotal: manifest.skipped?.filesTotal ?? manifest.files.length,
    rowGroupsTotal:
      manifest.skipped === undefined
        ? manifest.files.reduce((sum, file) => sum + file.rowGroups.length, 0)
        : undefined,
    skipped: manifest.skipped,
    places: version?.places,
    partitionsTotal: manifest.partitions.length,
    partitionsLeft: left?.size ?? manifest.partitions.length,
  }
}

/** The files of a table that a reference is about. */
async function readVersion(
  { id, table, alias, version }: ScanRef,
  query: Query,
  { manifests }: BindContext,
): Promise<Manifest> {
  const isIceberg = table.kind === 'managed' || table.format === 'iceberg'
  // Of other rows there would be another sample.
  const isSampled = someNode(query, (node) => (node as { sample?: unknown }).sample !== undefined)
  const canMatter =
    isIceberg && !isSampled
      ? manifestTest(scanPredicates(query, id), { alias, columns: table.columns })
      : undefined
  const manifest = await manifests.read(table, { snapshotId: version?.snapshot, canMatter })
  const wanted = version?.files
  if (wanted === undefined) return manifest
  const files = manifest.files.filter(({ path }) =>
    wanted.has(absolutePath(manifest.location, path)),
  )
  return { ...manifest, files }
}

/** A query does without statistics that cannot be read. */
async function readStatistics(
  table: TableRecord,
  context: BindContext,
): Promise<Scan['statistics']> {
  const found = await context.manifests.readStatistics(table).catch(() => undefined)
  return found === undefined ? undefined : { found, stale: isStale(found, table) }
}

/** The key under which the mirror knows the partitions of a table's snapshot. */
export const partitionKey = (table: TableRecord): string =>
  `${table.id}@${table.manifest?.path ?? ''}`

/**
 * Ordinals of the partitions that can hold rows of the result, by the predicates over partition columns alone;
 * undefined means all. No file is opened for this.
 */
async function prune(
  ref: ScanRef,
  query: Query,
  manifest: Manifest,
  context: BindContext,
): Promise<ReadonlySet<number> | undefined> {
  const { table } = ref
  if (table.partitionColumns.length === 0 || manifest.partitions.length === 0) return undefined
  const predicates = scanPredicates(query, ref.id)
    .map(({ expression }) => expression)
    .filter((p) => isOverPartitions(p, ref, context.functions))
  if (predicates.length === 0) return undefined
  const key = partitionKey(table)
  await context.mirror.loadPartitions(key, table.partitionColumns, manifest.partitions)
  const predicate = predicates.map((p) => renderExpression(requalify(p, ref.alias))).join(' AND ')
  const { timezone } = context
  return context.mirror.prune(key, { alias: ref.alias, predicate, timezone })
}

/** True when a predicate speaks of the scan's partition columns and nothing else, and can be computed here. */
function isOverPartitions(
  predicate: Expression,
  ref: ScanRef,
  functions: KernelFunctions,
): boolean {
  const names = new Set(ref.table.partitionColumns.map((c) => foldName(c.name)))
  const others = new Set(ref.table.columns.map((c) => foldName(c.name)))
  let columns = 0
  const isForeign = someNode(predicate, (node) => {
    if (/subquery|exists|parameter|star|positional|lambda/i.test(node.kind)) return true
    if (node.kind !== 'column') return false
    const { path } = node as ColumnRef
    const qualified = path.length > 1 && foldName(path[0] ?? '') === foldName(ref.alias)
    const name = foldName((qualified ? path[1] : path[0]) ?? '')
    columns++
    // A longer path is a field of a struct or of another table.
    return path.length > (qualified ? 2 : 1) || !names.has(name) || others.has(name)
  })
  return columns > 0 && !isForeign && !isUnrepeatable(predicate, functions)
}

const requalify = (predicate: Expression, alias: string): Expression =>
  mapTree(predicate, (node) => {
    if (node.kind !== 'column') return undefined
    return { ...(node as ColumnRef), path: [alias, (node as ColumnRef).path.at(-1) ?? ''] }
  })

/** Fails with `undefined_database`. */
export function requireDatabase(catalog: CatalogSnapshot, name: string): void {
  if (catalog.database(name) !== undefined) return
  throw new SqlError('undefined_database', `database "${name}" does not exist`, {
    hint: 'SHOW DATABASES lists them',
  })
}
