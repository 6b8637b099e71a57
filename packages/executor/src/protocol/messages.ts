import { type Infer, s } from '@nyala/client/base'
import { column, errorBody } from '@nyala/client/protocol'
import { segment, tableFile, taskRef, taskSpec, taskStatistics } from './fragment.ts'
import { listing } from './listing.ts'

/**
 * The conversation between a coordinator and an executor. The executor dials `ws://coordinator/executor` and keeps that
 * socket for control; bulk data is pulled by the coordinator, or by another executor, from `ws://executor/data`.
 *
 *   executor                                   coordinator
 *     hello ───────────────────────────────────────►
 *     ◄──────────────────────────────────────── welcome
 *     ◄─────────────────────────────────────── startTask
 *     taskColumns, (small result: frames on this socket), taskProgress* ─►
 *     taskStreaming ───────────►  the result is too large for this socket: pull it from the data port
 *     taskFinished | taskFailed ───────────────────►   (exactly one, last)
 *     ◄──────────────────────────────────── releaseQuery
 *
 * A result that streams is kept by `keepQuery`, frame by frame until its client has it (`acknowledge`), so that another
 * coordinator can go on with it:
 *
 *     ◄──────────────────────────────────────── takeQuery   (under a higher epoch)
 *     queryTaken ──────────────────────────────────►        what there is of its result
 *     ◄──────────────────────────────────────── resumeTask  (for each of its tasks)
 *     taskStreaming, taskProgress*, taskFinished | taskFailed ─►
 *
 * Every command carries the epoch under which its sender owns the query; an executor that has seen a newer epoch for
 * the query refuses the command with `task_superseded`.
 */

/** Results up to this size travel on the control socket; a client's socket must mask, which costs per byte. */
export const INLINE_RESULT_BYTES_MAX = 64 * 1024

/** A result that can be read from `firstFrame` on: finished, or still being made. */
export const heldResult = s.object({ task: s.natural, attempt: s.natural, firstFrame: s.natural })
export type HeldResult = Infer<typeof heldResult>

/** Executor to coordinator. */
export const fromExecutor = s.union({
  hello: s.object({
    kind: s.literal('hello'),
    protocol: s.natural,
    cluster: s.string,
    executor: s.string,
    incarnation: s.natural,
    dataAddress: s.string,
    host: s.string,
    pid: s.natural,
    threads: s.natural,
    memoryLimitBytes: s.natural,
    /** The kernel's version: hashes are only equal between equal versions. */
    kernel: s.string,
    roots: s.array(s.string),
  }),
  load: s.object({
    kind: s.literal('load'),
    tasksRunning: s.natural,
    /** Those of queries that the coordinator owns which is told. */
    tasksOwned: s.natural,
    memoryReservedBytes: s.natural,
    /** Bytes of results that wait for their consumers. */
    queuedBytes: s.natural,
    /** Bytes of segments on disk. */
    exchangeBytes: s.natural,
    kernels: s.natural,
    draining: s.boolean,
  }),
  taskColumns: s.object({ kind: s.literal('taskColumns'), ...taskRef, columns: s.array(column) }),
  taskProgress: s.object({
    kind: s.literal('taskProgress'),
    ...taskRef,
    /** From 0 to 1, or null while the kernel cannot tell. */
    fraction: s.nullable(s.number),
    rowsRead: s.natural,
    memoryBytes: s.natural,
  }),
  taskStreaming: s.object({ kind: s.literal('taskStreaming'), ...taskRef }),
  taskFinished: s.object({
    kind: s.literal('taskFinished'),
    ...taskRef,
    rows: s.natural,
    /** Result frames made, the schema frame included; 0 for an exchange output. */
    frames: s.natural,
    /** CRC-32 chained over the crc of every result frame but the schema, as the client computes it. */
    crc: s.natural,
    segments: s.array(segment),
    /** What a task with the output `table` has written; absent for all others. */
    tableFiles: s.optional(s.array(tableFile)),
    statistics: taskStatistics,
    /** The kernel's operator tree as JSON text, where it was asked for. */
    profile: s.optional(s.string),
  }),
  taskFailed: s.object({
    kind: s.literal('taskFailed'),
    ...taskRef,
    error: errorBody,
    /** The executor whose segments could not be pulled from here. */
    unreached: s.optional(s.string),
    /** The executor of whose segments one was found to be gone or damaged. */
    unreadable: s.optional(s.string),
  }),
  /** The results that this executor has of a query, the newest attempt of each task. */
  queryTaken: s.object({
    kind: s.literal('queryTaken'),
    queryId: s.string,
    epoch: s.natural,
    tasks: s.array(heldResult),
  }),
  inspected: s.object({ kind: s.literal('inspected'), request: s.natural, listing }),
  refused: s.object({ kind: s.literal('refused'), request: s.natural, error: errorBody }),
})
export type FromExecutor = Infer<typeof fromExecutor>

/** Coordinator to executor. */
export const toExecutor = s.union({
  welcome: s.object({
    kind: s.literal('welcome'),
    protocol: s.natural,
    cluster: s.string,
    coordinator: s.string,
  }),
  startTask: s.object({
    kind: s.literal('startTask'),
    epoch: s.natural,
    /** The number that result frames on this socket carry. */
    call: s.natural,
    spec: taskSpec,
  }),
  cancelTask: s.object({ kind: s.literal('cancelTask'), epoch: s.natural, ...taskRef }),
  /** There is a record of the query: should its owner vanish, it waits longer for another one. */
  keepQuery: s.object({ kind: s.literal('keepQuery'), epoch: s.natural, queryId: s.string }),
  /** The sender owns the query from now on; answered by `queryTaken`, or not at all where the epoch is not the highest. */
  takeQuery: s.object({ kind: s.literal('takeQuery'), epoch: s.natural, queryId: s.string }),
  /** Tells the sender of a task that there is, as if it had started it; its result is pulled from the data port. */
  resumeTask: s.object({
    kind: s.literal('resumeTask'),
    epoch: s.natural,
    call: s.natural,
    ...taskRef,
  }),
  /** The client has the frames of a result below `frames`: they need not be kept. */
  acknowledge: s.object({
    kind: s.literal('acknowledge'),
    epoch: s.natural,
    ...taskRef,
    frames: s.natural,
  }),
  /** The query has ended: its tasks stop, its segments and spooled frames go. */
  releaseQuery: s.object({ kind: s.literal('releaseQuery'), epoch: s.natural, queryId: s.string }),
  /**
   * Lists Parquet files: below a directory (`location`), or those that the patterns name (`files`, each a path or a
   * glob). Paths outside the executor's roots, after resolving `..` and links, are refused.
   */
  inspect: s.object({
    kind: s.literal('inspect'),
    request: s.natural,
    what: s.oneOf('location', 'files', 'paths'),
    paths: s.array(s.string),
  }),
})
export type ToExecutor = Infer<typeof toExecutor>

/** Consumer (coordinator or executor) to the data port of an executor. */
export const toDataPort = s.union({
  hello: s.object({
    kind: s.literal('hello'),
    protocol: s.natural,
    cluster: s.string,
    member: s.string,
  }),
  /** Result frames of a task from `fromFrame` on, for the owner of the query under this epoch. */
  fetchResult: s.object({
    kind: s.literal('fetchResult'),
    call: s.natural,
    epoch: s.natural,
    ...taskRef,
    fromFrame: s.natural,
    creditBytes: s.natural,
  }),
  fetchSegment: s.object({
    kind: s.literal('fetchSegment'),
    call: s.natural,
    queryId: s.string,
    path: s.string,
    creditBytes: s.natural,
  }),
  credit: s.object({ kind: s.literal('credit'), call: s.natural, bytes: s.natural }),
  stop: s.object({ kind: s.literal('stop'), call: s.natural }),
})
export type ToDataPort = Infer<typeof toDataPort>

export const fromDataPort = s.union({
  welcome: s.object({ kind: s.literal('welcome'), protocol: s.natural, executor: s.string }),
  /** All frames of the call were sent: `frames` from 0 on for a result, `bytes` for a segment. */
  ended: s.object({
    kind: s.literal('ended'),
    call: s.natural,
    frames: s.natural,
    bytes: s.natural,
  }),
  failed: s.object({ kind: s.literal('failed'), call: s.natural, error: errorBody }),
})
export type FromDataPort = Infer<typeof fromDataPort>
