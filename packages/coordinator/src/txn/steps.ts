import { SqlError } from '@nyala/client/protocol'
import {
  type CatalogPlan,
  type CatalogSnapshot,
  composed,
  type Keys,
  type Operation,
  overlaid,
  type PlanContext,
  planTableUpdate,
  type StagedWrite,
  type TableRecord,
} from '@nyala/metastore'
import type { DataFile } from '../iceberg/manifest-file.ts'
import {
  checkRebase,
  type LiveFiles,
  rememberForgotten,
  type StagedHead,
  type TableChange,
} from '../write/change.ts'
import { type DateCommit, leftTables } from '../write/commit-time.ts'
import { headOf } from '../write/committer.ts'

/** What one statement of a transaction does, in a form that can be done again on another snapshot of the catalog. */
export type Step =
  | {
      readonly kind: 'update'
      /** Part of the names of the files that the statement stages. */
      readonly writeId: string
      readonly change: TableChange
      /** What it was staged on last, and the head that came of it. */
      readonly on: TableRecord
      readonly next: StagedHead
      /** Times that its metadata was staged. */
      readonly attempts: number
      /**
       * The files of the table that its statement has read, once a check has asked for them: an earlier step of the
       * transaction may have staged them, and what it staged goes once it is staged anew.
       */
      readonly baseFiles?: readonly DataFile[] | undefined
    }
  | {
      readonly kind: 'catalog'
      readonly writeId: string
      readonly plan: (context: PlanContext) => CatalogPlan<unknown>
      readonly more: (value: unknown) => readonly Operation[]
    }

export interface StepContext {
  readonly keys: Keys
  readonly liveFiles: LiveFiles
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now: number
}

/** A step, and what it does to the snapshot that it was done on. */
export interface DoneStep<S extends Step = Step> {
  readonly step: S
  readonly write: StagedWrite
}

/** Stages the change of a table on a snapshot. Fails with `serialization_failure` where it cannot go there. */
export async function stageUpdate(
  step: Pick<Extract<Step, { kind: 'update' }>, 'writeId' | 'change'> &
    Partial<Extract<Step, { kind: 'update' }>>,
  snapshot: CatalogSnapshot,
  { keys, liveFiles, now }: StepContext,
): Promise<DoneStep> {
  const { change, writeId, attempts = 0 } = step
  let { baseFiles } = step
  const head = headOf(snapshot, change.base)
  const isSame = step.on !== undefined && JSON.stringify(step.on) === JSON.stringify(head.record)
  let { next } = step
  let count = attempts
  if (next === undefined || !isSame) {
    await checkRebase(change, head.record, async (table) => {
      if (table !== change.base) return liveFiles(table)
      baseFiles ??= await liveFiles(table)
      return baseFiles
    })
    next = await change.apply(head.record, attempts)
    count++
  }
  const { compare, put } = planTableUpdate(head, next.record, writeId)
  const forgotten = { before: head.record, staged: next, writeId, nowMs: now }
  return {
    step: { kind: 'update', writeId, change, on: head.record, next, attempts: count, baseFiles },
    write: { compares: [compare], operations: [put, ...rememberForgotten(keys, forgotten)] },
  }
}

/** Does a plan of the catalog on a snapshot; undefined where there is nothing to do. Fails as the plan says. */
export function stagePlan<T>(
  step: {
    readonly writeId: string
    readonly plan: (context: PlanContext) => CatalogPlan<T>
    readonly more?: ((value: T) => readonly Operation[]) | undefined
  },
  snapshot: CatalogSnapshot,
  { keys, now }: StepContext,
): { readonly value: T; readonly done: DoneStep | undefined } {
  const { writeId, plan } = step
  const planned = plan({ keys, snapshot, writeId, now })
  if (planned.kind === 'refuse') throw planned.error
  if (planned.kind === 'nothing') return { value: planned.value, done: undefined }
  const more = (value: unknown): readonly Operation[] => step.more?.(value as T) ?? []
  const operations = [...planned.operations, ...more(planned.value)]
  return {
    value: planned.value,
    done: {
      step: { kind: 'catalog', writeId, plan, more },
      write: { compares: planned.compares, operations },
    },
  }
}

/**
 * Does the steps of a transaction once more on a newer snapshot, each on what those before it leave. What nobody has
 * touched meanwhile is as it was staged; other changes go on top where their kind allows, and the transaction fails with
 * `serialization_failure` where one of them cannot.
 */
export async function replay(
  steps: readonly Step[],
  snapshot: CatalogSnapshot,
  context: StepContext,
): Promise<Replayed> {
  const done: DoneStep[] = []
  for (const step of steps) {
    const writes = done.map(({ write }) => write)
    const current = overlaid(snapshot, context.keys, writes)
    try {
      if (step.kind === 'update') done.push(await stageUpdate(step, current, context))
      else {
        const again = stagePlan(step, current, context)
        if (again.done === undefined) throw overtaken(undefined)
        done.push(again.done)
      }
    } catch (error) {
      if (!(error instanceof SqlError) || error.category !== 'user') throw error
      throw overtaken(error)
    }
  }
  return { steps: done.map(({ step }) => step), writes: done.map(({ write }) => write) }
}

export interface Replayed {
  readonly steps: readonly Step[]
  /** Of each step. */
  readonly writes: readonly StagedWrite[]
}

/**
 * What steps come to on a snapshot, as one write, with the time of the commit in all that they have made. `writeId` and
 * `attempt` are part of the names of the files that say so. Fails with `io_error` or `disk_full`.
 */
export async function datedWrite(
  { writes }: Pick<Replayed, 'writes'>,
  snapshot: CatalogSnapshot,
  commit: Pick<StepContext, 'keys' | 'now'> & {
    readonly dateCommit: DateCommit
    readonly writeId: string
    readonly attempt: number
  },
): Promise<{ readonly write: StagedWrite; readonly locations: readonly string[] }> {
  const { keys, now: nowMs, dateCommit, writeId, attempt } = commit
  const left = leftTables(snapshot, overlaid(snapshot, keys, writes))
  const dated = await dateCommit(left, { writeId, attempt, nowMs })
  const dating = dated.map(({ head, staged }): StagedWrite => {
    const { compare, put } = planTableUpdate(head, staged.record, writeId)
    const forgotten = {
      before: head.record,
      staged,
      writeId: `${writeId}-${head.record.id}`,
      nowMs,
    }
    return { compares: [compare], operations: [put, ...rememberForgotten(keys, forgotten)] }
  })
  const locations = dated.map(({ head }) => head.record.location)
  return { write: composed([...writes, ...dating]), locations }
}

const overtaken = (cause: SqlError | undefined): SqlError =>
  new SqlError(
    'serialization_failure',
    `another statement changed meanwhile what the transaction is about${cause === undefined ? '' : `: ${cause.message}`}`,
    { hint: 'nothing was written: run the transaction again', cause },
  )
