import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type Log } from '@nyala/client/base'
import { type Column, SqlError } from '@nyala/client/protocol'
import { FramePool } from './frame-pool.ts'
import { KernelHandle, type KernelListener } from './kernel-handle.ts'
import type { KernelSettings, KernelTask } from './kernel-protocol.ts'

/** Kernels that die before they are ready, one after the other, must not spin. */
const RESTART_DELAY_MIN_MS = 100
const RESTART_DELAY_MAX_MS = 5_000

export interface KernelSetOptions {
  readonly settings: KernelSettings
  /** As {@link KernelHandle} takes them. */
  readonly variables?: Readonly<Record<string, string>> | undefined
  readonly clock: Clock
  readonly log: Log
}

/** A task that was handed to a kernel. Calls after its end do nothing. */
export interface RunningTask {
  credit(bytes: number): void
  cancel(): void
}

/**
 * The kernel that runs tasks, and a warm spare that takes its place when it dies.
 *
 * ```
 *   active dies ──► the spare becomes active ──► a new spare is started
 *               └─ no spare is ready yet: tasks wait for the one that is starting
 * ```
 *
 * The first spare is started after the first kernel is ready, so that it does not slow the start down.
 */
export class KernelSet {
  readonly #options: KernelSetOptions
  readonly #pool = new FramePool()
  #active: KernelHandle
  #spare: KernelHandle | undefined
  /** Kernels that were started for one task each. */
  readonly #alone = new Set<KernelHandle>()
  #stopped = false
  #task = 0
  #failures = 0
  #deaths = 0
  #launched = 0
  #cancelRestart: (() => void) | undefined

  constructor(options: KernelSetOptions) {
    this.#options = options
    this.#active = this.#launch()
  }

  /** Resolves when tasks can be run; rejects as {@link KernelHandle.ready} when the first kernel did not start. */
  get ready(): Promise<void> {
    return this.#active.ready
  }

  get version(): string {
    return this.#active.version
  }

  /** Kernels alive, the spare included. */
  get count(): number {
    return [this.#active, this.#spare].filter((kernel) => kernel?.state === 'ready').length
  }

  /** Kernel processes that ended although nobody asked the executor to stop. */
  get deaths(): number {
    return this.#deaths
  }

  /** Process ids, the active one first. */
  get pids(): readonly number[] {
    return [this.#active, this.#spare].flatMap((kernel) =>
      kernel === undefined ? [] : [kernel.pid],
    )
  }

  /**
   * Hands a task to the active kernel, or `alone` to one that is started for it and ended with it. `spec.task` is given
   * here.
   */
  start(spec: Omit<KernelTask, 'task'>, listener: KernelListener, alone = false): RunningTask {
    const task = this.#task++
    if (alone) return this.#startAlone({ ...spec, task }, listener)
    const kernel = this.#active
    if (kernel.state === 'ready') {
      kernel.start({ ...spec, task }, listener)
      return { credit: (bytes) => kernel.credit(task, bytes), cancel: () => kernel.cancel(task) }
    }
    return this.#startLater(() => this.#active, { ...spec, task }, listener)
  }

  /** Takes the buffer of a frame back, once nobody will read it any more. */
  recycle(frame: Buffer): void {
    this.#pool.release(frame)
  }

  async describe(path: string): Promise<readonly Column[]> {
    await this.ready
    return await this.#active.describe(path)
  }

  /** Ends all kernels at once; tasks fail with `kernel_crashed`. */
  stop(): void {
    this.#stopped = true
    this.#cancelRestart?.()
    this.#active.kill('the executor stops')
    this.#spare?.kill('the executor stops')
    for (const kernel of this.#alone) kernel.kill('the executor stops')
  }

  /** What dies with it is nobody else's task, and its death is nobody else's doing. */
  #startAlone(spec: KernelTask, listener: KernelListener): RunningTask {
    let ended = false
    const kernel = this.#launchAs((dead) => {
      this.#alone.delete(dead)
      if (!ended && !this.#stopped) this.#deaths++
    })
    this.#alone.add(kernel)
    const end = (): void => {
      ended = kernel.state !== 'dead'
      kernel.kill('the task that it was started for has ended')
    }
    return this.#startLater(() => kernel, spec, {
      onColumns: (columns) => listener.onColumns(columns),
      onFrame: (frame) => listener.onFrame(frame),
      onProgress: (progress) => listener.onProgress(progress),
      onFinished: (result) => {
        end()
        listener.onFinished(result)
      },
      onFailed: (error) => {
        end()
        listener.onFailed(error)
      },
    })
  }

  /** The kernel is still starting: the task waits for it and can be cancelled meanwhile. */
  #startLater(
    kernelOf: () => KernelHandle,
    spec: KernelTask,
    listener: KernelListener,
  ): RunningTask {
    let canceled = false
    let kernel: KernelHandle | undefined
    let creditBytes = 0
    const begin = (): void => {
      if (canceled)
        return listener.onFailed(new SqlError('query_canceled', 'the task was canceled'))
      if (kernelOf().state !== 'ready') return listener.onFailed(notReady())
      kernel = kernelOf()
      kernel.start(spec, listener)
      if (creditBytes > 0) kernel.credit(spec.task, creditBytes)
    }
    kernelOf().ready.then(begin, (cause: unknown) => listener.onFailed(notReady(cause)))
    return {
      credit(bytes) {
        if (kernel === undefined) creditBytes += bytes
        else kernel.credit(spec.task, bytes)
      },
      cancel() {
        canceled = true
        kernel?.cancel(spec.task)
      },
    }
  }

  #launch(): KernelHandle {
    const kernel = this.#launchAs((dead) => this.#onExit(dead))
    kernel.ready.then(
      () => this.#onReady(kernel),
      () => undefined,
    )
    return kernel
  }

  #launchAs(onExit: (dead: KernelHandle) => void): KernelHandle {
    // What a kernel that was killed has left must not be taken for its own by the next one.
    const spillDirectory = join(this.#options.settings.spillDirectory, `kernel-${this.#launched++}`)
    return new KernelHandle({
      ...this.#options,
      settings: { ...this.#options.settings, spillDirectory },
      pool: this.#pool,
      onExit: (dead) => {
        this.#clear(spillDirectory)
        onExit(dead)
      },
    })
  }

  #clear(spillDirectory: string): void {
    rm(spillDirectory, { recursive: true, force: true }).catch((error: unknown) => {
      // It is cleared as a whole when the executor starts again.
      this.#options.log.warn('spillNotDeleted', { spillDirectory, error })
    })
  }

  #onReady(kernel: KernelHandle): void {
    this.#options.log.debug('kernelReady', { kernel: kernel.pid })
    this.#failures = 0
    this.#launchMissing()
  }

  #onExit(dead: KernelHandle): void {
    if (this.#stopped) return
    this.#deaths++
    this.#options.log.warn('kernelEnded', { kernel: dead.pid, active: dead === this.#active })
    if (dead === this.#spare) this.#spare = undefined
    else this.#replaceActive()
    if (this.#spare === undefined) this.#restart()
  }

  #replaceActive(): void {
    if (this.#spare === undefined) return
    this.#active = this.#spare
    this.#spare = undefined
  }

  /** Starts what is missing, after a pause that grows while kernels fail one after the other. */
  #restart(): void {
    const failures = this.#failures++
    if (failures === 0) return this.#launchMissing()
    const delayMs = Math.min(RESTART_DELAY_MAX_MS, RESTART_DELAY_MIN_MS * 2 ** (failures - 1))
    this.#cancelRestart?.()
    this.#cancelRestart = this.#options.clock.after(delayMs, () => this.#launchMissing())
  }

  #launchMissing(): void {
    if (this.#stopped) return
    if (this.#active.state === 'dead') this.#active = this.#launch()
    else if (this.#active.state === 'ready') this.#spare ??= this.#launch()
  }
}

/** Whatever became of the kernel, a task that it has not begun is not to blame. */
const notReady = (cause?: unknown): SqlError => {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new SqlError('executor_lost', `no kernel is ready on this executor${why}`, {
    hint: 'the task is run again by itself; send the statement again if this persists',
    cause,
  })
}
