import { type Infer, s } from '../base/index.ts'
import { isErrorName, type Position, SqlError } from './errors.ts'

/**
 * The conversation between a client (SDK, shell) and a coordinator: JSON texts of the two unions below, and binary
 * data frames (`wire/frames.ts`) that carry results from coordinator to client. Many statements run at once on one
 * socket; `call` is the client's number for one of them.
 *
 *   client                                   coordinator
 *     hello ───────────────────────────────────►
 *     ◄─────────────────────────────────── welcome
 *     statement ───────────────────────────────►
 *     ◄────────────── accepted, progress*, columns, streaming, frame*, taskEnded*   (frames only within the credit)
 *     credit* ─────────────────────────────────►
 *     ◄──────────────────────── finished | failed            (exactly one, last)
 *
 * Frames are numbered within the task that made them. A client that loses its coordinator while a resumable result
 * streams sends `attach` with its place to another one, and the frames go on as if nothing had been:
 *
 *   client                                   another coordinator
 *     attach ──────────────────────────────────►
 *     ◄────────────── accepted, columns, streaming, frame*, taskEnded*, finished | failed
 *
 * A session lives in the client: each statement carries its {@link SessionContext} whole, and `finished` returns what
 * the statement changed of it, so any coordinator can take any statement.
 */

const position = s.object({ line: s.natural, column: s.natural, offset: s.natural })

export const errorBody = s.object({
  error: s.string,
  message: s.string,
  detail: s.optional(s.string),
  hint: s.optional(s.string),
  position: s.optional(position),
  queryId: s.optional(s.string),
  coordinator: s.optional(s.string),
})
export type ErrorBody = Infer<typeof errorBody>

/** The transaction that a session is in, and the coordinator that keeps it. */
export const sessionTransaction = s.object({
  id: s.string,
  coordinator: s.string,
  /** One of its statements has failed: it can only be ended. */
  failed: s.boolean,
})
export type SessionTransaction = Infer<typeof sessionTransaction>

/** What a session is. `revision` is the newest catalog revision that it has seen; no statement reads an older one. */
export const sessionContext = s.object({
  database: s.string,
  settings: s.record(s.string),
  revision: s.natural,
  transaction: s.optional(sessionTransaction),
})
export type SessionContext = Infer<typeof sessionContext>

/**
 * A parameter of a statement. `type` is a SQL type name; `value` is its text as DuckDB casts a text to that type, or
 * null. A text keeps every digit of an int64 or decimal. A VARCHAR is the bare text, without quotes; a BLOB is
 * hexadecimal; a list is `[1, 2, NULL]` with texts as `'…'` and backslashes. A null of no known type has the type `NULL`.
 */
export const parameter = s.object({ type: s.string, value: s.nullable(s.string) })
export type Parameter = Infer<typeof parameter>

export const column = s.object({ name: s.string, type: s.string })
export type Column = Infer<typeof column>

const endpoint = s.object({ id: s.string, address: s.string })
export type Endpoint = Infer<typeof endpoint>

export const queryStatistics = s.object({
  /** Wall milliseconds from acceptance to the last frame. */
  elapsedMs: s.number,
  planMs: s.number,
  queuedMs: s.number,
  tasks: s.natural,
  executors: s.natural,
  /** Rows and bytes delivered to the client. */
  rows: s.natural,
  bytes: s.natural,
  /** Sum over kernels of user and system time, milliseconds. */
  cpuMs: s.number,
  peakMemoryBytes: s.natural,
  spillBytes: s.natural,
})
export type QueryStatistics = Infer<typeof queryStatistics>

export const queryState = s.oneOf(
  'planning',
  'queued',
  'running',
  'streaming',
  'finished',
  'failed',
  'canceled',
)
export type QueryState = Infer<typeof queryState>

const progress = {
  state: queryState,
  tasksDone: s.natural,
  tasksRunning: s.natural,
  tasksTotal: s.natural,
  executors: s.natural,
  /** Rows read from tables so far, where the kernel can tell. */
  rowsRead: s.natural,
  /** Bytes of the splits whose tasks are done or, in part, running. */
  bytesRead: s.natural,
  bytesTotal: s.natural,
  /** Done part, from 0 to 1. */
  fraction: s.number,
  elapsedMs: s.number,
}

/** An attempt of a task whose frames a result is made of. */
const origin = { task: s.natural, attempt: s.natural }

/** The frames of a task that a client has: all below `frames`. */
export const taskPlace = s.object({ ...origin, frames: s.natural })
export type TaskPlace = Infer<typeof taskPlace>

/**
 * The same with what the frames were, so that another attempt of the task can be made to give them again: rows of each
 * frame but the schema, and their chained CRC-32 as in {@link taskEnd}.
 */
export const taskSoFar = s.object({
  ...origin,
  frames: s.natural,
  crc: s.natural,
  frameRows: s.array(s.natural),
})
export type TaskSoFar = Infer<typeof taskSoFar>

/** How the part of a result that one task made ends; what does not agree with it is not complete. */
export const taskEnd = s.object({
  ...origin,
  /** The schema frame included. */
  frames: s.natural,
  rows: s.natural,
  /** CRC-32 chained over the crc of every frame but the schema, each as four little-endian bytes. */
  crc: s.natural,
})
export type TaskEnd = Infer<typeof taskEnd>

export const memberStatus = s.object({
  id: s.string,
  role: s.oneOf('coordinator', 'executor'),
  address: s.string,
  host: s.string,
  pid: s.natural,
  incarnation: s.natural,
  /** `missing`: it ought to run and is not registered; what is said of it is of its last life. */
  state: s.oneOf('alive', 'suspect', 'draining', 'missing'),
  /** Executors: tasks running, reserved bytes, queued bytes. Coordinators: queries running, sessions. */
  load: s.record(s.number),
})
export type MemberStatus = Infer<typeof memberStatus>

export const queryStatus = s.object({
  id: s.string,
  coordinator: s.string,
  state: queryState,
  database: s.string,
  sql: s.string,
  startedAt: s.natural,
  elapsedMs: s.number,
  rows: s.natural,
  tasksDone: s.natural,
  tasksTotal: s.natural,
  /** Why it is queued. */
  waitsFor: s.optional(s.string),
  /** Who sent it: the application, and a number for each connection to the coordinator. */
  session: s.optional(s.string),
  /** Of the largest kernel instance that runs a task of it; of one that has ended, the most that there was. */
  memoryBytes: s.optional(s.natural),
  /** Why it failed. */
  error: s.optional(s.string),
})
export type QueryStatus = Infer<typeof queryStatus>

/** `nyala status --json` prints this. */
export const clusterStatus = s.object({
  cluster: s.string,
  leader: s.nullable(s.string),
  epoch: s.nullable(s.natural),
  members: s.array(memberStatus),
  etcd: s.array(
    s.object({
      id: s.string,
      address: s.string,
      pid: s.nullable(s.natural),
      leader: s.boolean,
      healthy: s.boolean,
      /** What it complains of, such as `NOSPACE`: writes are refused until that is disarmed. */
      alarms: s.optional(s.array(s.string)),
    }),
  ),
  /** Those that run. */
  queries: s.array(queryStatus),
  /** Those that ended last, of each coordinator. */
  recent: s.optional(s.array(queryStatus)),
  transactions: s.array(s.json),
})
export type ClusterStatus = Infer<typeof clusterStatus>

/** Client to coordinator. */
export const up = s.union({
  hello: s.object({
    kind: s.literal('hello'),
    protocol: s.natural,
    client: s.string,
    application: s.optional(s.string),
  }),
  statement: s.object({
    kind: s.literal('statement'),
    call: s.natural,
    statementId: s.string,
    sql: s.string,
    parameters: s.array(parameter),
    session: sessionContext,
    /**
     * Bytes of data frames, their headers included, that may be sent before the first `credit`. A frame may be sent
     * while the balance is above zero and may take it below, so that a frame larger than the window is not stuck.
     */
    creditBytes: s.natural,
    /** True when the client wants `progress` messages. */
    progress: s.boolean,
  }),
  /** More bytes may be sent. What the client has of the tasks in `acknowledged` need not be kept for it any more. */
  credit: s.object({
    kind: s.literal('credit'),
    call: s.natural,
    bytes: s.natural,
    acknowledged: s.array(taskPlace),
  }),
  /**
   * Goes on with a query that another coordinator began, or that another client read: whoever attached last reads it.
   * Refused with `cannot_connect_now` or `metastore_unavailable` where asking again, perhaps elsewhere, may help.
   */
  attach: s.object({
    kind: s.literal('attach'),
    call: s.natural,
    queryId: s.string,
    /** What the client has; empty for one that has nothing. Tasks in `ended` are not asked for again. */
    place: s.array(taskSoFar),
    ended: s.array(taskEnd),
    session: sessionContext,
    creditBytes: s.natural,
    progress: s.boolean,
  }),
  /** The client has all of a resumable result, its end included: nobody will ask for it any more. */
  received: s.object({ kind: s.literal('received'), call: s.natural }),
  /** Cancels a call of this connection. The call still ends in exactly one `finished` or `failed`. */
  cancel: s.object({ kind: s.literal('cancel'), call: s.natural }),
  /**
   * Cancels any query of the cluster by its id; answered by `reply`, or `failed` where no coordinator runs it.
   * `local`, here and below: only what this coordinator itself runs or keeps is meant.
   */
  cancelQuery: s.object({
    kind: s.literal('cancelQuery'),
    call: s.natural,
    queryId: s.string,
    local: s.optional(s.boolean),
  }),
  status: s.object({
    kind: s.literal('status'),
    call: s.natural,
    local: s.optional(s.boolean),
  }),
  /** The profile of a finished query, by id; answered by `reply` with a body as EXPLAIN ANALYZE JSON. */
  profile: s.object({
    kind: s.literal('profile'),
    call: s.natural,
    queryId: s.string,
    local: s.optional(s.boolean),
  }),
  /**
   * One part of the rows of an insert, a Parquet file, whose bytes follow as `segment` frames of the call, the last one
   * marked. Answered by `reply` with `{ path }` once it is on disk, where all coordinators and executors read it: the
   * statement that names it may be sent to any of them. Sent again, a part takes the place of itself.
   */
  upload: s.object({
    kind: s.literal('upload'),
    call: s.natural,
    /** The id of the statement that will insert the rows. */
    upload: s.string,
    part: s.natural,
    bytes: s.natural,
  }),
  /** Nobody needs the parts of an upload any more; answered by `reply`. */
  uploadEnded: s.object({ kind: s.literal('uploadEnded'), call: s.natural, upload: s.string }),
  /** Completions of the text before `offset`; answered by `reply` with `{ start, items: [{ text, kind }] }`. */
  complete: s.object({
    kind: s.literal('complete'),
    call: s.natural,
    sql: s.string,
    offset: s.natural,
    session: sessionContext,
  }),
})
export type Up = Infer<typeof up>

/** Coordinator to client. */
export const down = s.union({
  welcome: s.object({
    kind: s.literal('welcome'),
    protocol: s.natural,
    version: s.string,
    cluster: s.string,
    coordinator: s.string,
    coordinators: s.array(endpoint),
    /** Newest catalog revision this coordinator has seen. */
    revision: s.natural,
  }),
  /** The coordinators that can be dialled, sent on every change. */
  members: s.object({ kind: s.literal('members'), coordinators: s.array(endpoint) }),
  accepted: s.object({
    kind: s.literal('accepted'),
    call: s.natural,
    queryId: s.string,
    coordinator: s.string,
  }),
  /** Names and types of the result, before the first frame. Frame 0 of a task is the Arrow schema message. */
  columns: s.object({
    kind: s.literal('columns'),
    call: s.natural,
    columns: s.array(column),
    /** Catalog revision that the statement reads; sent again elsewhere, it must not read an older one. */
    revision: s.natural,
  }),
  /**
   * The frames may be handed out before `finished` has come. Without it a client keeps them back, so that a statement
   * whose coordinator dies can be sent again. `resumable`: with its coordinator gone the result goes on by `attach`.
   * May come again, once a result has become resumable.
   */
  streaming: s.object({ kind: s.literal('streaming'), call: s.natural, resumable: s.boolean }),
  /** All frames of a task of a resumable result have been sent. */
  taskEnded: s.object({ kind: s.literal('taskEnded'), call: s.natural, end: taskEnd }),
  progress: s.object({ kind: s.literal('progress'), call: s.natural, ...progress }),
  finished: s.object({
    kind: s.literal('finished'),
    call: s.natural,
    queryId: s.string,
    /** Command tag, for example `SELECT` or `CREATE TABLE`. */
    command: s.string,
    /** Rows in the frames; without any frame, the rows that the statement changed. */
    rows: s.natural,
    /** The ends of all tasks that the result is made of; those that `taskEnded` has told of may be left out. */
    tasks: s.array(taskEnd),
    session: sessionContext,
    notices: s.array(s.string),
    statistics: queryStatistics,
  }),
  failed: s.object({
    kind: s.literal('failed'),
    call: s.natural,
    error: errorBody,
    session: s.optional(sessionContext),
  }),
  reply: s.object({ kind: s.literal('reply'), call: s.natural, body: s.json }),
  /** This coordinator is going away: new statements belong elsewhere, running ones end here. */
  draining: s.object({ kind: s.literal('draining') }),
})
export type Down = Infer<typeof down>

export type ProgressMessage = Extract<Down, { kind: 'progress' }>
export type FinishedMessage = Extract<Down, { kind: 'finished' }>

/** An error as it goes on the wire. Whatever is not a {@link SqlError} is a bug of this process and says so. */
export function toErrorBody(error: unknown): ErrorBody {
  const e =
    error instanceof SqlError
      ? error
      : new SqlError('internal_error', error instanceof Error ? error.message : String(error))
  return {
    error: e.error,
    message: e.message,
    ...(e.detail === undefined ? {} : { detail: e.detail }),
    ...(e.hint === undefined ? {} : { hint: e.hint }),
    ...(e.position === undefined ? {} : { position: e.position }),
    ...(e.queryId === undefined ? {} : { queryId: e.queryId }),
    ...(e.coordinator === undefined ? {} : { coordinator: e.coordinator }),
  }
}

/** The error that a peer sent. A name this version does not know becomes `internal_error` and is kept in the detail. */
export function fromErrorBody(body: ErrorBody): SqlError {
  const options = {
    detail: body.detail,
    hint: body.hint,
    position: body.position as Position | undefined,
    queryId: body.queryId,
    coordinator: body.coordinator,
  }
  if (isErrorName(body.error)) return new SqlError(body.error, body.message, options)
  return new SqlError('internal_error', body.message, {
    ...options,
    detail: `error ${body.error} is not known to this version; ${body.detail ?? 'no detail'}`,
  })
}
