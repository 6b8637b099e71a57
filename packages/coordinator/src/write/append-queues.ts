import type { Clock, Log } from '@nyala/client/base'
import type { ConstantKernel } from '@nyala/executor/kernel'
import type { Catalog, TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { currentSchema } from '../iceberg/metadata.ts'
import { AppendEncoder } from './append-encoder.ts'
import type { Append } from './append-group.ts'
import { AppendQueue } from './append-queue.ts'
import { AppendSnapshot } from './append-snapshot.ts'
import type { AppendEnd } from './append-waiting.ts'
import type { SharedDecisions } from './shared-decisions.ts'
import type { TableTurns } from './table-turns.ts'
import { newWriteId } from './write-ids.ts'
import type { WriteRuns } from './write-run.ts'

export interface AppendQueuesOptions {
  readonly catalog: Catalog
  readonly writes: WriteRuns
  readonly decisions: SharedDecisions
  readonly constants: ConstantKernel
  readonly store: IcebergStore
  readonly clock: Clock
  readonly log: Log
  readonly turns: TableTurns
}

/** Small appends of this coordinator, by table. */
export class AppendQueues {
  readonly #options: AppendQueuesOptions
  readonly #encoder: AppendEncoder
  readonly #queues = new Map<string, AppendQueue>()

  constructor(options: AppendQueuesOptions) {
    this.#options = options
    this.#encoder = new AppendEncoder(options.constants)
  }

  append(table: TableRecord, append: Append): Promise<AppendEnd> {
    const queue = this.#queues.get(table.id) ?? this.#open(table)
    this.#queues.set(table.id, queue)
    return queue.append(append)
  }

  /** Gives back what was begun ahead. */
  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }

  #open(table: TableRecord): AppendQueue {
    const { catalog, writes, decisions, store, clock, log, turns } = this.#options
    const queue = new AppendQueue(table, {
      ...{ catalog, writes, clock, turns, newWriteId },
      keys: writes.keys,
      writeLog: writes.writeLog,
      decisions,
      owner: writes.owner,
      encode: async (current, texts) => {
        const { fields } = currentSchema(await store.metadata(current))
        const file = await this.#encoder.encode(fields, current.columns, texts)
        return new AppendSnapshot(file, { store, clock, log })
      },
      onIdle: () => {
        if (this.#queues.get(table.id) === queue) this.#queues.delete(table.id)
      },
    })
    return queue
  }
}
