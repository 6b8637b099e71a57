import { assert } from '@nyala/client/base'
import { positionAt, SqlError } from '@nyala/client/protocol'
import { type CatalogSnapshot, foldName, type TableRecord, type ViewRecord } from '@nyala/metastore'
import type { BaseTable, ColumnRef, Constant, Query, TableFunction, TableRef } from '../sql/ir.ts'
import { scanMark } from '../plan/physical-plan.ts'
import { type DescribedQuery, describedVersions, mirroredName } from './described-query.ts'
import { ALLOWED_TABLE_FUNCTIONS, tableFunctionUse } from './functions.ts'
import { CATALOG_NAME, type MirroredRelation } from './mirror.ts'
import { didYouMean } from './nearest.ts'
import { sessionFunctions } from './session-functions.ts'
import { mapChildren, mapTree, someNode, visitTree } from '../sql/ir/tree.ts'

/** Views within views; deeper is refused, and so are cycles. */
export const VIEW_DEPTH_MAX = 32

/** One use of a table of the catalog; in the tree it stands as a table named by `scanMark(id)`. */
export interface ScanRef {
  readonly id: number
  readonly table: TableRecord
  readonly alias: string
  /** Of the table, where it is not the newest as a whole. */
  readonly version?: TableVersion | undefined
}

/** A table function over files, which an executor has to find before the query can run. */
export interface FileRef {
  readonly node: TableFunction
  readonly what: 'files' | 'paths'
  readonly patterns: readonly string[]
}

export interface ResolvedQuery {
  /** Tables are marks, views are subqueries, session functions are constants. */
  readonly query: Query
  readonly scans: readonly ScanRef[]
  /** The relations that the text itself names: what the mirror needs to read it. */
  readonly relations: readonly MirroredRelation[]
  /** The query with tables at a snapshot as relations of their own, which the mirror knows; undefined without such. */
  readonly described: DescribedQuery | undefined
  readonly files: readonly FileRef[]
  /** Ids of the views that were expanded, those inside views included. */
  readonly views: ReadonlySet<string>
}

export interface ResolveContext {
  readonly catalog: CatalogSnapshot
  readonly database: string
  /** The whole text that positions refer to. */
  readonly text: string
  /** The tree of a view's text. */
  viewQuery(view: ViewRecord): Promise<Query>
  /** A table as it was at the snapshot that a reference to it names. */
  tableVersion(table: TableRecord, asOf: AsOf): Promise<TableVersion>
  /** What tables of the database {@link TARGET_SCHEMA} stand for, by name. */
  readonly targets?: ReadonlyMap<string, TableVersion> | undefined
}

export type AsOf = NonNullable<BaseTable['asOf']>

/** A table as a reference reads it: as it was, or the part of it that a statement of ours is about. */
export interface TableVersion {
  /** With the columns that the reference has. */
  readonly table: TableRecord
  /** Undefined: the newest. */
  readonly snapshot?: bigint | undefined
  /** Absolute paths of the files that are read; undefined: all. */
  readonly files?: ReadonlySet<string> | undefined
  /** Its columns end in those of the rows' places. */
  readonly places?: boolean | undefined
}

/** The database of tables that only statements of ours can name; see {@link ResolveContext.targets}. */
export const TARGET_SCHEMA = '$target'

interface Scope {
  readonly context: ResolveContext
  readonly database: string
  readonly ctes: ReadonlySet<string>
  /** Ids of the views being expanded. */
  readonly views: readonly string[]
}

interface Found {
  readonly scans: ScanRef[]
  readonly relations: Map<string, MirroredRelation>
  readonly files: FileRef[]
  readonly qualifiers: Set<string>
  /** By the reference; those of views included. */
  readonly versions: ReadonlyMap<BaseTable, TableVersion>
}

/**
 * Whether what a query means may depend on the catalog. Any name of a table counts, those of WITH and of files too: a table
 * of that name would come first.
 */
export const readsCatalog = (query: Query): boolean =>
  someNode(query, ({ kind }) => kind === 'table')

/** Replaces every name of a table by what the catalog says it is. Fails with `undefined_table` and the nearest names. */
export async function resolveQuery(query: Query, context: ResolveContext): Promise<ResolvedQuery> {
  const scope: Scope = { context, database: context.database, ctes: new Set(), views: [] }
  const { views, versions } = await load(query, scope)
  const found: Found = {
    ...{ scans: [], relations: new Map(), files: [], qualifiers: new Set(), versions },
  }
  const resolved = resolveIn(query, scope, found, views)
  const described = describedVersions(query, versions, context.database)
  return {
    query: sessionFunctions(unqualify(resolved, found.qualifiers), context.database),
    described: described && { ...described, query: unqualify(described.query, found.qualifiers) },
    scans: found.scans,
    relations: [...found.relations.values()],
    files: found.files,
    views: new Set(views.keys()),
  }
}

type Views = ReadonlyMap<string, Query>

/** The trees of all views that a query uses, and the snapshots that it names, those inside views included. */
async function load(
  query: Query,
  scope: Scope,
): Promise<{ readonly views: Views; readonly versions: Found['versions'] }> {
  const views = new Map<string, Query>()
  const versions = new Map<BaseTable, TableVersion>()
  const loadIn = async (tree: Query, inner: Scope): Promise<void> => {
    const names: BaseTable[] = []
    visitTree(tree, (node) => {
      if (node.kind === 'table') names.push(node as BaseTable)
      return undefined
    })
    for (const ref of names) {
      const target = targetOf(ref, scope)
      if (target !== undefined) versions.set(ref, target)
      const database = ref.schema ?? inner.database
      const relation = scope.context.catalog.relation(database, ref.table)?.record
      if (relation === undefined) continue
      if (relation.kind !== 'view') {
        if (ref.asOf === undefined) continue
        versions.set(ref, await versionOf(ref, relation, inner))
      } else if (!views.has(relation.id)) {
        const body = await scope.context.viewQuery(relation)
        views.set(relation.id, body)
        await loadIn(body, { ...inner, database: relation.sessionDatabase, views: [relation.id] })
      }
    }
  }
  await loadIn(query, scope)
  return { views, versions }
}

const targetOf = (ref: BaseTable, { context }: Scope): TableVersion | undefined =>
  ref.schema === TARGET_SCHEMA ? context.targets?.get(ref.table) : undefined

/** Errors have the place of the reference. */
async function versionOf(ref: BaseTable, table: TableRecord, scope: Scope): Promise<TableVersion> {
  assert(ref.asOf !== undefined, 'the reference names a snapshot')
  try {
    return await scope.context.tableVersion(table, ref.asOf)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    const { message, detail, hint } = error
    const position = positionOf(ref, scope)
    throw new SqlError(error.error, message, { detail, hint, position, cause: error })
  }
}

/** Walks any part of a tree, keeping track of which names WITH has taken. */
function resolveIn<T>(tree: T, scope: Scope, found: Found, views: Views): T {
  return mapTree(tree, (node) => {
    if (node.kind === 'select' || node.kind === 'setOperation') {
      const query = node as Query
      if (query.ctes.length === 0) return undefined
      return resolveWith(query, scope, found, views)
    }
    if (node.kind === 'table') return resolveTable(node as BaseTable, scope, found, views)
    if (node.kind === 'tableFunction') {
      const ref = node as TableFunction
      const inner = mapChildren(ref, (child) => resolveIn(child, scope, found, views))
      checkTableFunction(inner, scope, found)
      return inner
    }
    return undefined
  })
}

/** A CTE sees those before it, and itself where it is recursive; the body sees all. */
function resolveWith(query: Query, scope: Scope, found: Found, views: Views): Query {
  let inner = scope
  const ctes = query.ctes.map((cte) => {
    const named: Scope = { ...inner, ctes: new Set([...inner.ctes, foldName(cte.name)]) }
    const body = resolveIn(cte.query, cte.query.kind === 'recursive' ? named : inner, found, views)
    inner = named
    return { ...cte, query: body }
  })
  const { ctes: _, ...rest } = query
  const body = mapChildren(rest, (child) => resolveIn(child, inner, found, views))
  return { ...body, ctes } as Query
}

function resolveTable(ref: BaseTable, scope: Scope, found: Found, views: Views): TableRef {
  if (ref.schema === undefined && scope.ctes.has(foldName(ref.table))) {
    if (ref.asOf === undefined) return ref
    throw refuse(`"${ref.table}" is a query of WITH: only tables have snapshots`, ref, scope)
  }
  if (ref.catalog !== undefined && foldName(ref.catalog) !== CATALOG_NAME) {
    throw new SqlError('undefined_database', `catalog "${ref.catalog}" does not exist`, {
      position: positionOf(ref, scope),
      hint: `the only catalog is "${CATALOG_NAME}"`,
    })
  }
  const database = ref.schema ?? scope.database
  const version = found.versions.get(ref)
  const relation = version?.table ?? scope.context.catalog.relation(database, ref.table)?.record
  if (relation === undefined) {
    const file = ref.schema === undefined ? fileTable(ref) : undefined
    if (file === undefined) throw undefinedTable(ref, database, scope)
    checkTableFunction(file, scope, found)
    return file
  }
  if (scope.views.length === 0) {
    const [known, name] = mirroredName(ref, database, version)
    remember(found, known, name, relation)
  }
  if (ref.schema !== undefined) {
    const [schema, name] =
      ref.schema === TARGET_SCHEMA ? [relation.database, relation.name] : [ref.schema, ref.table]
    found.qualifiers.add(`${foldName(schema)}.${foldName(name)}`)
  }
  if (relation.kind === 'view') {
    if (ref.asOf === undefined) return expandView({ ref, view: relation }, scope, found, views)
    throw refuse(
      `"${ref.table}" is a view: only tables have snapshots; name one in the text of the view`,
      ref,
      scope,
    )
  }
  const id = found.scans.length
  const alias = ref.alias ?? ref.table
  found.scans.push({ id, table: version?.table ?? relation, alias, version })
  const { schema: _schema, catalog: _catalog, asOf: _asOf, ...rest } = ref
  return { ...rest, table: scanMark(id), alias }
}

function remember(
  found: Found,
  database: string,
  name: string,
  relation: TableRecord | ViewRecord,
): void {
  const columns =
    relation.kind === 'view'
      ? relation.columns
      : [...relation.columns, ...relation.partitionColumns]
  found.relations.set(`${foldName(database)}.${foldName(name)}`, { database, name, columns })
}

function expandView(
  { ref, view }: { readonly ref: BaseTable; readonly view: ViewRecord },
  scope: Scope,
  found: Found,
  views: Views,
): TableRef {
  const body = views.get(view.id)
  if (body === undefined || scope.views.includes(view.id)) {
    throw refuse(`view "${view.database}.${view.name}" refers to itself`, ref, scope)
  }
  if (scope.views.length >= VIEW_DEPTH_MAX) {
    throw new SqlError(
      'statement_too_complex',
      `views are nested more than ${VIEW_DEPTH_MAX} deep`,
      {
        position: positionOf(ref, scope),
      },
    )
  }
  const inner: Scope = {
    context: scope.context,
    database: view.sessionDatabase,
    ctes: new Set(),
    views: [...scope.views, view.id],
  }
  const names = view.columns.map((c) => c.name)
  return {
    kind: 'subquery',
    query: sessionFunctions(resolveIn(body, inner, found, views), view.sessionDatabase),
    alias: ref.alias ?? ref.table,
    columnAliases: [...ref.columnAliases, ...names.slice(ref.columnAliases.length)],
    ...(ref.sample === undefined ? {} : { sample: ref.sample }),
    ...(ref.at === undefined ? {} : { at: ref.at }),
  }
}

/** `FROM 'data/a.parquet'`: a file in the place of a table, by its ending. */
function fileTable(ref: BaseTable): TableFunction | undefined {
  const reader = Object.entries({
    read_parquet: /\.(parquet|parq)$/i,
    read_csv: /\.(csv|tsv)(\.gz|\.zst)?$/i,
    read_json: /\.(json|jsonl|ndjson)(\.gz|\.zst)?$/i,
  }).find(([, pattern]) => pattern.test(ref.table))?.[0]
  if (reader === undefined) return undefined
  const path: Constant = {
    kind: 'constant',
    type: { kind: 'simple', name: 'VARCHAR' },
    value: ref.table,
  }
  const stem = /([^/]*?)\.[^/]*$/.exec(ref.table)?.[1]
  return {
    kind: 'tableFunction',
    call: {
      kind: 'function',
      name: reader,
      args: [path],
      distinct: false,
      orderBy: [],
      operator: false,
    },
    withOrdinality: false,
    alias: ref.alias ?? stem,
    columnAliases: ref.columnAliases,
    ...(ref.sample === undefined ? {} : { sample: ref.sample }),
    ...(ref.at === undefined ? {} : { at: ref.at }),
  }
}

function checkTableFunction(ref: TableFunction, scope: Scope, found: Found): void {
  const use = tableFunctionUse(ref)
  if (use === 'pure') return
  if (use === 'refused') {
    throw new SqlError(
      'undefined_function',
      `table function "${ref.call.name}" cannot be called here`,
      {
        position: positionOf(ref, scope),
        hint:
          didYouMean(ref.call.name, ALLOWED_TABLE_FUNCTIONS) ??
          `these can: ${ALLOWED_TABLE_FUNCTIONS.join(', ')}`,
      },
    )
  }
  const patterns = constantTexts(ref.call.args[0])
  if (patterns === undefined) {
    throw refuse(
      `the first argument of "${ref.call.name}" must be a path or a list of paths, written out`,
      ref,
      scope,
    )
  }
  found.files.push({ node: ref, what: use === 'parquet' ? 'files' : 'paths', patterns })
}

/** The texts of `'a'`, `['a', 'b']` or `ARRAY['a']`; undefined for anything else. */
function constantTexts(argument: unknown): readonly string[] | undefined {
  const node = argument as { readonly kind?: string } | undefined
  if (node?.kind === 'constant') {
    const { type, value } = node as Constant
    // A number is kept as text, too.
    return typeof value === 'string' && type.kind === 'simple' && type.name === 'VARCHAR'
      ? [value]
      : undefined
  }
  const items =
    node?.kind === 'array'
      ? (node as { readonly elements?: readonly unknown[] }).elements
      : node?.kind === 'function' && (node as { readonly name?: string }).name === 'list_value'
        ? (node as { readonly args?: readonly unknown[] }).args
        : undefined
  if (items === undefined) return undefined
  const texts = items.map((item) => constantTexts(item)?.[0])
  return texts.every((t) => t !== undefined) ? texts : undefined
}

/** Puts the paths that an executor found in the place of the patterns. */
export function substituteFiles(
  query: Query,
  paths: ReadonlyMap<TableFunction, readonly string[]>,
): Query {
  return mapTree(query, (node) => {
    const list = paths.get(node as TableFunction)
    if (list === undefined) return undefined
    const ref = node as TableFunction
    const elements = list.map((value): Constant => ({
      kind: 'constant',
      type: { kind: 'simple', name: 'VARCHAR' },
      value,
    }))
    return {
      ...ref,
      call: { ...ref.call, args: [{ kind: 'array', elements }, ...ref.call.args.slice(1)] },
    }
  })
}

/** `sales.orders.id` becomes `orders.id`: the table is known by its alias alone once its name is resolved. */
function unqualify(query: Query, qualifiers: ReadonlySet<string>): Query {
  if (qualifiers.size === 0) return query
  return mapTree(query, (node) => {
    if (node.kind !== 'column') return undefined
    const whole = (node as ColumnRef).path
    const hasCatalog = whole.length > 3 && foldName(whole[0] ?? '') === CATALOG_NAME
    const path = hasCatalog ? whole.slice(1) : whole
    const [database, table] = path
    if (path.length < 3 || database === undefined || table === undefined) return undefined
    if (!qualifiers.has(`${foldName(database)}.${foldName(table)}`)) return undefined
    return { ...(node as ColumnRef), path: path.slice(1) }
  })
}

function undefinedTable(ref: BaseTable, database: string, scope: Scope): SqlError {
  const position = positionOf(ref, scope)
  const { catalog } = scope.context
  if (catalog.database(database) === undefined) {
    const names = catalog.databases().map((d) => d.record.name)
    return new SqlError('undefined_database', `database "${database}" does not exist`, {
      position,
      hint: didYouMean(database, names) ?? 'SHOW DATABASES lists them',
    })
  }
  const names = catalog.relations(database).map((r) => r.record.name)
  return new SqlError(
    'undefined_table',
    `table "${ref.table}" does not exist in database "${database}"`,
    {
      position,
      hint:
        didYouMean(ref.table, names) ??
        elsewhere(ref.table, scope) ??
        `SHOW TABLES IN ${database} lists them`,
    },
  )
}

/** A table of that name in another database is the likeliest thing meant. */
function elsewhere(name: string, scope: Scope): string | undefined {
  const { catalog } = scope.context
  const found = catalog
    .databases()
    .map((d) => catalog.relation(d.record.name, name)?.record)
    .filter((record) => record !== undefined)
    .map((record) => `"${record.database}.${record.name}"`)
  return found.length === 0 ? undefined : `did you mean ${found.slice(0, 3).join(' or ')}?`
}

const positionOf = (
  node: { readonly at?: number | undefined },
  scope: Scope,
): ReturnType<typeof positionAt> | undefined =>
  // Inside a view, positions are those of the view's text, which the user did not write now.
  node.at === undefined || scope.views.length > 0
    ? undefined
    : positionAt(scope.context.text, node.at)

const refuse = (
  message: string,
  node: { readonly at?: number | undefined },
  scope: Scope,
): SqlError => new SqlError('feature_not_supported', message, { position: positionOf(node, scope) })
