import type { Clock } from '@nyala/client/base'
import { type Catalog, type CatalogSnapshot, type NewestRevision, Patience } from '@nyala/metastore'
import { StatementRead } from '../../server/read-consistency.ts'
import { WorkAhead } from '../../server/work-ahead.ts'

export interface SimulatedReadsOptions {
  readonly catalog: Catalog
  readonly newest: NewestRevision
  readonly clock: Clock
  /** `old-snapshots`: etcd is not asked. `old-answers`: it is, but what was made meanwhile is not made again. */
  readonly mutant?: string | undefined
}

/** What statements of one coordinator read, by the code that decides it in production. */
export class SimulatedReads {
  readonly #options: SimulatedReadsOptions
  readonly #ahead = new WorkAhead()

  constructor(options: SimulatedReadsOptions) {
    this.#options = options
  }

  /** The snapshot of a transaction that begins. `revision`: what its session has seen. */
  async snapshot(revision: number): Promise<CatalogSnapshot> {
    const read = this.#read(revision)
    await read.open()
    return read.newest()
  }

  /** What a statement answers that works on the snapshot at hand while etcd is asked, as queries are planned. */
  async answer<T>(
    revision: number,
    work: (catalog: CatalogSnapshot) => Promise<T>,
  ): Promise<{ readonly value: T; readonly snapshot: CatalogSnapshot }> {
    const read = this.#read(revision)
    await read.open()
    const context = {
      catalog: read.catalog,
      askNewest: () => read.ask(),
      newest: async () => {
        const { catalog } = read
        const newest = await read.newest()
        return this.#options.mutant === 'old-answers' ? catalog : newest
      },
    }
    const { value, context: used } = await this.#ahead.run(context, (one) => work(one.catalog))
    return { value, snapshot: used.catalog }
  }

  #read(revision: number): StatementRead {
    const { catalog, newest, clock, mutant } = this.#options
    const readConsistency = mutant === 'old-snapshots' ? 'session' : 'strong'
    return new StatementRead(
      { catalog, newest, clock, holds: { hold: () => () => undefined } },
      {
        settings: { readConsistency },
        patience: new Patience(clock),
        ...{ revision, signal: new AbortController().signal, notices: [] },
      },
      undefined,
    )
  }
}
