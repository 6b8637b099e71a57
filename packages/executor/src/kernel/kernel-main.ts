import { Socket } from 'node:net'
import duckdb from '@duckdb/node-bindings'
import { assert, systemClock as clock, unreachable } from '@nyala/client/base'
import { toErrorBody } from '@nyala/client/protocol'
import { columnsOf } from './columns.ts'
import { FramePool } from './frame-pool.ts'
import { endsKernel, toSpillError, toSqlError } from './kernel-errors.ts'
import { KernelInstance, quoteText } from './kernel-instance.ts'
import { KernelPipe, type PipeEvents } from './kernel-pipe.ts'
import {
  type FromKernel,
  type KernelSettings,
  type KernelTask as Spec,
  PROGRESS_INTERVAL_MS,
  type ToKernel,
  toKernel,
} from './kernel-protocol.ts'
import { KernelTask } from './kernel-task.ts'

/** The pipe to the executor, beside stdin, stdout and stderr. */
const PIPE_DESCRIPTOR = 3

/**
 * The kernel process: queries run on the pool of libuv, everything else on this one loop. It owns nothing that another
 * kernel could not do again, so whatever it cannot handle ends it, and the executor starts the next one.
 */
class Kernel {
  readonly #pipe: KernelPipe
  readonly #pool = new FramePool()
  readonly #tasks = new Map<number, KernelTask>()
  #settings: KernelSettings | undefined
  #instance: KernelInstance | undefined
  #ticking = false

  constructor(pipe: Socket) {
    const events: PipeEvents = {
      onMessage: (message) => this.#onMessage(toKernel.decode(message, 'message')),
      onDamage: (reason) => assert(false, `the executor sent a ${reason}`),
      onFrame: () => assert(false, 'a kernel takes no frames'),
      onClose: () => leave(),
    }
    this.#pipe = new KernelPipe(pipe, events, (bytes) => Buffer.allocUnsafe(bytes))
  }

  #send(message: FromKernel): void {
    this.#pipe.send(message)
  }

  #onMessage(message: ToKernel): void {
    switch (message.kind) {
      case 'open':
        return void this.#open(message.settings)
      case 'start':
        return void this.#start(message.spec)
      case 'credit':
        return this.#tasks.get(message.task)?.addCredit(message.bytes)
      case 'cancel':
        return this.#tasks.get(message.task)?.cancel()
      case 'describe':
        return void this.#describe(message.request, message.path)
      default:
        return unreachable(message)
    }
  }

  async #open(settings: KernelSettings): Promise<void> {
    this.#settings = settings
    this.#instance = await KernelInstance.open(settings)
    this.#send({ kind: 'ready', version: duckdb.library_version() })
  }

  async #start(spec: Spec): Promise<void> {
    assert(!this.#tasks.has(spec.task), () => `task ${spec.task} is running already`)
    const task = new KernelTask(spec, {
      ...this.#opened(),
      pipe: this.#pipe,
      pool: this.#pool,
      clock,
    })
    this.#tasks.set(spec.task, task)
    this.#tickSoon()
    try {
      const result = await task.run()
      this.#send({ kind: 'finished', task: spec.task, result })
    } catch (error) {
      const reason = toSpillError(toSqlError(error), this.#opened().settings.spillDirectory)
      this.#send({ kind: 'failed', task: spec.task, error: toErrorBody(reason) })
      if (endsKernel(error)) throw error
    } finally {
      this.#tasks.delete(spec.task)
    }
  }

  async #describe(request: number, path: string): Promise<void> {
    const { shared } = this.#opened()
    const connection = await shared.acquire()
    try {
      const sql = `SELECT * FROM read_parquet(${quoteText(path)}, hive_partitioning = false)`
      const statement = await duckdb.prepare(connection.raw, sql)
      const columns = columnsOf(statement, shared.typeNames)
      this.#send({
        kind: 'described',
        request,
        columns: columns.map(({ name, type }) => ({ name, type })),
      })
    } catch (error) {
      this.#send({ kind: 'refused', request, error: toErrorBody(toSqlError(error)) })
    } finally {
      shared.release(connection, true)
    }
  }

  #opened(): { readonly shared: KernelInstance; readonly settings: KernelSettings } {
    assert(this.#instance !== undefined && this.#settings !== undefined, 'the kernel is not open')
    return { shared: this.#instance, settings: this.#settings }
  }

  /** One timer for all tasks, and none while there are none. */
  #tickSoon(): void {
    if (this.#ticking) return
    this.#ticking = true
    clock.after(PROGRESS_INTERVAL_MS, () => {
      this.#ticking = false
      for (const task of this.#tasks.values()) {
        const message = task.tick()
        if (message !== undefined) this.#send(message)
      }
      if (this.#tasks.size > 0) this.#tickSoon()
    })
  }
}

/** A running query would keep an ordinary exit waiting for its thread. */
function leave(): void {
  process.kill(process.pid, 'SIGKILL')
}

// A signal to the process group, as from Ctrl-C, is for the executor: it drains and then closes the pipe.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`, leave)
})

/** In a drill a member is struck as a whole: its executor with the kernel that came to the named moment. */
async function listenInDrills(): Promise<void> {
  const member = process.env['NYALA_MEMBER']
  if (member === undefined) return
  const { listenToFailpoints } = await import('@nyala/metastore')
  listenToFailpoints(member, process.env, [process.ppid, process.pid])
}

await listenInDrills()
new Kernel(new Socket({ fd: PIPE_DESCRIPTOR }))
