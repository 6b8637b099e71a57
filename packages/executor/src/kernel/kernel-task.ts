import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import duckdb from '@duckdb/node-bindings'
import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { runExchangeTask } from './exchange-task.ts'
import type { FramePool } from './frame-pool.ts'
import { FrameWriter } from './frame-writer.ts'
import {
  checkTaskSettings,
  type KernelConnection,
  KernelInstance,
  needsOwnInstance,
} from './kernel-instance.ts'
import type { KernelPipe } from './kernel-pipe.ts'
import type {
  FromKernel,
  KernelResult,
  KernelSettings,
  KernelTask as Spec,
  WrittenFile,
} from './kernel-protocol.ts'
import { readRows } from './read-rows.ts'
import { ResultTask } from './result-task.ts'
import { runTableTask } from './table-task.ts'

const MEMORY = `
  SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT, coalesce(sum(temporary_storage_bytes), 0)::BIGINT
  FROM duckdb_memory()`

export interface KernelTaskContext {
  readonly settings: KernelSettings
  readonly shared: KernelInstance
  readonly pipe: KernelPipe
  readonly pool: FramePool
  readonly clock: Clock
}

/** One task in the kernel: its connection, its instance where it needs one of its own, and what is watched about it. */
export class KernelTask {
  readonly #spec: Spec
  readonly #context: KernelTaskContext
  readonly #frames: FrameWriter
  #canceled = false
  #connection: KernelConnection | undefined
  #instance: KernelInstance | undefined
  #result: ResultTask | undefined
  #watcher: KernelConnection | undefined
  #sampling: Promise<void> | undefined
  #peakMemoryBytes = 0
  #spillBytes = 0
  #memoryBytes = 0

  constructor(spec: Spec, context: KernelTaskContext) {
    this.#spec = spec
    this.#context = context
    const { output } = spec
    const how =
      output.kind === 'result'
        ? { creditBytes: output.creditBytes, after: output.after }
        : { creditBytes: 0, after: undefined }
    this.#frames = new FrameWriter(spec.task, how, context.pipe, context.pool)
  }

  addCredit(bytes: number): void {
    this.#frames.addCredit(bytes)
  }

  /** Asks the task to end; it still ends in a result or an error. */
  cancel(): void {
    this.#canceled = true
    this.#frames.fail(canceled())
    this.#interrupt()
  }

  async run(): Promise<KernelResult> {
    const { clock } = this.#context
    const startedAt = clock.now()
    const cpuBefore = process.cpuUsage()
    checkTaskSettings(this.#spec.settings)
    let files: readonly WrittenFile[] = []
    let profile: string | undefined
    let ok = false
    try {
      const connection = await this.#open()
      files = await this.#execute(connection)
      profile = await readProfile(connection)
      ok = true
    } finally {
      await this.#close(ok)
    }
    const cpu = process.cpuUsage(cpuBefore)
    return {
      rows: this.#result?.rows ?? files.reduce((sum, file) => sum + file.rows, 0),
      frames: this.#frames.frames,
      bytes: this.#frames.bytes + files.reduce((sum, file) => sum + file.bytes, 0),
      files,
      elapsedMs: clock.now() - startedAt,
      cpuMs: (cpu.user + cpu.system) / 1000,
      peakMemoryBytes: this.#peakMemoryBytes,
      spillBytes: this.#spillBytes,
      ...(profile === undefined ? {} : { profile }),
    }
  }

  /** Tells how far the task is, and takes the next look at its memory; called every tenth of a second or so. */
  tick(): FromKernel | undefined {
    // An interrupt between two statements is forgotten, so it is repeated until the task has ended.
    if (this.#canceled) this.#interrupt()
    this.#result?.flushIfIdle()
    if (this.#connection === undefined) return undefined
    this.#sampling ??= this.#sample()
    const progress = duckdb.query_progress(this.#connection.raw)
    const known = progress.percentage >= 0
    return {
      kind: 'progress',
      task: this.#spec.task,
      progress: {
        fraction: known ? Math.min(1, progress.percentage / 100) : null,
        rowsRead: known ? Number(progress.rows_processed) : 0,
        memoryBytes: this.#memoryBytes,
      },
    }
  }

  async #open(): Promise<KernelConnection> {
    const { memoryLimitBytes, spillLimitBytes, threads, settings, profile } = this.#spec
    const limited = (memoryLimitBytes > 0 || spillLimitBytes > 0) && !isMutant('no-memory-limit')
    const own = limited || threads > 0 || needsOwnInstance(settings)
    if (own) this.#instance = await this.#openInstance()
    const instance = this.#instance ?? this.#context.shared
    this.#connection = await instance.acquire(settings, { profile })
    this.#throwIfCanceled()
    return this.#connection
  }

  async #openInstance(): Promise<KernelInstance> {
    const { settings } = this.#context
    return await KernelInstance.open(
      {
        ...settings,
        memoryLimitBytes: this.#spec.memoryLimitBytes || settings.memoryLimitBytes,
        spillLimitBytes: this.#spec.spillLimitBytes || settings.spillLimitBytes,
        threads: this.#spec.threads || settings.threads,
        spillDirectory: this.#ownSpillDirectory,
      },
      this.#spec.settings,
    )
  }

  get #ownSpillDirectory(): string {
    return join(this.#context.settings.spillDirectory, `task-${this.#spec.task}`)
  }

  async #execute(connection: KernelConnection): Promise<readonly WrittenFile[]> {
    const { pipe, clock, shared } = this.#context
    const { task, sql, output } = this.#spec
    const context = {
      connection: connection.raw,
      typeNames: (this.#instance ?? shared).typeNames,
      onColumns: (columns: Extract<FromKernel, { kind: 'columns' }>['columns']) =>
        pipe.send({ kind: 'columns', task, columns }),
      throwIfCanceled: () => this.#throwIfCanceled(),
    }
    if (output.kind === 'exchange') return await runExchangeTask(sql, output, context)
    if (output.kind === 'table') {
      const { directories } = this.#context.settings
      return await runTableTask(sql, output, { ...context, directories })
    }
    this.#result = new ResultTask(sql, {
      ...context,
      small: output.small,
      rowsLimit: output.rowsLimit ?? Number.POSITIVE_INFINITY,
      frames: this.#frames,
      clock,
    })
    await this.#result.run()
    return []
  }

  async #close(ok: boolean): Promise<void> {
    await this.#sampling
    const instance = this.#instance ?? this.#context.shared
    if (this.#watcher !== undefined) instance.release(this.#watcher, true)
    const connection = this.#connection
    this.#connection = undefined
    if (connection !== undefined) instance.release(connection, ok)
    if (this.#instance === undefined) return
    this.#instance.close()
    await rm(this.#ownSpillDirectory, { recursive: true, force: true })
  }

  async #sample(): Promise<void> {
    try {
      const instance = this.#instance ?? this.#context.shared
      this.#watcher ??= await instance.acquire()
      const [row] = await readRows(this.#watcher.raw, MEMORY)
      this.#memoryBytes = Number(row?.[0] ?? 0)
      this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, this.#memoryBytes)
      this.#spillBytes = Math.max(this.#spillBytes, Number(row?.[1] ?? 0))
    } catch {
      // Where memory is short this statement may be the one that gets none; the task itself will say so.
    } finally {
      this.#sampling = undefined
    }
  }

  #interrupt(): void {
    if (this.#connection !== undefined) duckdb.interrupt(this.#connection.raw)
  }

  #throwIfCanceled(): void {
    if (this.#canceled) throw canceled()
  }
}

const canceled = (): SqlError => new SqlError('query_canceled', 'the task was canceled')

/** What the last statement of a connection has written, where it writes profiles. */
async function readProfile({ profilePath }: KernelConnection): Promise<string | undefined> {
  return profilePath === undefined ? undefined : await readFile(profilePath, 'utf8')
}
