import { assert, type Clock, failpoint, type Log } from '@nyala/client/base'
import { type Column, SqlError, toErrorBody } from '@nyala/client/protocol'
import { chainCrc, crc32, setFrameCall, setFrameOrigin } from '@nyala/client/wire'
import { type SegmentStore, spillLimitError } from '../exchange/segment-store.ts'
import { PullError, UnreadableError } from '../exchange/data-client.ts'
import type { PulledInputs, SegmentPuller } from '../exchange/segment-puller.ts'
import { toTaskError } from '../kernel/kernel-errors.ts'
import type { KernelListener } from '../kernel/kernel-handle.ts'
import {
  type KernelOutput,
  type KernelProgress,
  type KernelResult,
  PROGRESS_INTERVAL_MS,
} from '../kernel/kernel-protocol.ts'
import type { KernelSet, RunningTask } from '../kernel/kernel-set.ts'
import {
  type FromExecutor,
  INLINE_RESULT_BYTES_MAX,
  renderTaskSql,
  type Segment,
  type TableFile,
  type TaskSpec,
} from '../protocol/index.ts'
import type { CallOf, OwnerLink } from './owner-link.ts'
import { FileGuard } from './file-guard.ts'
import { ResultBuffer, RESULT_BUFFER_BYTES_MAX } from './result-buffer.ts'
import { TableVote } from '../participant/table-vote.ts'
import { type DescribeWritten, toWriteError } from './table-output.ts'

/** Up to this many rows a result may be held whole by the kernel, outside of its memory limit: one chunk. */
const SMALL_RESULT_ROWS_MAX = 2048

export interface TaskRunContext {
  readonly kernels: Pick<KernelSet, 'start' | 'recycle'>
  readonly store: SegmentStore
  readonly puller: SegmentPuller
  readonly describeWritten: DescribeWritten
  /** Fails with `foreign_directory` where a directory is another cluster's. */
  readonly requireOwn: (directory: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  /** The link of the query's present owner. */
  readonly owner: () => OwnerLink
  /** Called once, when the task has finished or failed. */
  readonly onEnd: () => void
}

/**
 * How far a task is. A result is `held` until it is known whether it is small enough for the control socket, and that
 * the files are those which the table had when it was listed.
 */
type State =
  | { readonly kind: 'pulling' }
  | { readonly kind: 'running'; readonly delivery: 'held' | 'streaming' }
  | {
      readonly kind: 'finished'
      readonly message: FromExecutor
      readonly delivery: 'held' | 'streaming'
    }
  | { readonly kind: 'failed'; readonly message: FromExecutor }

/**
 * One attempt of a task.
 *
 * ```
 *   pulling ──inputs are here──► running, held ──large or slow──► running, streaming
 *      │                              │                                │
 *      └────────► failed ◄────────────┴──────► finished ◄──────────────┘
 * ```
 */
export class TaskRun {
  readonly spec: TaskSpec
  readonly #context: TaskRunContext
  readonly #ref: Pick<TaskSpec, 'queryId' | 'task' | 'attempt'>
  readonly #abort = new AbortController()
  readonly #buffer: ResultBuffer | undefined
  /** Of a task that writes files of a table. */
  readonly #vote: TableVote | undefined
  #written: KernelResult | undefined
  readonly #files: FileGuard
  #asked: CallOf
  #state: State = { kind: 'pulling' }
  #columns: readonly Column[] | undefined
  #running: RunningTask | undefined
  #canceled = false
  #pulledBytes = 0
  /** Of each segment that the kernel reads: its path here, and who wrote it. */
  #inputs: readonly { readonly path: string; readonly producer: string }[] = []
  /** Rows were here at the last report of progress. */
  #rowsWait = false
  /** The first look at the files is over, and found them as they should be. */
  #filesChecked = false
  #filesChanged: SqlError | undefined
  #stopReason: SqlError | undefined
  #measuring = false
  #wantsStreaming = false
  /** Chained over the frames of the result but the schema. */
  #crc: number

  constructor(spec: TaskSpec, asked: CallOf, context: TaskRunContext) {
    this.spec = spec
    this.#asked = asked
    this.#context = context
    this.#ref = { queryId: spec.queryId, task: spec.task, attempt: spec.attempt }
    this.#files = new FileGuard(spec.files)
    this.#crc = spec.after?.crc ?? 0
    if (spec.output.kind === 'table') {
      this.#vote = new TableVote({
        describeWritten: context.describeWritten,
        yes: (files) => this.#onVoted(files),
        no: (reason) => this.#onFailed(reason),
      })
    }
    if (spec.output.kind === 'result') {
      this.#buffer = new ResultBuffer(
        (bytes) => this.#running?.credit(bytes),
        (frame) => context.kernels.recycle(frame),
        spec.after?.frames,
      )
    }
  }

  get ended(): boolean {
    return this.#state.kind === 'finished' || this.#state.kind === 'failed'
  }

  get failed(): boolean {
    return this.#state.kind === 'failed'
  }

  /** Bytes of its result that have not been given to a consumer. */
  get unsentBytes(): number {
    return this.#buffer?.unsentBytes ?? 0
  }

  /** The frames of the result; undefined for an exchange. */
  get buffer(): ResultBuffer | undefined {
    return this.#buffer
  }

  /** Without inputs, and unless it writes to a table, the kernel gets the task in this same turn. */
  start(): void {
    const { inputs, output } = this.spec
    if (inputs.length === 0 && output.kind !== 'table') return this.#begin([])
    const { puller, requireOwn } = this.#context
    const stopTelling = this.#tellThatItPulls()
    const mayWrite = output.kind === 'table' ? requireOwn(output.directory) : Promise.resolve()
    mayWrite
      .then(() => puller.pull(this.spec, { signal: this.#abort.signal }))
      .finally(stopTelling)
      .then(
        (inputs) => this.#begin(inputs),
        (error: unknown) => this.#onFailed(toTaskError(error)),
      )
  }

  /** Until the kernel tells how far it is: who hears nothing of a task takes it for one that does not get on. */
  #tellThatItPulls(): () => void {
    const { clock, owner } = this.#context
    const nothing = { fraction: null, rowsRead: 0, memoryBytes: 0 }
    const told = { kind: 'taskProgress', ...this.#ref, ...nothing } as const
    let stop: () => void
    const wait = (): void => {
      stop = clock.after(PROGRESS_INTERVAL_MS, () => {
        wait()
        owner().send(told)
      })
    }
    wait()
    return () => stop()
  }

  /** Asks the task to end; it still ends in `taskFailed`, or `taskFinished` where that came first. Idempotent. */
  cancel(): void {
    if (this.ended || this.#canceled) return
    this.#canceled = true
    const reason = new SqlError('query_canceled', 'the task was canceled')
    this.#vote?.on({ kind: 'ended', reason })
    this.#abort.abort(reason)
    this.#running?.cancel()
  }

  /** Ends the task, and gives up its result: a consumer that has not been given all of it is told why. */
  drop(reason: SqlError): void {
    this.cancel()
    this.#buffer?.drop(reason)
  }

  /** The same start was asked for again, perhaps by a new owner: says again what has been said so far. */
  repeat(asked: CallOf): void {
    this.#asked = asked
    const owner = this.#context.owner()
    if (this.#columns !== undefined && this.#buffer !== undefined) this.#sendColumns(this.#columns)
    if (this.#state.kind === 'running' && this.#state.delivery === 'streaming')
      this.#sendStreaming()
    if (this.#state.kind === 'failed') owner.send(this.#state.message)
    if (this.#state.kind !== 'finished') return
    if (this.#state.delivery === 'held') this.#sendInline()
    else this.#sendStreaming()
    owner.send(this.#state.message)
  }

  /** Says to a new owner what has been said so far; the result is to be pulled from where that one has it to. */
  resume(asked: CallOf): void {
    this.#toStreaming()
    if (this.#state.kind === 'finished') this.#state = { ...this.#state, delivery: 'streaming' }
    this.repeat(asked)
  }

  /** A task that cannot begin fails; the process, and with it its neighbours, goes on. */
  #begin(inputs: PulledInputs): void {
    try {
      this.#startKernel(inputs)
    } catch (error) {
      this.#running?.cancel()
      this.#onFailed(toTaskError(error))
    }
  }

  #startKernel(inputs: PulledInputs): void {
    if (this.#canceled) {
      return this.#onFailed(new SqlError('query_canceled', 'the task was canceled'))
    }
    const { spec } = this
    const paths = new Map(inputs.map((input) => [input.exchange, input.paths]))
    this.#inputs = inputs.flatMap((input, i) =>
      input.paths.map((path, j) => ({
        path,
        producer: spec.inputs[i]?.segments[j]?.executor ?? '',
      })),
    )
    this.#pulledBytes = inputs.reduce((sum, input) => sum + input.pulledBytes, 0)
    this.#state = { kind: 'running', delivery: 'held' }
    this.#running = this.#context.kernels.start(
      {
        sql: renderTaskSql(spec.sql, (exchange) => paths.get(exchange) ?? []),
        output: this.#kernelOutput(),
        memoryLimitBytes: spec.memoryLimitBytes,
        spillLimitBytes: spec.spillLimitBytes ?? 0,
        threads: spec.threads,
        profile: spec.profile,
        settings: spec.kernelSettings,
      },
      this.#listener(),
      spec.alone,
    )
    this.#checkFiles()
    // Of a result whose beginning is not here nothing can be sent in one go.
    if (spec.after !== undefined) this.#toStreaming()
  }

  /**
   * Looks at the files while the kernel begins: a task that cannot end well is to end soon. What makes it safe is the
   * second look, after the last row was read and before any held row has left.
   */
  #checkFiles(): void {
    if (this.#files.isEmpty) {
      this.#filesChecked = true
      return
    }
    void this.#files.changed().then((error) => {
      if (error === undefined) {
        this.#filesChecked = true
        if (this.#wantsStreaming) this.#toStreaming()
        return
      }
      this.#filesChanged = error
      this.#running?.cancel()
    })
  }

  #kernelOutput(): KernelOutput {
    const { output } = this.spec
    if (output.kind === 'result') {
      const small = (this.spec.rowsMax ?? Number.POSITIVE_INFINITY) <= SMALL_RESULT_ROWS_MAX
      const { rowsLimit, after } = this.spec
      return { kind: 'result', creditBytes: RESULT_BUFFER_BYTES_MAX, small, rowsLimit, after }
    }
    if (output.kind === 'table') return output
    const { partitions, keys, columns } = output
    const directory = this.#context.store.attemptDirectory(this.#ref)
    return { kind: 'exchange', directory, partitions: Math.max(1, partitions), keys, columns }
  }

  #listener(): KernelListener {
    return {
      onColumns: (columns) => {
        this.#columns = columns
        if (this.#buffer !== undefined) this.#sendColumns(columns)
      },
      onFrame: (frame) => this.#onFrame(frame),
      onProgress: (progress) => this.#onProgress(progress),
      onFinished: (result) =>
        this.#afterFiles((changed) => {
          if (changed === undefined) this.#onKernelFinished(result)
          else this.#giveUp(result, changed)
        }),
      onFailed: (error) => this.#afterFiles((changed) => this.#onKernelFailed(changed ?? error)),
    }
  }

  #onFrame(frame: Buffer): void {
    const buffer = this.#buffer
    if (buffer === undefined) return
    if (buffer.frames > 0) this.#crc = chainCrc(crc32, this.#crc, frame.readUInt32LE(CRC_OFFSET))
    setFrameOrigin(frame, this.#ref)
    buffer.push(frame)
    if (buffer.heldBytes > INLINE_RESULT_BYTES_MAX) this.#toStreaming()
  }

  #onProgress(progress: KernelProgress): void {
    // Rows that have waited from one report to the next are not held back any longer; frame 0 is but the schema.
    if (this.#rowsWait) this.#toStreaming()
    this.#rowsWait = (this.#buffer?.frames ?? 0) > 1
    this.#context.owner().send({ kind: 'taskProgress', ...this.#ref, ...progress })
    if (this.spec.output.kind === 'exchange' && !this.#measuring) void this.#measure()
  }

  /** Counts the segments as they grow; a task that makes more than there is room for is stopped. Never rejects. */
  async #measure(): Promise<void> {
    this.#measuring = true
    try {
      const { store } = this.#context
      const bytes = await store.measure(this.#ref)
      if (!this.ended) store.set(this.#ref, bytes, this.spec.spillLimitBytes ?? 0)
    } catch (error) {
      this.#stopFor(toTaskError(error))
    } finally {
      this.#measuring = false
    }
  }

  /** The task is stopped, and fails for this reason whatever the kernel says. */
  #stopFor(reason: SqlError): void {
    this.#stopReason ??= reason
    this.#running?.cancel()
  }

  #toStreaming(): void {
    if (this.#state.kind !== 'running' || this.#state.delivery === 'streaming') return
    this.#wantsStreaming = true
    if (!this.#filesChecked) return
    this.#state = { kind: 'running', delivery: 'streaming' }
    this.#sendStreaming()
  }

  /** Goes on once the kernel is done with the files; a changed one is the reason of whatever came of it. */
  #afterFiles(then: (changed: SqlError | undefined) => void): void {
    if (this.#files.isEmpty || this.#canceled) return then(undefined)
    if (this.#filesChanged !== undefined) return then(this.#filesChanged)
    void this.#files.changed().then(then)
  }

  /** A task that writes files of a table ends as its vote says. */
  #onKernelFinished(result: KernelResult): void {
    if (this.#vote === undefined) return this.#onFinished(result)
    this.#written = result
    this.#vote.on({ kind: 'written', files: result.files })
  }

  /** The task fails though the kernel did not: files of a table that it has written are nobody's. */
  #giveUp(result: KernelResult, reason: SqlError): void {
    if (this.#vote === undefined) return this.#onFailed(reason)
    this.#vote.on({ kind: 'ended', reason })
    this.#vote.on({ kind: 'written', files: result.files })
  }

  #onKernelFailed(reason: SqlError): void {
    if (this.#vote === undefined) this.#onFailed(reason)
    else this.#vote.on({ kind: 'failed', reason })
  }

  #onVoted(files: readonly TableFile[]): void {
    assert(this.#written !== undefined, 'files are told of after they were written')
    this.#onFinished(this.#written, files)
  }

  #onFinished(result: KernelResult, tableFiles?: readonly TableFile[]): void {
    if (this.#state.kind !== 'running') return
    failpoint('task.ending')
    const full = this.#countSegments(result)
    if (full !== undefined) return this.#onFailed(full)
    if (this.spec.after !== undefined && this.#state.delivery === 'held') {
      this.#state = { kind: 'running', delivery: 'streaming' }
      this.#sendStreaming()
    }
    const { delivery } = this.#state
    const message: FromExecutor = {
      kind: 'taskFinished',
      ...this.#ref,
      rows: result.rows,
      frames: result.frames,
      crc: this.#crc,
      segments: this.spec.output.kind === 'exchange' ? this.#segments(result) : [],
      ...(tableFiles === undefined ? {} : { tableFiles }),
      statistics: {
        elapsedMs: result.elapsedMs,
        cpuMs: result.cpuMs,
        rows: result.rows,
        bytes: result.bytes,
        peakMemoryBytes: result.peakMemoryBytes,
        spillBytes: result.spillBytes,
        pulledBytes: this.#pulledBytes,
      },
      ...(result.profile === undefined ? {} : { profile: result.profile }),
    }
    this.#state = { kind: 'finished', message, delivery }
    this.#buffer?.complete()
    if (delivery === 'held') this.#sendInline()
    this.#context.owner().send(message)
    this.#context.onEnd()
  }

  #onFailed(reason: SqlError): void {
    if (this.ended) return
    const told = toWriteError(reason, this.spec.output)
    const error = this.#inputLost(told) ?? this.#limitReached(told) ?? told
    error.queryId = this.#ref.queryId
    const message: FromExecutor = {
      kind: 'taskFailed',
      ...this.#ref,
      error: toErrorBody(error),
      ...(error instanceof PullError ? { unreached: error.producer } : {}),
      ...(error instanceof UnreadableError ? { unreadable: error.producer } : {}),
    }
    this.#state = { kind: 'failed', message }
    this.#buffer?.fail(error)
    if (this.spec.output.kind === 'exchange') this.#discard()
    this.#context.owner().send(message)
    this.#context.onEnd()
  }

  /** A segment that vanished or is damaged can be made again by its producer; a file of a table cannot. */
  #inputLost(error: SqlError): SqlError | undefined {
    if (!FILE_ERRORS.has(error.error)) return undefined
    const input = this.#inputs.find(({ path }) => error.message.includes(path))
    if (input === undefined) return undefined
    const what = `segment "${input.path}" of executor "${input.producer}" cannot be read any more`
    return new UnreadableError(input.producer, what, { detail: error.message, cause: error })
  }

  /** An error of the kernel that a limit of the query is the cause of. */
  #limitReached(error: SqlError): SqlError | undefined {
    if (this.#stopReason !== undefined && error.error === 'query_canceled') return this.#stopReason
    const { spillLimitBytes = 0 } = this.spec
    if (spillLimitBytes === 0 || error.error !== 'disk_full') return undefined
    return spillLimitError('a task of the query has spilled', spillLimitBytes, error)
  }

  /** What keeps the segments that were written from being kept. */
  #countSegments(result: KernelResult): SqlError | undefined {
    if (this.spec.output.kind !== 'exchange') return undefined
    try {
      this.#context.store.set(this.#ref, result.bytes, this.spec.spillLimitBytes ?? 0)
      return undefined
    } catch (error) {
      return toTaskError(error)
    }
  }

  /** What an attempt has written before it failed is of no use. */
  #discard(): void {
    const { store, log } = this.#context
    store.discard(this.#ref).catch((error: unknown) => {
      // It goes with the query.
      log.warn('segmentsNotDeleted', { ...this.#ref, error })
    })
  }

  #segments(result: KernelResult): readonly Segment[] {
    const { store } = this.#context
    return result.files.map((file) => ({ ...store.place, ...file }))
  }

  #sendColumns(columns: readonly Column[]): void {
    this.#context.owner().send({ kind: 'taskColumns', ...this.#ref, columns })
  }

  #sendStreaming(): void {
    this.#context.owner().send({ kind: 'taskStreaming', ...this.#ref })
  }

  #sendInline(): void {
    const { link, call } = this.#asked
    for (const frame of this.#buffer?.whole() ?? []) {
      setFrameCall(frame, call)
      link.sendFrame(frame)
    }
  }
}

/** Where a frame's header has the crc of its payload. */
const CRC_OFFSET = 12

const FILE_ERRORS: ReadonlySet<string> = new Set(['undefined_file', 'io_error', 'data_corrupted'])
