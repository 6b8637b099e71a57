import { type Infer, s } from '@nyala/client/base'
import { column } from '@nyala/client/protocol'
import { fileStatistics } from './listing.ts'

/**
 * The SQL of a task, in parts: text that the coordinator rendered, and places where the executor puts the segments
 * of an exchange once it has pulled them. Nothing else is ever put into the text.
 */
export const sqlPart = s.union({
  text: s.object({ kind: s.literal('text'), text: s.string }),
  exchange: s.object({
    kind: s.literal('exchange'),
    exchange: s.natural,
    /** The columns of the exchange: an exchange without segments is an empty relation of these. */
    columns: s.array(column),
  }),
})
export type SqlPart = Infer<typeof sqlPart>

/** A segment of an exchange: an immutable Parquet file on the executor that wrote it. */
export const segment = s.object({
  executor: s.string,
  /** The data port of that executor, `host:port`. */
  address: s.string,
  /** Two members with the same host string can open each other's paths. */
  host: s.string,
  path: s.string,
  /** Output bucket, from 0. */
  partition: s.natural,
  rows: s.natural,
  bytes: s.natural,
  /** CRC-32 of the file, as it was right after it was written. */
  crc: s.natural,
})
export type Segment = Infer<typeof segment>

/** Where a task's rows go. */
export const taskOutput = s.union({
  /** To the coordinator, as numbered Arrow frames. */
  result: s.object({ kind: s.literal('result') }),
  /** To segments, `partitions` of them by the hash of `keys` (SQL expressions over the fragment's output columns). */
  exchange: s.object({
    kind: s.literal('exchange'),
    exchange: s.natural,
    partitions: s.natural,
    keys: s.array(s.string),
    /** The columns of the statement, as they are read again. Absent: the kernel plans the statement once more to know them. */
    columns: s.optional(s.array(column)),
  }),
  /** To files of a table, durable before the task has finished. */
  table: s.object({
    kind: s.literal('table'),
    /** An existing directory within the roots, by its absolute path. */
    directory: s.string,
    /** What the names of all files of this attempt begin with; no attempt of any task has another's. */
    name: s.string,
    /** The option FIELD_IDS of COPY, rendered by the coordinator: the field id of each column. */
    fieldIds: s.string,
    /** Iceberg's schema of the columns as JSON, which is kept in each file for readers that look for it there. */
    schema: s.optional(s.string),
    /**
     * The rows of a file have the same values of these: SQL expressions over the task's columns, of type VARCHAR. Absent
     * or none: rows are divided only by their number.
     */
    keys: s.optional(s.array(s.string)),
    /** Items of ORDER BY that the rows of each file are in the order of; then a file may be of any size. */
    orderBy: s.optional(s.array(s.string)),
    /** A file is closed, and another begun, when it has about so many bytes. */
    fileBytesMax: s.natural,
  }),
})

/** A data file that a task has added to the directory of a table. No table has it until a commit says so. */
export const tableFile = s.object({
  path: s.string,
  rows: s.natural,
  bytes: s.natural,
  /** CRC-32 of the file; its name ends in it, too. */
  crc: s.natural,
  /** The values of the output's keys; absent where it has none. */
  partition: s.optional(s.array(s.nullable(s.string))),
  statistics: s.optional(fileStatistics),
  /** Compressed bytes of each column; null for nested ones. */
  columnBytes: s.array(s.nullable(s.natural)),
  /** Compressed bytes of each row group, in the order of the file; absent: it is one. */
  rowGroupBytes: s.optional(s.array(s.natural)),
})
export type TableFile = Infer<typeof tableFile>

/** A task is named by its query, its number in the query, and its attempt; all three go into every message about it. */
export const taskRef = {
  queryId: s.string,
  task: s.natural,
  attempt: s.natural,
}

/**
 * Files of a table that a task reads, as they were when the table was listed. A file that is another one now would be
 * read by row numbers that are no longer its own: the task fails with `file_changed`.
 */
export const taskFiles = s.object({
  /** `database.table`, for the message. */
  table: s.string,
  location: s.string,
  /** Relative to `location`, or absolute; the other two lists go with it. */
  paths: s.array(s.string),
  bytes: s.array(s.natural),
  /** Milliseconds since 1970-01-01 UTC. */
  modifiedMs: s.array(s.number),
})
export type TaskFiles = Infer<typeof taskFiles>

/**
 * What the client has of a task's result: the frames below `frames`. Another attempt gives them again, rows by rows as
 * `frameRows` says (the schema's are not in it), and where their chained CRC-32 is `crc` it goes on with the next one.
 */
export const resultSoFar = s.object({
  frames: s.natural,
  crc: s.natural,
  frameRows: s.array(s.natural),
})
export type ResultSoFar = Infer<typeof resultSoFar>

export const taskSpec = s.object({
  ...taskRef,
  sql: s.array(sqlPart),
  files: s.array(taskFiles),
  output: taskOutput,
  /** Segments to pull before the task starts, by exchange. */
  inputs: s.array(s.object({ exchange: s.natural, segments: s.array(segment) })),
  /** Bytes of memory for this task alone; 0 shares the executor's limit with its neighbours. */
  memoryLimitBytes: s.natural,
  /**
   * Bytes of disk that this task may take for spilled data, and all tasks of its query on this executor for segments;
   * absent or 0: what the executor has.
   */
  spillLimitBytes: s.optional(s.natural),
  /** Kernel threads for this task's instance where it has one of its own; 0 is the executor's default. */
  threads: s.natural,
  /**
   * The most rows that the plan can give, where it knows (a LIMIT, an aggregate without groups). A task of few rows
   * answers sooner: it is run in one piece instead of as a stream. More rows than said are not cut off.
   */
  rowsMax: s.optional(s.natural),
  /** A kernel of its own, so that its death is the doing of this task, and no other dies with it. */
  alone: s.optional(s.boolean),
  /** Frames of a result that are not sent again; where they would be others the task fails with `result_lost`. */
  after: s.optional(resultSoFar),
  /** More rows of a result fail the task (`max_rows`); absent: any number. Those before may have been sent. */
  rowsLimit: s.optional(s.natural),
  /** True to collect the operator profile. */
  profile: s.boolean,
  /** Session settings that the kernel itself knows, already checked by the coordinator (for example `TimeZone`). */
  kernelSettings: s.record(s.string),
})
export type TaskSpec = Infer<typeof taskSpec>

export const taskStatistics = s.object({
  /** Wall milliseconds from start to end of the kernel's work. */
  elapsedMs: s.number,
  /** User and system time of the kernel process while the task ran; shared when tasks overlap. */
  cpuMs: s.number,
  rows: s.natural,
  bytes: s.natural,
  peakMemoryBytes: s.natural,
  spillBytes: s.natural,
  /** Bytes pulled from other executors. */
  pulledBytes: s.natural,
})
export type TaskStatistics = Infer<typeof taskStatistics>
