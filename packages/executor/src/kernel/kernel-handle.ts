import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import {
  assert,
  type Clock,
  DecodeError,
  type Deferred,
  deferred,
  isMutant,
  type Log,
  unreachable,
} from '@nyala/client/base'
import { type Column, fromErrorBody, SqlError } from '@nyala/client/protocol'
import type { FramePool } from './frame-pool.ts'
import { KernelPipe, type PipeEvents } from './kernel-pipe.ts'
import {
  type FromKernel,
  fromKernel,
  type KernelProgress,
  type KernelResult,
  type KernelSettings,
  type KernelTask,
  type ToKernel,
} from './kernel-protocol.ts'

/** Each query in flight holds a thread of libuv's pool, whose default of 4 would also stop all file access. */
const KERNEL_POOL_THREADS = 32
/** Not every statement can be interrupted: a kernel that has not ended a task this long after its cancel is killed. */
export const CANCEL_GRACE_MS = 2_000
/** A kernel tells of each task ten times a second: one that has tasks and is silent for so long is hung. */
export const KERNEL_SILENCE_MS = 6_000
/** It is looked at this often, and by looks is counted: an executor that was stopped itself has not heard it either. */
const SILENT_LOOKS_MAX = 12
/** What of a dying kernel's last words is kept for the log. */
const STDERR_BYTES_MAX = 8 * 1024

/** The events of one task; exactly one of `onFinished` and `onFailed` comes, last. */
export interface KernelListener {
  onColumns(columns: readonly Column[]): void
  /** A numbered Arrow frame in a buffer of its own; it has used up its length of the credit given. */
  onFrame(frame: Buffer): void
  onProgress(progress: KernelProgress): void
  onFinished(result: KernelResult): void
  onFailed(error: SqlError): void
}

export interface KernelHandleOptions {
  readonly settings: KernelSettings
  /** Of its environment, beside what it needs. */
  readonly variables?: Readonly<Record<string, string>> | undefined
  /** Where the buffers of frames come from; whoever has read one may give it back. */
  readonly pool: FramePool
  readonly clock: Clock
  readonly log: Log
  /** Called once, when the process has ended for whatever reason; its tasks have failed by then. */
  readonly onExit: (handle: KernelHandle) => void
}

/**
 * One kernel process as the executor sees it.
 *
 * ```
 *   starting ──ready──► ready ──exit, kill──► dead (final)
 *       └───────────exit, kill──────────────────┘
 * ```
 *
 * One that has tasks and says nothing for {@link KERNEL_SILENCE_MS} is killed: its loop hangs, or it was stopped.
 * A task that was cancelled ends within {@link CANCEL_GRACE_MS}, if need be with the whole process; its neighbours then
 * fail with `executor_lost`, as it was not their doing, and are run again.
 */
export class KernelHandle {
  readonly #options: KernelHandleOptions
  /** Undefined where it could not be started. */
  readonly #process: ChildProcess | undefined
  readonly #pipe: KernelPipe | undefined
  readonly #ready = deferred<void>()
  readonly #listeners = new Map<number, KernelListener>()
  readonly #requests = new Map<number, Deferred<readonly Column[]>>()
  readonly #deadlines = new Map<number, () => void>()
  readonly #canceled = new Set<number>()
  #state: 'starting' | 'ready' | 'dead' = 'starting'
  #version = ''
  #request = 0
  #isWatched = false
  #wasHeard = false
  #stderr = ''

  constructor(options: KernelHandleOptions) {
    this.#options = options
    // Whoever waits for it gets the error; nobody may be waiting.
    this.#ready.promise.catch(() => undefined)
    const started = startProcess(options)
    if (started instanceof Error) {
      // Told as any other end: not before whoever makes this has it.
      process.nextTick(() => this.#onExit(started.message, notStarted(started)))
      return
    }
    this.#process = started
    started.once('exit', (code, signal) => this.#onExit(signal ?? `code ${code}`))
    started.once('error', (error) => {
      this.#onExit(error.message, started.pid === undefined ? notStarted(error) : undefined)
    })
    const stdio: ChildProcess['stdio'] | undefined = started.stdio
    const stream = stdio?.[3]
    // Without a descriptor there is none, and the error is about to come.
    if (stream === null || stream === undefined) return
    this.#pipe = this.#openPipe(stream as unknown as Duplex)
    started.stderr?.on('data', (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString('utf8')).slice(-STDERR_BYTES_MAX)
    })
    this.#send({ kind: 'open', settings: options.settings })
  }

  #openPipe(stream: Duplex): KernelPipe {
    const events: PipeEvents = {
      onMessage: (message) => {
        this.#wasHeard = true
        this.#decode(message)
      },
      onDamage: (reason) => this.kill(`it sent a ${reason}`),
      onFrame: (task, frame) => {
        this.#wasHeard = true
        this.#listeners.get(task)?.onFrame(frame)
      },
      // Without its pipe it is of no use; how it ended is told by its exit.
      onClose: () => this.#process?.kill('SIGKILL'),
    }
    return new KernelPipe(stream, events, (bytes) => this.#options.pool.allocate(bytes))
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get state(): 'starting' | 'ready' | 'dead' {
    return this.#state
  }

  /** Version of DuckDB; empty before the kernel is ready. */
  get version(): string {
    return this.#version
  }

  get tasks(): number {
    return this.#listeners.size
  }

  /**
   * Resolves when tasks can be started; rejects with `kernel_crashed` when the process ended before, and with
   * `executor_lost` where it could not be started.
   */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  start(spec: KernelTask, listener: KernelListener): void {
    assert(this.#state === 'ready', 'a task needs a kernel that is ready')
    assert(!this.#listeners.has(spec.task), () => `task ${spec.task} was started twice`)
    this.#listeners.set(spec.task, listener)
    this.#send({ kind: 'start', spec })
    this.#watch()
  }

  credit(task: number, bytes: number): void {
    if (this.#listeners.has(task)) this.#send({ kind: 'credit', task, bytes })
  }

  /** Ends a task; its listener still hears how. Idempotent. */
  cancel(task: number): void {
    if (!this.#listeners.has(task) || this.#canceled.has(task)) return
    this.#canceled.add(task)
    this.#send({ kind: 'cancel', task })
    const stop = this.#options.clock.after(CANCEL_GRACE_MS, () => {
      this.#deadlines.delete(task)
      const reason = `task ${task} did not stop within ${CANCEL_GRACE_MS} ms of its cancel`
      if (!isMutant('no-kernel-watch')) this.kill(reason, ended(this.pid, reason))
    })
    this.#deadlines.set(task, stop)
  }

  /** The columns of a Parquet file as SQL sees them. Rejects with the typed error of the file. */
  describe(path: string): Promise<readonly Column[]> {
    if (this.#state === 'dead') return Promise.reject(this.#crashed('it has ended'))
    const request = this.#request++
    const answer = deferred<readonly Column[]>()
    this.#requests.set(request, answer)
    this.#send({ kind: 'describe', request, path })
    return answer.promise
  }

  /** Ends the process at once; tasks fail with `kernel_crashed` unless told otherwise. Idempotent. */
  kill(reason: string, error?: SqlError): void {
    if (this.#state === 'dead') return
    this.#options.log.info('kernelKilled', { kernel: this.pid, reason })
    this.#process?.kill('SIGKILL')
    this.#onExit(reason, error)
  }

  /** From the first task on until there is none. */
  #watch(silentLooks = 0): void {
    if (this.#isWatched || isMutant('no-kernel-watch')) return
    this.#isWatched = true
    this.#wasHeard = false
    this.#options.clock.after(KERNEL_SILENCE_MS / SILENT_LOOKS_MAX, () => {
      this.#isWatched = false
      if (this.#state === 'dead' || this.#listeners.size === 0) return
      const silent = this.#wasHeard ? 0 : silentLooks + 1
      if (silent < SILENT_LOOKS_MAX) return this.#watch(silent)
      const reason = `it has said nothing of its tasks for ${KERNEL_SILENCE_MS} ms`
      this.kill(reason, ended(this.pid, reason))
    })
  }

  #send(message: ToKernel): void {
    this.#pipe?.send(message)
  }

  /** A kernel that talks nonsense is no longer one: it is replaced, as if it had crashed. */
  #decode(value: unknown): void {
    let message: FromKernel
    try {
      message = fromKernel.decode(value, 'message')
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return this.kill(`it sent a message that is none: ${error.message}`)
    }
    this.#onMessage(message)
  }

  #onMessage(message: FromKernel): void {
    switch (message.kind) {
      case 'ready':
        this.#version = message.version
        this.#state = 'ready'
        return this.#ready.resolve()
      case 'columns':
        return this.#listeners.get(message.task)?.onColumns(message.columns)
      case 'progress':
        return this.#listeners.get(message.task)?.onProgress(message.progress)
      case 'finished':
        return this.#take(message.task)?.onFinished(message.result)
      case 'failed':
        return this.#take(message.task)?.onFailed(fromErrorBody(message.error))
      case 'described':
        return this.#answer(message.request)?.resolve(message.columns)
      case 'refused':
        return this.#answer(message.request)?.reject(fromErrorBody(message.error))
      default:
        return unreachable(message)
    }
  }

  /** The listener of a task that has ended. */
  #take(task: number): KernelListener | undefined {
    this.#deadlines.get(task)?.()
    this.#deadlines.delete(task)
    this.#canceled.delete(task)
    const listener = this.#listeners.get(task)
    this.#listeners.delete(task)
    return listener
  }

  #answer(request: number): Deferred<readonly Column[]> | undefined {
    const answer = this.#requests.get(request)
    this.#requests.delete(request)
    return answer
  }

  #onExit(reason: string, error: SqlError = this.#crashed(reason)): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    if (this.#stderr !== '')
      this.#options.log.warn('kernelSaid', { kernel: this.pid, text: this.#stderr })
    this.#ready.reject(error)
    for (const task of [...this.#listeners.keys()]) {
      const wanted = this.#canceled.has(task)
      this.#take(task)?.onFailed(wanted ? canceledError() : error)
    }
    for (const request of [...this.#requests.keys()]) this.#answer(request)?.reject(error)
    this.#pipe?.close()
    this.#options.onExit(this)
  }

  #crashed(reason: string): SqlError {
    return new SqlError('kernel_crashed', `the kernel process ${this.pid} ended: ${reason}`, {
      hint: 'the task is run again by itself; send the statement again if this persists',
    })
  }
}

/** Its error, where there is no room for another process. */
function startProcess({ variables }: KernelHandleOptions): ChildProcess | Error {
  const main = fileURLToPath(new URL('./kernel-main.js', import.meta.url))
  try {
    return spawn(process.execPath, ['--expose-gc', main], {
      // The zone of the machine would otherwise be that of every query which names none.
      env: { ...variables, UV_THREADPOOL_SIZE: String(KERNEL_POOL_THREADS), TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    return error as Error
  }
}

/** No task is to blame for that: it has not begun. */
const notStarted = (cause: Error): SqlError =>
  new SqlError('executor_lost', `a kernel could not be started: ${cause.message}`, {
    hint: 'the task is run again by itself; raise the limit of open files or processes (ulimit)',
    cause,
  })

/** A task that ran beside the cause is not to blame for the end of its kernel. */
const ended = (kernel: number, reason: string): SqlError =>
  new SqlError('executor_lost', `the kernel process ${kernel} was ended: ${reason}`, {
    hint: 'the task is run again by itself',
  })

const canceledError = (): SqlError => new SqlError('query_canceled', 'the task was canceled')
