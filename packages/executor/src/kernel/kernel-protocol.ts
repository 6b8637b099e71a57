import { type Infer, s } from '@nyala/client/base'
import { column, errorBody } from '@nyala/client/protocol'
import { resultSoFar } from '../protocol/fragment.ts'

/**
 * The conversation between an executor and its kernel, over a pipe of their own. Frames of results travel as binary
 * packets beside these messages (`kernel-pipe.ts`), in order with them.
 *
 *   executor                                  kernel
 *     open ───────────────────────────────────►
 *     ◄───────────────────────────────────── ready
 *     start ──────────────────────────────────►
 *     ◄────────────── columns, frame*, progress*      (frames only while there is credit)
 *     credit*, cancel? ───────────────────────►
 *     ◄────────────────────────── finished | failed   (exactly one, last)
 *
 * The kernel ends itself when the pipe closes, whatever it is doing.
 */

/** A kernel tells of each of its tasks this often, whatever it does. */
export const PROGRESS_INTERVAL_MS = 100

export const kernelSettings = s.object({
  threads: s.natural,
  memoryLimitBytes: s.natural,
  spillDirectory: s.string,
  spillLimitBytes: s.natural,
  /** The only directories that SQL can read or write below. */
  directories: s.array(s.string),
})
export type KernelSettings = Infer<typeof kernelSettings>

export const kernelOutput = s.union({
  result: s.object({
    kind: s.literal('result'),
    /** Bytes of frames that may be sent before the first `credit`. */
    creditBytes: s.natural,
    /** True where so few rows come that they may be held in memory together. */
    small: s.boolean,
    /** More rows fail the task. */
    rowsLimit: s.optional(s.natural),
    /** Frames that are made again, compared and not sent. */
    after: s.optional(resultSoFar),
  }),
  exchange: s.object({
    kind: s.literal('exchange'),
    /** A directory of this attempt alone; made by the kernel. */
    directory: s.string,
    partitions: s.natural,
    keys: s.array(s.string),
    /** Names and types of the statement's columns; absent: the statement is asked. */
    columns: s.optional(s.array(column)),
  }),
  table: s.object({
    kind: s.literal('table'),
    directory: s.string,
    name: s.string,
    fieldIds: s.string,
    schema: s.optional(s.string),
    keys: s.optional(s.array(s.string)),
    orderBy: s.optional(s.array(s.string)),
    fileBytesMax: s.natural,
  }),
})
export type KernelOutput = Infer<typeof kernelOutput>

export const kernelTask = s.object({
  task: s.natural,
  sql: s.string,
  output: kernelOutput,
  memoryLimitBytes: s.natural,
  /** Bytes of spilled data; 0 shares what the kernel has. */
  spillLimitBytes: s.natural,
  threads: s.natural,
  profile: s.boolean,
  settings: s.record(s.string),
})
export type KernelTask = Infer<typeof kernelTask>

export const toKernel = s.union({
  open: s.object({ kind: s.literal('open'), settings: kernelSettings }),
  start: s.object({ kind: s.literal('start'), spec: kernelTask }),
  credit: s.object({ kind: s.literal('credit'), task: s.natural, bytes: s.natural }),
  cancel: s.object({ kind: s.literal('cancel'), task: s.natural }),
  /** Asks for the columns of a Parquet file as SQL sees them. */
  describe: s.object({ kind: s.literal('describe'), request: s.natural, path: s.string }),
})
export type ToKernel = Infer<typeof toKernel>

/** A file of an exchange or of a table that was written whole. */
export const writtenFile = s.object({
  path: s.string,
  partition: s.natural,
  /** Of a table: the values of the output's keys. */
  keys: s.optional(s.array(s.nullable(s.string))),
  rows: s.natural,
  bytes: s.natural,
  crc: s.natural,
})
export type WrittenFile = Infer<typeof writtenFile>

export const kernelResult = s.object({
  rows: s.natural,
  frames: s.natural,
  /** Bytes of frames, or of written files. */
  bytes: s.natural,
  files: s.array(writtenFile),
  elapsedMs: s.number,
  cpuMs: s.number,
  peakMemoryBytes: s.natural,
  spillBytes: s.natural,
  profile: s.optional(s.string),
})
export type KernelResult = Infer<typeof kernelResult>

export const kernelProgress = s.object({
  /** From 0 to 1, or null while the kernel cannot tell. */
  fraction: s.nullable(s.number),
  rowsRead: s.natural,
  /** Of the instance that runs the task; shared where tasks share it. */
  memoryBytes: s.natural,
})
export type KernelProgress = Infer<typeof kernelProgress>

export const fromKernel = s.union({
  ready: s.object({ kind: s.literal('ready'), version: s.string }),
  columns: s.object({ kind: s.literal('columns'), task: s.natural, columns: s.array(column) }),
  progress: s.object({ kind: s.literal('progress'), task: s.natural, progress: kernelProgress }),
  finished: s.object({ kind: s.literal('finished'), task: s.natural, result: kernelResult }),
  failed: s.object({ kind: s.literal('failed'), task: s.natural, error: errorBody }),
  described: s.object({
    kind: s.literal('described'),
    request: s.natural,
    columns: s.array(column),
  }),
  refused: s.object({ kind: s.literal('refused'), request: s.natural, error: errorBody }),
})
export type FromKernel = Infer<typeof fromKernel>
