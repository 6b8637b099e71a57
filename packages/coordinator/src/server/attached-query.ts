import type { Down, Up } from '@nyala/client/protocol'
import type { TaskSpec } from '@nyala/executor/protocol'
import type { AdmissionRequest } from '../schedule/admission.ts'
import { ResumedRun } from '../schedule/resumed-run.ts'
import type { ResultRelay } from '../schedule/result-relay.ts'
import type { CallServing } from './call-serving.ts'
import { type QueryProfile, resumedProfileOf } from './profile.ts'
import type { QueryProgress } from './query-statement.ts'
import type { Services } from './services.ts'

export type AttachMessage = Extract<Up, { kind: 'attach' }>

export interface AttachedCall {
  readonly relay: ResultRelay
  readonly serving: CallServing
  readonly signal: AbortSignal
  send(message: Down): void
  /** The query goes on here from now on. */
  onRunning(query: { progress(): QueryProgress; profile(): QueryProfile }): void
}

/**
 * Goes on with the result of a query for a client that was served elsewhere, from where the client is. Resolves with
 * the number of rows of the whole result. Fails before `accepted` is sent where that cannot be done.
 */
export async function runAttached(
  message: AttachMessage,
  call: AttachedCall,
  services: Services,
): Promise<number> {
  const { resumption, admission, executors, membership, failover, clock, log } = services
  const { serving, relay, signal } = call
  const { queryId, place, ended } = message
  log.info('attachAsked', { query: queryId, place, ended: ended.length })
  const query = await resumption.attach(queryId, serving)
  if (signal.aborted) {
    // Given up while it was being taken over: whoever gave it up had nothing to end yet, and nobody else will.
    if (serving.isClientGone) resumption.left(queryId, serving)
    else resumption.ended(queryId, serving)
    signal.throwIfAborted()
  }
  try {
    const plan = await resumption.plan(query)
    signal.throwIfAborted()
    if (plan.inOrder === true) relay.inOrder(plan.tasks.map(({ task }) => task))
    const run = new ResumedRun({
      clock,
      log,
      executors,
      queryId,
      epoch: query.record.ownerEpoch,
      tasks: plan.tasks,
      rowsMax: plan.rowsMax,
      place,
      ended,
      relay,
      registered: () =>
        membership
          .executors()
          .filter(({ id }) => !failover.isGone('executor', id))
          .map(({ id }) => id),
      signal,
    })
    serving.run = { leave: () => run.stop() }
    await run.take()
    const since = clock.now()
    call.onRunning({
      progress: () => progressOf(run, plan.tasks.length),
      profile: () => resumedProfileOf(run, clock.now() - since),
    })
    call.send({ kind: 'accepted', call: message.call, queryId, coordinator: services.id })
    const revision = query.record.snapshotRevision
    call.send({ kind: 'columns', call: message.call, columns: plan.columns, revision })
    relay.open(true)
    const leave = admission.goOn(requestOf(plan.tasks, executors.placement.threads))
    try {
      await run.run()
    } finally {
      leave()
    }
    return run.rows
  } catch (error) {
    // Where it was not asked to leave, nobody will be able to go on either.
    if (!signal.aborted) serving.run?.leave()
    throw error
  }
}

/** What it counts for where others are let in. */
const requestOf = (tasks: readonly TaskSpec[], slots: number): AdmissionRequest => ({
  taskMemoryBytes: Math.max(0, ...tasks.map(({ memoryLimitBytes }) => memoryLimitBytes)),
  tasksAtOnce: Math.min(tasks.length, Math.max(1, slots)),
  cheap: false,
})

const progressOf = (run: ResumedRun, tasksTotal: number): QueryProgress => ({
  tasksDone: run.tasksDone,
  tasksRunning: tasksTotal - run.tasksDone,
  tasksTotal,
  executors: run.executorsUsed,
  rowsRead: 0,
  bytesRead: 0,
  bytesTotal: 0,
  rows: run.rows,
})
