import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, deferred, type Log, silentLog, systemClock } from '@nyala/client/base'
import type { Column, SqlError } from '@nyala/client/protocol'
import type { Table } from 'apache-arrow'
import type { KernelListener } from '../kernel/kernel-handle.ts'
import type { KernelOutput, KernelProgress, KernelResult } from '../kernel/kernel-protocol.ts'
import { KernelSet, type RunningTask } from '../kernel/kernel-set.ts'
import { tableOf, temporaryDirectory } from './world.ts'

export interface KernelOutcome {
  readonly columns: readonly Column[]
  readonly frames: readonly Buffer[]
  readonly progress: readonly KernelProgress[]
  readonly result: KernelResult | undefined
  readonly error: SqlError | undefined
}

export interface KernelRun {
  readonly task: RunningTask
  readonly outcome: Promise<KernelOutcome>
  /** Resolves with the first frame or progress. */
  readonly started: Promise<void>
  /** Resolves when this many frames have come. */
  readonly framesReach: (count: number) => Promise<void>
}

export interface RunOptions {
  readonly output?: KernelOutput
  readonly memoryLimitBytes?: number
  readonly spillLimitBytes?: number
  readonly threads?: number
  readonly profile?: boolean
  readonly settings?: Readonly<Record<string, string>>
  readonly alone?: boolean
}

/** Kernel processes in a temporary directory, without an executor. */
export class KernelWorld implements AsyncDisposable {
  readonly directory: string
  readonly kernels: KernelSet

  private constructor(directory: string, kernels: KernelSet) {
    this.directory = directory
    this.kernels = kernels
  }

  static async start(
    options: {
      readonly log?: Log
      readonly spillLimitBytes?: number
      readonly clock?: Clock
    } = {},
  ): Promise<KernelWorld> {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'data'))
    const kernels = new KernelSet({
      settings: {
        threads: 2,
        memoryLimitBytes: 1024 ** 3,
        spillDirectory: join(directory, 'spill'),
        spillLimitBytes: options.spillLimitBytes ?? 1024 ** 3,
        directories: [join(directory, 'data')],
      },
      clock: options.clock ?? systemClock,
      log: options.log ?? silentLog,
    })
    await kernels.ready
    return new KernelWorld(directory, kernels)
  }

  /** Where SQL may read and write. */
  get data(): string {
    return join(this.directory, 'data')
  }

  start(sql: string, options: RunOptions = {}): KernelRun {
    const ended = deferred<KernelOutcome>()
    const started = deferred<undefined>()
    const columns: Column[] = []
    const frames: Buffer[] = []
    const progress: KernelProgress[] = []
    const waiters: (() => void)[] = []
    const end = (result: KernelResult | undefined, error: SqlError | undefined): void => {
      started.resolve(undefined)
      ended.resolve({ columns, frames, progress, result, error })
      for (const wake of waiters) wake()
    }
    const listener: KernelListener = {
      onColumns: (found) => columns.push(...found),
      onFrame: (frame) => {
        frames.push(frame)
        started.resolve(undefined)
        for (const wake of waiters) wake()
      },
      onProgress: (found) => {
        progress.push(found)
        started.resolve(undefined)
      },
      onFinished: (result) => end(result, undefined),
      onFailed: (error) => end(undefined, error),
    }
    const task = this.kernels.start(
      {
        sql,
        output: options.output ?? {
          kind: 'result',
          creditBytes: Number.MAX_SAFE_INTEGER,
          small: false,
        },
        memoryLimitBytes: options.memoryLimitBytes ?? 0,
        spillLimitBytes: options.spillLimitBytes ?? 0,
        threads: options.threads ?? 0,
        profile: options.profile ?? false,
        settings: options.settings ?? {},
      },
      listener,
      options.alone,
    )
    const framesReach = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const check = (): void => {
          if (frames.length >= count) resolve()
        }
        waiters.push(check)
        check()
      })
    return { task, outcome: ended.promise, started: started.promise, framesReach }
  }

  async run(sql: string, options: RunOptions = {}): Promise<KernelOutcome> {
    return await this.start(sql, options).outcome
  }

  /** Runs a statement that must succeed, and reads its rows. */
  async table(sql: string, options: RunOptions = {}): Promise<Table> {
    const outcome = await this.run(sql, options)
    if (outcome.error !== undefined) throw outcome.error
    return tableOf(outcome.frames)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kernels.stop()
    await rm(this.directory, { recursive: true, force: true })
  }
}
