import { type Clock, type Deferred, deferred, isMutant, type Log } from '@nyala/client/base'
import { SqlError, toErrorBody } from '@nyala/client/protocol'
import type { SegmentPuller } from '../exchange/segment-puller.ts'
import type { SegmentStore } from '../exchange/segment-store.ts'
import type { KernelSet } from '../kernel/kernel-set.ts'
import type { FromExecutor, HeldResult, TaskSpec } from '../protocol/index.ts'
import { prepareRefusal } from '../participant/participant.ts'
import type { ResultConsumer } from './result-buffer.ts'
import type { DescribeWritten } from './table-output.ts'
import type { OwnerLink } from './owner-link.ts'
import { TaskRun } from './task-run.ts'

/** Tasks under way at once; far more than a coordinator hands out, and a bound on what one gone mad can cost. */
export const TASKS_MAX = 200
/** How long the queries of a coordinator that has gone wait for another one to ask for them. */
export const OWNER_GRACE_MS = 5_000
/** The same for queries that there is a record of: their clients look for another coordinator, perhaps while etcd elects. */
export const KEPT_QUERY_GRACE_MS = 30_000
/** Segments that could not be deleted, perhaps for want of a descriptor, are tried again after so long. */
const DELETE_AGAIN_MS = 5_000
/** Queries that have ended are remembered this long back, so that a late command of an old owner finds its answer. */
const RELEASED_QUERIES_MAX = 10_000

export type TaskReference = Pick<TaskSpec, 'queryId' | 'task' | 'attempt'>

interface QueryCommand {
  readonly epoch: number
  readonly queryId: string
}

interface Acknowledgement {
  readonly epoch: number
  readonly frames: number
}

/** What runs tasks: processes, or a simulation. */
export type Kernels = Pick<KernelSet, 'start' | 'recycle'>

export interface TaskManagerOptions {
  readonly kernels: Kernels
  readonly store: SegmentStore
  readonly puller: SegmentPuller
  readonly describeWritten: DescribeWritten
  /** Fails with `foreign_directory` where a directory is another cluster's; default: none is. */
  readonly requireOwn?: ((directory: string) => Promise<void>) | undefined
  readonly clock: Clock
  readonly log: Log
  /** Called when the numbers of {@link TaskManager.load} may have changed. */
  readonly onLoadChange: () => void
}

export interface TaskLoad {
  readonly tasksRunning: number
  /** Those of the owner that asks. */
  readonly tasksOwned: number
  readonly memoryReservedBytes: number
  /** Bytes of results that wait for their consumers. */
  readonly queuedBytes: number
  /** Bytes of segments on disk, written and pulled. */
  readonly exchangeBytes: number
}

interface Query {
  readonly id: string
  epoch: number
  owner: OwnerLink
  /** The newest attempt of each task, and older ones until they have ended. */
  readonly tasks: Map<string, TaskRun>
  readonly newest: Map<number, number>
  /** How long it waits for an owner. */
  graceMs: number
  stopGrace: (() => void) | undefined
  /** Resolves when nothing is copied for it any more; from its release on. */
  pulled: Promise<void>
}

/**
 * All tasks of this executor, by query.
 *
 * A query is owned by the coordinator that last spoke of it under the highest epoch; an older epoch is refused with
 * `task_superseded`. It lives until it is released, or until its owner's socket has been gone for
 * {@link OWNER_GRACE_MS}, or {@link KEPT_QUERY_GRACE_MS} where there is a record of it, and nobody has spoken of it; then
 * its tasks stop and its segments go.
 *
 * ```
 *   startTask ──► owned ──owner's socket closes──► orphaned ──grace──► released
 *                  ▲  └───────releaseQuery──────────┼───────────────────►┘
 *                  └──any command of a valid epoch──┘
 * ```
 */
export class TaskManager {
  readonly #options: TaskManagerOptions
  readonly #queries = new Map<string, Query>()
  readonly #releasedEpochs = new Map<string, number>()
  /** Writes whose tasks were released here, as the names of their files begin. */
  readonly #endedWrites = new Set<string>()
  #running = 0
  #draining = false
  /** Resolved when all queries have been released. */
  #idle: Deferred<void> | undefined

  constructor(options: TaskManagerOptions) {
    this.#options = options
  }

  /** `owner` is who is to be told. */
  load(owner?: OwnerLink): TaskLoad {
    let [tasksOwned, memoryReservedBytes, queuedBytes] = [0, 0, 0]
    for (const query of this.#queries.values()) {
      for (const task of query.tasks.values()) {
        queuedBytes += task.unsentBytes
        if (task.ended) continue
        memoryReservedBytes += task.spec.memoryLimitBytes
        if (query.owner === owner) tasksOwned++
      }
    }
    const exchangeBytes = this.#options.store.usedBytes
    return {
      tasksRunning: this.#running,
      tasksOwned,
      memoryReservedBytes,
      queuedBytes,
      exchangeBytes,
    }
  }

  /** Runs a task and tells its owner of it; a start that was seen before is only answered again. */
  startTask(
    owner: OwnerLink,
    command: { readonly epoch: number; readonly call: number; readonly spec: TaskSpec },
  ): void {
    const { epoch, call, spec } = command
    const refusal = this.#refusal(spec, epoch, writeOf(spec))
    if (refusal !== undefined) return owner.send(taskFailed(spec, refusal))
    const overload = this.#overload()
    // A query that has nothing here is not made for a task that is refused: nobody would release it.
    if (overload !== undefined && !this.#queries.has(spec.queryId)) {
      return owner.send(taskFailed(spec, overload))
    }
    const query = this.#own(spec.queryId, epoch, owner)
    const known = query.tasks.get(keyOf(spec))
    if (known !== undefined) {
      if (!isOther(known.spec, spec)) return known.repeat({ link: owner, call })
      const what = `${describe(spec)} is another task than the one that was begun under this number`
      return owner.send(taskFailed(spec, new SqlError('protocol_violation', what)))
    }
    if (overload !== undefined) return owner.send(taskFailed(spec, overload))
    this.#cancelOlderAttempts(query, spec)
    query.newest.set(spec.task, spec.attempt)
    const task = new TaskRun(
      spec,
      { link: owner, call },
      {
        ...this.#options,
        requireOwn: this.#options.requireOwn ?? (() => Promise.resolve()),
        owner: () => query.owner,
        onEnd: () => this.#onTaskEnd(query),
      },
    )
    query.tasks.set(keyOf(spec), task)
    this.#running++
    this.#options.onLoadChange()
    task.start()
  }

  cancelTask(
    owner: OwnerLink,
    command: { readonly epoch: number; readonly ref: TaskReference },
  ): void {
    const { epoch, ref } = command
    const query = this.#queries.get(ref.queryId)
    const known = query?.epoch ?? this.#releasedEpochs.get(ref.queryId)
    if (known !== undefined && isPast(epoch, known)) {
      // How the task ends is told to its new owner: the former one would wait for that for ever.
      return owner.send(taskFailed(ref, superseded(ref, epoch, known)))
    }
    if (query === undefined) return
    this.#own(query.id, epoch, owner)
    query.tasks.get(keyOf(ref))?.cancel()
  }

  /** There is a record of the query, so that it may find another owner. */
  keepQuery(owner: OwnerLink, { epoch, queryId }: QueryCommand): void {
    const query = this.#queries.get(queryId)
    if (query === undefined || isPast(epoch, query.epoch)) return
    this.#own(queryId, epoch, owner).graceMs = KEPT_QUERY_GRACE_MS
  }

  /**
   * The query has a new owner, and what comes under a lower epoch is refused from now on, also where the query is not
   * here. The owner is told which results there are.
   */
  takeQuery(owner: OwnerLink, { epoch, queryId }: QueryCommand): void {
    const query = this.#queries.get(queryId)
    const known = query?.epoch ?? this.#releasedEpochs.get(queryId)
    if (known !== undefined && isPast(epoch, known)) return
    if (query === undefined) this.#remember(queryId, epoch)
    else this.#own(queryId, epoch, owner).graceMs = KEPT_QUERY_GRACE_MS
    owner.send({ kind: 'queryTaken', queryId, epoch, tasks: heldResults(query) })
  }

  /** Tells the owner of a task that there is, as if that one had started it. */
  resumeTask(
    owner: OwnerLink,
    command: { readonly epoch: number; readonly call: number; readonly ref: TaskReference },
  ): void {
    const { epoch, call, ref } = command
    const refusal = this.#refusal(ref, epoch)
    if (refusal !== undefined) return owner.send(taskFailed(ref, refusal))
    const task = this.#queries.get(ref.queryId)?.tasks.get(keyOf(ref))
    if (task === undefined) return owner.send(taskFailed(ref, notHeld(ref)))
    this.#own(ref.queryId, epoch, owner)
    task.resume({ link: owner, call })
  }

  /** The client has the frames of a result below `frames`. */
  acknowledge(ref: TaskReference, { epoch, frames }: Acknowledgement): void {
    const query = this.#queries.get(ref.queryId)
    if (query === undefined || isPast(epoch, query.epoch)) return
    query.tasks.get(keyOf(ref))?.buffer?.acknowledge(frames)
  }

  /** Stops the tasks of a query and deletes what it left. A query that is not here is only remembered. */
  releaseQuery(queryId: string, epoch: number): void {
    const query = this.#queries.get(queryId)
    if (query !== undefined && isPast(epoch, query.epoch)) return
    this.#remember(queryId, epoch)
    if (query !== undefined) this.#release(query)
  }

  /** The socket of an owner has closed. */
  onLinkClosed(owner: OwnerLink): void {
    for (const query of this.#queries.values()) {
      if (query.owner !== owner || query.stopGrace !== undefined) continue
      const graceMs = isMutant('no-orphan-grace') ? 0 : query.graceMs
      query.stopGrace = this.#options.clock.after(graceMs, () => {
        this.#options.log.info('queryOrphaned', { query: query.id, graceMs })
        this.#remember(query.id, query.epoch)
        this.#release(query)
      })
    }
  }

  /** Sends the frames of a result to a consumer. Returns how to end that, or why it cannot be. */
  attach(
    ref: TaskReference,
    { epoch, fromFrame }: { readonly epoch: number; readonly fromFrame: number },
    consumer: ResultConsumer,
  ): (() => void) | SqlError {
    const query = this.#queries.get(ref.queryId)
    if (query !== undefined && isPast(epoch, query.epoch))
      return superseded(ref, epoch, query.epoch)
    const buffer = query?.tasks.get(keyOf(ref))?.buffer
    if (buffer === undefined) return notHeld(ref)
    if (!buffer.attach(consumer, fromFrame)) {
      return new SqlError(
        'executor_lost',
        `frame ${fromFrame} of ${describe(ref)} is not held: the first one is ${buffer.firstFrame}`,
        { hint: 'the task must be run again' },
      )
    }
    return () => buffer.detach(consumer)
  }

  /** The consumer of a result wants more again. */
  pump(ref: TaskReference): void {
    this.#queries.get(ref.queryId)?.tasks.get(keyOf(ref))?.buffer?.pump()
  }

  /**
   * Refuses new tasks from now on; resolves when all queries have been released, as others may still
   * need what their tasks have made. Idempotent.
   */
  drain(): Promise<void> {
    this.#draining = true
    if (this.#queries.size === 0) return Promise.resolve()
    this.#idle ??= deferred()
    return this.#idle.promise
  }

  /** Forgets all queries at once, without a word to their owners. */
  stop(): void {
    for (const query of this.#queries.values()) this.#release(query)
  }

  /** The query under its present owner, made where it is new. */
  #own(id: string, epoch: number, owner: OwnerLink): Query {
    const query = this.#queries.get(id) ?? {
      id,
      epoch,
      owner,
      tasks: new Map<string, TaskRun>(),
      newest: new Map<number, number>(),
      graceMs: OWNER_GRACE_MS,
      stopGrace: undefined,
      pulled: Promise.resolve(),
    }
    this.#queries.set(id, query)
    query.epoch = epoch
    query.owner = owner
    query.stopGrace?.()
    query.stopGrace = undefined
    return query
  }

  /** `write`: where the task is to put files into a table. */
  #refusal(spec: TaskReference, epoch: number, write?: string): SqlError | undefined {
    const query = this.#queries.get(spec.queryId)
    const known = query?.epoch ?? this.#releasedEpochs.get(spec.queryId)
    if (known !== undefined && isPast(epoch, known)) return superseded(spec, epoch, known)
    const newest = query?.newest.get(spec.task)
    const isReleased = write !== undefined && this.#endedWrites.has(write)
    const view = { epoch: undefined, isReleased, newestAttempt: newest }
    switch (prepareRefusal(view, { epoch, attempt: spec.attempt })) {
      case undefined:
        return undefined
      case 'released':
        return new SqlError('task_superseded', `${describe(spec)} comes after its query has ended`)
      case 'olderAttempt':
      case 'pastEpoch':
        return new SqlError('task_superseded', `${describe(spec)} comes after attempt ${newest}`)
    }
  }

  #overload(): SqlError | undefined {
    if (this.#draining) {
      return new SqlError('cannot_connect_now', 'the executor is draining and takes no new tasks')
    }
    if (this.#running < TASKS_MAX) return undefined
    return new SqlError(
      'too_many_queries',
      `${this.#running} tasks run on this executor, the limit`,
      {
        hint: 'send the statement again later',
      },
    )
  }

  #cancelOlderAttempts(query: Query, spec: TaskSpec): void {
    for (const task of query.tasks.values()) {
      if (task.spec.task === spec.task && task.spec.attempt < spec.attempt) task.cancel()
    }
  }

  #onTaskEnd(query: Query): void {
    this.#running--
    if (this.#queries.get(query.id) !== query) this.#deleteWhenIdle(query)
    this.#options.onLoadChange()
  }

  #release(query: Query): void {
    query.stopGrace?.()
    this.#queries.delete(query.id)
    for (const task of query.tasks.values()) {
      task.drop(released(query.id))
      this.#endWrite(writeOf(task.spec))
    }
    query.pulled = this.#options.puller.forget(query.id)
    this.#deleteWhenIdle(query)
    this.#options.onLoadChange()
    if (this.#queries.size === 0) this.#idle?.resolve()
  }

  /** Deletes the segments of a released query; a task or a copy that has not stopped yet may still write some. */
  #deleteWhenIdle(query: Query): void {
    if ([...query.tasks.values()].some((task) => !task.ended)) return
    void query.pulled.then(() => this.#deleteSegments(query.id))
  }

  #deleteSegments(queryId: string): void {
    const { store, log, clock } = this.#options
    // Its next owner has tasks of it here again: what is left goes with theirs.
    if (this.#queries.has(queryId)) return
    store.deleteQuery(queryId).catch((error: unknown) => {
      log.warn('segmentsNotDeleted', { query: queryId, error })
      clock.after(DELETE_AGAIN_MS, () => this.#deleteSegments(queryId), { background: true })
    })
  }

  #endWrite(write: string | undefined): void {
    if (write === undefined) return
    this.#endedWrites.add(write)
    if (this.#endedWrites.size <= RELEASED_QUERIES_MAX) return
    const [oldest] = this.#endedWrites
    if (oldest !== undefined) this.#endedWrites.delete(oldest)
  }

  /** The highest epoch counts: a former owner that releases the query late opens it to nobody. */
  #remember(queryId: string, epoch: number): void {
    const known = this.#releasedEpochs.get(queryId) ?? epoch
    this.#releasedEpochs.delete(queryId)
    this.#releasedEpochs.set(queryId, Math.max(known, epoch))
    if (this.#releasedEpochs.size <= RELEASED_QUERIES_MAX) return
    const oldest = this.#releasedEpochs.keys().next()
    if (oldest.done !== true) this.#releasedEpochs.delete(oldest.value)
  }
}

/** What the names of all files of a write begin with: those of an attempt end in its task and number. */
const writeOf = ({ output }: TaskSpec): string | undefined =>
  output.kind === 'table' ? output.name.replace(/-\d+-\d+$/, '') : undefined

/** A command of an owner that is not any more. */
const isPast = (epoch: number, known: number): boolean =>
  epoch < known && !isMutant('no-owner-epoch-check')

const keyOf = (ref: { readonly task: number; readonly attempt: number }): string =>
  `${ref.task}-${ref.attempt}`

const describe = (ref: TaskReference): string =>
  `task ${ref.task} attempt ${ref.attempt} of query "${ref.queryId}"`

const superseded = (ref: TaskReference, epoch: number, known: number): SqlError =>
  new SqlError(
    'task_superseded',
    `${describe(ref)} was asked for under epoch ${epoch}, but the query is at epoch ${known}`,
  )

const notHeld = (ref: TaskReference): SqlError =>
  new SqlError('executor_lost', `executor has no result of ${describe(ref)}`, {
    hint: 'the task must be run again',
  })

/** The results of a query that can be read, the newest attempt of each task. */
function heldResults(query: Query | undefined): readonly HeldResult[] {
  return [...(query?.tasks.values() ?? [])].flatMap(({ spec, buffer, failed }) => {
    const { task, attempt } = spec
    if (buffer === undefined || failed || query?.newest.get(task) !== attempt) return []
    return [{ task, attempt, firstFrame: buffer.firstFrame }]
  })
}

const released = (queryId: string): SqlError =>
  new SqlError('query_canceled', 'the query was released before its result had been read', {
    queryId,
  })

const taskFailed = ({ queryId, task, attempt }: TaskReference, error: SqlError): FromExecutor => ({
  kind: 'taskFailed',
  queryId,
  task,
  attempt,
  error: toErrorBody(error),
})

/** What came of one must never be taken for what comes of another. */
const isOther = (one: TaskSpec, other: TaskSpec): boolean =>
  JSON.stringify(one) !== JSON.stringify(other)
