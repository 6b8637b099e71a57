import { failpoint } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { crc32, decodeFrame, unpackBatch } from '@nyala/client/wire'
import type { TableFile } from '@nyala/executor/protocol'
import type { SerialisedPlan } from '../bind/mirror.ts'
import { type BindContext, type BoundQuery, bindQuery } from '../bind/bind-query.ts'
import { readsCatalog } from '../bind/resolve.ts'
import type { PhysicalPlan } from '../plan/physical-plan.ts'
import { planOfQuery } from '../plan/bound-plan/plan-of-query.ts'
import { isConsidered, planQuery } from '../plan/planner.ts'
import { ConstantAnswer } from './constant-answers.ts'
import { KeptPlans, planBytes } from './kept-plans.ts'
import { expectedTasks } from '../plan/fragment/tasks.ts'
import type { AdmissionRequest } from '../schedule/admission.ts'
import { Delivery } from '../schedule/delivery.ts'
import { QueryRun } from '../schedule/query-run.ts'
import { ResultRelay } from '../schedule/result-relay.ts'
import { type TableOutputOf, writtenFiles } from '../schedule/run-exchanges.ts'
import { countTasks } from '../schedule/stage.ts'
import type { QueryBody } from '../sql/statement.ts'
import { totalBytes } from '../table/manifest.ts'
import type { Dialect } from '../sql/token.ts'
import { profileOf, type QueryProfile } from './profile.ts'
import { Quarantine } from './quarantine.ts'
import type { Services } from './services.ts'
import type { OutcomeStatistics, StatementContext, StatementOutcome } from './statement-context.ts'

/** Where a running query stands, for progress messages and `status`. */
export interface QueryProgress {
  readonly tasksDone: number
  readonly tasksRunning: number
  readonly tasksTotal: number
  readonly executors: number
  readonly rowsRead: number
  readonly bytesRead: number
  readonly bytesTotal: number
  readonly rows: number
  /** Of the largest kernel instance that runs a task of it, where that is known. */
  readonly memoryBytes?: number
}

export interface PlannedQuery {
  readonly plan: PhysicalPlan
  readonly columns: readonly Column[] | undefined
  /** False where its text names nothing that the catalog might have: it is the same at each revision. */
  readonly readsCatalog: boolean
  /** Of a constant plan. */
  readonly answer?: ConstantAnswer | undefined
  /** Milliseconds from the statement's arrival: reading, binding and planning; 0 for a plan that was kept. */
  readonly planMs: number
}

/** Bytes of plans kept by their text: a statement that is repeated is not read again while nothing it depends on has changed. */
const PLANS_BYTES_MAX = 64 * 1024 * 1024
const PLAN_TEXT_MAX = 64 * 1024

/** A task over buckets is given this much to read, as long as there is as much. */
const TASK_BYTES_MIN = 4 * 1024 * 1024

/** Binds, plans and runs queries, for one coordinator. */
export class Queries {
  readonly #services: Services
  readonly #plans = new KeptPlans<PlannedQuery>(PLANS_BYTES_MAX)
  readonly #quarantine: Quarantine
  #ownRuns = 0

  constructor(services: Services) {
    this.#services = services
    const { clock, log, id, failover } = services
    this.#quarantine = new Quarantine({ clock, log, self: id, board: failover.board })
  }

  /** The plan of an earlier statement of the same text in the same circumstances. */
  cachedPlan(sql: string, context: StatementContext): PlannedQuery | undefined {
    return this.#plans.get(this.#key(sql, context), context.catalog.revision)
  }

  /** `sql` is the text that the plan is kept under; undefined where it must not be kept. */
  async plan(
    body: QueryBody,
    context: StatementContext,
    sql: string | undefined,
  ): Promise<PlannedQuery> {
    const { clock, mirror, functions } = this.#services
    failpoint('query.planning')
    const options = this.#options(context)
    const { database } = context.session
    let ahead: Promise<SerialisedPlan | undefined> | undefined
    const bound = await this.bind(body, context, (query, scans) => {
      if (!isConsidered(options, scans)) return
      ahead = mirror.boundPlan(query, scans, database)
      // Whoever wants the plan hears of it; if the query is wrong nobody does.
      ahead.catch(() => undefined)
    })
    const plan = await planQuery(
      {
        query: bound.query,
        scans: bound.scans,
        columns: bound.columns,
        functions,
        options,
      },
      (query, scans, columns) =>
        planOfQuery({ query, scans, columns }, { mirror, functions, database, bound: ahead }),
    )
    const planned = {
      plan,
      columns: bound.columns,
      readsCatalog: readsCatalog(body.query),
      ...(plan.constant === true ? { answer: new ConstantAnswer() } : {}),
      planMs: clock.now() - context.startedAt,
    }
    // Files named in the text may come and go; tables only change with the catalog's revision.
    const canBeKept = bound.columns !== undefined && !bound.moves
    if (sql !== undefined && sql.length <= PLAN_TEXT_MAX && canBeKept) {
      const revision = planned.readsCatalog ? context.catalog.revision : undefined
      this.#plans.set(this.#key(sql, context), revision, {
        value: { ...planned, planMs: 0 },
        bytes: planBytes(planned.plan, sql),
      })
    }
    return planned
  }

  async bind(
    body: QueryBody,
    context: StatementContext,
    ahead?: BindContext['ahead'],
  ): Promise<BoundQuery> {
    const { frontEnd, mirror, manifests, functions, executors } = this.#services
    return bindQuery(body.query, body.source.sql, {
      catalog: context.catalog,
      database: context.session.database,
      timezone: context.settings.get('timezone'),
      source: { text: context.sql, toUser: body.source.toUser },
      mirror,
      manifests,
      functions,
      ...(ahead === undefined ? {} : { ahead }),
      targets: context.targets,
      viewQuery: async (view) =>
        (await frontEnd.parseQuery(view.sql, { dialect: view.dialect as Dialect })).query,
      findFiles: async (file) => {
        const listing = await executors
          .any()
          .inspect(file.what, file.patterns, { signal: context.signal })
        return listing.files.map((f) => f.path)
      },
    })
  }

  async run(planned: PlannedQuery, context: StatementContext): Promise<StatementOutcome> {
    const { plan, answer, planMs } = planned
    if (answer !== undefined) {
      const outcome = await answer.send(plan, context, this.#services.constants)
      return {
        ...outcome,
        statistics: { planMs },
        profile: { reason: plan.reason, planMs, stages: [] },
      }
    }
    return await this.#whenAdmitted(planned, context, async (queuedMs) => {
      const profile = wantsProfile(planned.plan, context)
      const run = this.#start(planned, context, { profile, relay: context.relay })
      await run.run()
      return {
        command: 'SELECT',
        rows: run.rows,
        statistics: { ...statisticsOf(run), planMs: planned.planMs, queuedMs },
        profile: profileOf(planned, run),
      }
    })
  }

  /** Runs a query whose rows become files of a table. They are on disk when this resolves, and nobody's yet. */
  async write(
    planned: PlannedQuery,
    context: StatementContext,
    table: TableOutputOf,
  ): Promise<{
    readonly files: readonly TableFile[]
    /** Attempts were lost on the way, which may have left files. */
    readonly repeated: boolean
    readonly statistics: OutcomeStatistics
    readonly profile: QueryProfile
  }> {
    const relay = new ResultRelay({ call: 0, creditBytes: 0, send: () => undefined })
    return await this.#whenAdmitted(planned, context, async (queuedMs) => {
      const profile = wantsProfile(planned.plan, context)
      const run = this.#start(planned, context, { profile, relay, table })
      await run.run()
      return {
        files: writtenFiles(run.reports),
        repeated: run.reports.some(({ state }) =>
          state.tasks.some((task) => task.kind === 'finished' && task.attempt > 0),
        ),
        statistics: { ...statisticsOf(run), planMs: planned.planMs, queuedMs },
        profile: profileOf(planned, run),
      }
    })
  }

  /** Runs a query once it may; `work` is told how long it waited. */
  async #whenAdmitted<T>(
    planned: PlannedQuery,
    context: StatementContext,
    work: (queuedMs: number) => Promise<T>,
  ): Promise<T> {
    const { admission, clock } = this.#services
    const { settings, signal, sender } = context
    this.#quarantine.check(context)
    const since = clock.now()
    const leave = await admission.enter({
      ...admissionRequest(planned.plan, settings.bytes('mem_limit'), this.#slots()),
      session: sender,
      queueTimeoutMs: settings.number('queue_timeout_s') * 1_000,
      signal,
      onQueued: (why) => context.onQueued(why),
    })
    try {
      return await work(clock.now() - since)
    } catch (error) {
      await this.#quarantine.note(context, error)
      throw error
    } finally {
      leave()
    }
  }

  /** Runs a query for what can be learned from it; its rows go nowhere. */
  async analyze(planned: PlannedQuery, context: StatementContext): Promise<QueryProfile> {
    const relay = new ResultRelay({
      call: 0,
      creditBytes: Number.MAX_SAFE_INTEGER,
      send: () => undefined,
    })
    return await this.#whenAdmitted(planned, context, async () => {
      const run = this.#start(planned, context, { profile: true, relay })
      await run.run()
      return profileOf(planned, run)
    })
  }

  /** The columns of a query. One over files that are no table is run for that, without a row. */
  async columnsOf(body: QueryBody, context: StatementContext): Promise<readonly Column[]> {
    const { columns } = await this.bind(body, context)
    if (columns !== undefined) return columns
    const { frontEnd } = this.#services
    const none = await frontEnd.parseQuery(`SELECT * FROM (${body.sql}) AS "source" LIMIT 0`)
    const inner = { ...context, sql: none.text }
    const planned = await this.plan(none, inner, undefined)
    const relay = new ResultRelay({
      call: 0,
      creditBytes: Number.MAX_SAFE_INTEGER,
      send: () => undefined,
    })
    return await this.#whenAdmitted(planned, inner, async () => {
      const run = this.#start(planned, inner, { profile: false, relay })
      await run.run()
      if (run.columns === undefined) throw new Error('a query that has run has columns')
      return run.columns
    })
  }

  /** Runs a query of the coordinator's own and returns its rows. For small results. */
  async collect(
    body: QueryBody,
    context: StatementContext,
  ): Promise<readonly (readonly unknown[])[]> {
    return this.collectPlanned(await this.plan(body, context, undefined), context)
  }

  /** The same of a query that is planned. */
  async collectPlanned(
    planned: PlannedQuery,
    context: StatementContext,
  ): Promise<readonly (readonly unknown[])[]> {
    const messages: Uint8Array[] = []
    const relay = new ResultRelay({
      call: 0,
      creditBytes: Number.MAX_SAFE_INTEGER,
      send: (frame) => messages.push(arrowMessageOf(frame)),
    })
    await this.#whenAdmitted(planned, context, () =>
      this.#start(planned, context, { profile: false, relay }).run(),
    )
    relay.checkEnds()
    const { tableFromIPC } = await import('apache-arrow')
    const table = tableFromIPC(Buffer.concat(messages))
    return Array.from({ length: table.numRows }, (_, row) =>
      Array.from(
        { length: table.numCols },
        (__, i): unknown => table.getChildAt(i)?.get(row) ?? null,
      ),
    )
  }

  #start(
    planned: PlannedQuery,
    context: StatementContext,
    how: {
      readonly profile: boolean
      readonly relay: ResultRelay
      readonly table?: TableOutputOf
    },
  ): QueryRun {
    const { clock, log, executors } = this.#services
    const isResult = how.relay === context.relay
    let delivery: Delivery | undefined
    const run: QueryRun = new QueryRun({
      clock,
      log,
      executors,
      // A statement may run several: where an executor has not heard that one has ended, its tasks are not the next one's.
      queryId: isResult ? context.queryId : `${context.queryId}-${++this.#ownRuns}`,
      session: context.sender,
      plan: planned.plan,
      relay: how.relay,
      slots: this.#slots(),
      taskBytesMin: context.settings.distribution === 'force' ? 0 : TASK_BYTES_MIN,
      memoryLimitBytes: context.settings.bytes('mem_limit'),
      spillLimitBytes: context.settings.bytes('max_spill_bytes'),
      profile: how.profile,
      kernelSettings: kernelSettings(context),
      table: how.table,
      rowsMax: isResult ? context.settings.number('max_rows') : 0,
      signal: context.signal,
      onColumns: (columns) => {
        if (isResult) context.onColumns(columns)
      },
      delivered: () => delivery?.settled() ?? Promise.resolve(),
    })
    if (isResult) delivery = this.#delivery(run, context)
    context.onRunning({
      progress: () => ({
        ...run.progress(),
        tasksTotal: run.tasksTotal,
        executors: run.executorsUsed,
        rows: run.rows,
      }),
      profile: () => profileOf(planned, run),
    })
    return run
  }

  /** Of a result that is not sent in one go a record is written first, so that others can go on with it. */
  #delivery(run: QueryRun, context: StatementContext): Delivery {
    const { clock, log, resumption } = this.#services
    const { relay, serving, signal, session, settings, queryId } = context
    const record = async (): Promise<void> => {
      signal.throwIfAborted()
      const query = {
        id: queryId,
        sql: context.sql,
        parameters: [],
        database: session.database,
        settings: session.settings,
        snapshotRevision: context.catalog.revision,
        state: 'streaming' as const,
        place: { framesAcknowledged: 0, spooledBy: [] },
        startedAt: clock.wall(),
      }
      const tasks = await run.resultTasks()
      signal.throwIfAborted()
      const rowsMax = settings.number('max_rows')
      const { columns = [], isInOrder: inOrder } = run
      const plan = { format: 1 as const, columns, tasks, inOrder, rowsMax }
      await resumption.record(query, plan, serving)
      // What has ended meanwhile has nobody to come for it.
      if (signal.aborted) return resumption.ended(queryId, serving)
      serving.run = run
      run.keep()
    }
    const delivery = new Delivery({ relay, clock, log, record })
    signal.addEventListener('abort', () => delivery.stop(), { once: true })
    return delivery
  }

  #options(context: StatementContext): Parameters<typeof planQuery>[0]['options'] {
    const links = this.#services.executors.links()
    return {
      distribution: context.settings.distribution,
      distributionMinBytes: context.settings.bytes('distribution_min_bytes'),
      broadcastMaxBytes: context.settings.bytes('broadcast_max_bytes'),
      slots: this.#slots(),
      executors: links.length,
    }
  }

  /** Threads of all executors together. */
  #slots(): number {
    return this.#services.executors.links().reduce((sum, link) => sum + link.hello.threads, 0)
  }

  #key(sql: string, context: StatementContext): string {
    const { executors } = this.#services
    const slots = executors
      .links()
      .map((link) => link.hello.threads)
      .join()
    return [context.session.database, context.settings.planKey, slots, sql].join('\u0000')
  }
}

/** Inputs below this take less time to read than their operator profile takes to write. */
const PROFILE_BYTES_MIN = 1024 * 1024

function wantsProfile(plan: PhysicalPlan, context: StatementContext): boolean {
  const wanted = context.settings.get('profile')
  if (wanted !== 'auto') return wanted === 'on'
  let bytes = 0
  for (const scan of plan.scans.values()) bytes += totalBytes(scan.files)
  return bytes >= PROFILE_BYTES_MIN
}

/** A query of one fragment over no more than this need not wait: it is done sooner than others make room. */
const CHEAP_BYTES_MAX = 16 * 1024 * 1024

function admissionRequest(
  plan: PhysicalPlan,
  taskMemoryBytes: number,
  slots: number,
): AdmissionRequest {
  let bytes = 0
  for (const scan of plan.scans.values()) bytes += totalBytes(scan.files)
  const tasks = Math.max(...plan.fragments.map((fragment) => expectedTasks(fragment, slots)))
  return {
    taskMemoryBytes,
    tasksAtOnce: Math.min(tasks, Math.max(1, slots)),
    cheap: plan.fragments.length === 1 && taskMemoryBytes === 0 && bytes <= CHEAP_BYTES_MAX,
  }
}

/** The Arrow message of a frame of a result: of many rows it comes packed. */
function arrowMessageOf(message: Uint8Array): Uint8Array {
  const frame = decodeFrame(message)
  if (typeof frame === 'string') throw new Error(frame)
  if (crc32(frame.payload) !== frame.crc) {
    throw new SqlError('protocol_violation', `frame ${frame.sequence} has a wrong checksum`)
  }
  return frame.kind === 'packed' ? unpackBatch(frame.payload) : frame.payload
}

/** Settings that the kernel itself has to know. Without it, the time zone would be that of each executor's host. */
const kernelSettings = (context: StatementContext): Readonly<Record<string, string>> => ({
  TimeZone: context.settings.get('timezone'),
})

function statisticsOf(run: QueryRun): OutcomeStatistics {
  let [tasks, cpuMs, peakMemoryBytes, spillBytes] = [0, 0, 0, 0]
  for (const { state } of run.reports) {
    tasks += countTasks(state, 'finished')
    for (const task of state.tasks) {
      if (task.kind !== 'finished') continue
      cpuMs += task.statistics.cpuMs
      peakMemoryBytes = Math.max(peakMemoryBytes, task.statistics.peakMemoryBytes)
      spillBytes += task.statistics.spillBytes
    }
  }
  return {
    planMs: 0,
    queuedMs: 0,
    tasks,
    executors: run.executorsUsed,
    cpuMs,
    peakMemoryBytes,
    spillBytes,
  }
}
