import { silentLog, systemClock } from '@nyala/client/base'
import type { Listing } from '@nyala/executor/protocol'
import { Catalog, type ColumnRecord, Keys, openCluster } from '@nyala/metastore'
import { createDatabase, createRelation, MemoryEtcd, replaceView } from '@nyala/metastore/memory'
import { type BindContext, type BoundQuery, bindQuery } from '../bind/bind-query.ts'
import type { KernelFunctions } from '../bind/functions.ts'
import { Mirror } from '../bind/mirror.ts'
import { estimate } from '../plan/estimate/estimate.ts'
import type { LogicalPlan } from '../plan/logical/relation.ts'
import type { PhysicalPlan } from '../plan/physical-plan.ts'
import { planOfQuery } from '../plan/bound-plan/plan-of-query.ts'
import { type PlanOptions, planQuery } from '../plan/planner.ts'
import { optimize } from '../plan/rules/index.ts'
import { SqlFrontEnd } from '../sql/front-end.ts'
import type { QueryBody } from '../sql/statement.ts'
import type { Dialect } from '../sql/token.ts'
import { checkSchemas, inferColumns } from '../table/external-table.ts'
import { dataColumns, type Manifest, manifestOf } from '../table/manifest.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import type { TableStatistics } from '../table/statistics.ts'

export { COST_NS } from '../plan/fragment/cost.ts'
export { PLAN_STEPS, type PlanStep, timePlanSteps } from './plan-steps.ts'

export const FORCED: PlanOptions = {
  distribution: 'force',
  distributionMinBytes: 0,
  broadcastMaxBytes: 0,
  slots: 3,
  executors: 3,
}

export interface PlannedText {
  readonly bound: BoundQuery
  readonly plan: PhysicalPlan
}

export interface NewWorldTable {
  readonly name: string
  readonly database?: string | undefined
  readonly listing: Listing
  /** Absent: what the files say. */
  readonly columns?: readonly ColumnRecord[] | undefined
  readonly partitionColumns?: readonly ColumnRecord[] | undefined
  /** What COMPUTE STATS would find; absent: it was never run. */
  readonly statistics?: Pick<TableStatistics, 'rows' | 'columns'> | undefined
}

/**
 * A coordinator's front end, binder and planner over a catalog in memory: all of what stands between a text and its
 * plan, and none of what needs a cluster. Plans are the ones that production makes.
 */
export class PlanningWorld implements AsyncDisposable {
  readonly catalog: Catalog
  readonly frontEnd: SqlFrontEnd
  readonly mirror: Mirror
  readonly functions: KernelFunctions
  readonly manifests: ManifestStore

  private constructor(parts: {
    catalog: Catalog
    frontEnd: SqlFrontEnd
    mirror: Mirror
    functions: KernelFunctions
    manifests: ManifestStore
  }) {
    this.catalog = parts.catalog
    this.frontEnd = parts.frontEnd
    this.mirror = parts.mirror
    this.functions = parts.functions
    this.manifests = parts.manifests
  }

  /** `directory` takes the manifests. */
  static async open(directory: string): Promise<PlanningWorld> {
    const clock = systemClock
    const on = {
      kv: new MemoryEtcd(clock).connect(),
      keys: new Keys('planning'),
      clock,
      log: silentLog,
    }
    await openCluster(on)
    return PlanningWorld.over(await Catalog.open(on), directory)
  }

  /** Over a catalog that is there, whose manifests lie in `directory`. Closes the catalog with itself. */
  static async over(catalog: Catalog, directory: string): Promise<PlanningWorld> {
    const mirror = await Mirror.open(systemClock)
    return new PlanningWorld({
      catalog,
      frontEnd: await SqlFrontEnd.open(),
      mirror,
      functions: await mirror.kernelFunctions(),
      manifests: new ManifestStore(directory),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.catalog.close()
    this.frontEnd.close()
    this.mirror.close()
  }

  async addDatabase(name: string): Promise<void> {
    const { revision } = await createDatabase(this.catalog, { name })
    await this.catalog.atLeast(revision)
  }

  /** CREATE EXTERNAL TABLE without the listing. Fails as that does. */
  async addTable(table: NewWorldTable): Promise<Manifest> {
    const partitionColumns = table.partitionColumns ?? []
    const names = partitionColumns.map((c) => c.name)
    const own = {
      ...table.listing,
      schemas: table.listing.schemas.map((schema) => dataColumns(schema, partitionColumns)),
    }
    const columns = table.columns ?? inferColumns(own)
    checkSchemas(table.listing, columns)
    const manifest = manifestOf(table.listing, names)
    const pointer = await this.manifests.write(manifest)
    const { crc32, bytes } = pointer
    const { statistics } = table
    const { revision } = await createRelation(this.catalog, {
      kind: 'external',
      database: table.database ?? 'default',
      name: table.name,
      location: table.listing.location,
      columns,
      partitionColumns,
      schemaVersion: 1,
      snapshotId: 1,
      manifest: pointer,
      statistics:
        statistics === undefined
          ? null
          : await this.manifests.writeStatistics({
              ...statistics,
              format: 1,
              computedAt: 0,
              manifest: { crc32, bytes },
            }),
      refreshedAt: 0,
    })
    await this.catalog.atLeast(revision)
    return manifest
  }

  /** CREATE OR REPLACE VIEW in a database, which is also the one that its text was written in. */
  async addView(
    name: string,
    sql: string,
    database = 'default',
    dialect: Dialect = 'ansi',
  ): Promise<void> {
    const bound = await this.bind(sql, { database, dialect })
    const { revision } = await replaceView(this.catalog, {
      kind: 'view',
      database,
      name,
      sql,
      sessionDatabase: database,
      dialect,
      columns: bound.columns ?? [],
    })
    await this.catalog.atLeast(revision)
  }

  async bind(
    sql: string,
    session: {
      readonly database?: string
      readonly dialect?: Dialect
      readonly timezone?: string
      readonly findFiles?: BindContext['findFiles']
    } = {},
  ): Promise<BoundQuery> {
    const body = await this.frontEnd.parseQuery(sql, { dialect: session.dialect ?? 'ansi' })
    return this.bindBody(body, sql, session)
  }

  /** Binds a text that has been read. */
  bindBody(
    body: QueryBody,
    sql: string,
    session: {
      readonly database?: string
      readonly timezone?: string
      readonly findFiles?: BindContext['findFiles']
    } = {},
  ): Promise<BoundQuery> {
    return bindQuery(body.query, body.source.sql, {
      catalog: this.catalog.snapshot(),
      database: session.database ?? 'default',
      timezone: session.timezone ?? 'UTC',
      source: { text: sql, toUser: body.source.toUser },
      mirror: this.mirror,
      manifests: this.manifests,
      functions: this.functions,
      viewQuery: async (view) =>
        (await this.frontEnd.parseQuery(view.sql, { dialect: view.dialect as Dialect })).query,
      findFiles:
        session.findFiles ??
        ((file) => Promise.reject(new Error(`no files in this world: ${file.patterns.join()}`))),
    })
  }

  /** The logical plan of a bound query, before any rule; or why there is none. */
  logicalPlan(bound: BoundQuery, database = 'default'): Promise<LogicalPlan | string> {
    const { query, scans, columns = [] } = bound
    const { mirror, functions } = this
    return planOfQuery({ query, scans, columns }, { mirror, functions, database })
  }

  /** The same plan after all rules. */
  optimized(plan: LogicalPlan, { scans }: BoundQuery): LogicalPlan {
    const world = { scans: new Map(scans.map((scan) => [scan.id, scan])) }
    return optimize(plan, (relation) => estimate(relation, world), world.scans)
  }

  async plan(
    sql: string,
    options: PlanOptions = FORCED,
    database = 'default',
  ): Promise<PlannedText> {
    const bound = await this.bind(sql, { database })
    const plan = await planQuery(
      {
        query: bound.query,
        scans: bound.scans,
        columns: bound.columns,
        functions: this.functions,
        options,
      },
      (query, scans, columns) =>
        planOfQuery(
          { query, scans, columns },
          { mirror: this.mirror, functions: this.functions, database },
        ),
    )
    return { bound, plan }
  }
}
