import { type Clock, DecodeError, type Infer, s } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Keys } from './keys.ts'
import type { Compare, Kv } from './kv.ts'
import type { Owner } from './query-log.ts'
import { decodeRecord, encodeRecord, memberId } from './records.ts'
import { repeatCommit, repeatRead } from './retry.ts'
import type { Asking } from './write-log.ts'

const readFloorRecord = s.object({
  owner: memberId,
  /** As in its member record. */
  ownerStartedAt: s.number,
  /** No statement of this process reads the catalog, or files that it named, as of an earlier revision than this. */
  revision: s.natural,
})
export type ReadFloorRecord = Infer<typeof readFloorRecord>

export interface ReadFloorOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  /** The process that reads. */
  readonly owner: Owner
}

/**
 * What one process of a coordinator says of how old the snapshots are that it reads, so that files which only older ones
 * name can be removed.
 *
 * It is there before the process reads the catalog for the first time, and it only ever rises. So whoever finds, at a
 * revision later than that of a change, no floor below the change, knows that nobody reads what was before it, nor ever
 * will: processes that begin later read a catalog which has the change. One that is paused says what it said, and keeps
 * the files. It bears no lease for that reason; the leader removes those of processes that are gone.
 */
export class ReadFloor {
  readonly #options: ReadFloorOptions
  #revision = 0
  #modRevision = 0

  private constructor(options: ReadFloorOptions) {
    this.#options = options
  }

  /** Resolves when it is there. The catalog must not be read before. Fails with `metastore_unavailable`. */
  static async open(options: ReadFloorOptions): Promise<ReadFloor> {
    const floor = new ReadFloor(options)
    await floor.#put(0)
    return floor
  }

  /** What was said last. */
  get revision(): number {
    return this.#revision
  }

  /**
   * Says that nothing older is read. False where the floor was found to be gone, and is there anew: this process was
   * taken for dead, and files that its statements read may have been removed. Fails with `metastore_unavailable`, or with
   * `commit_outcome_unknown`, which does no harm.
   */
  async raise(revision: number): Promise<boolean> {
    return revision <= this.#revision || this.#put(revision)
  }

  /** Nothing is read here any more. */
  async close(): Promise<void> {
    const { kv, clock, keys, owner } = this.#options
    const key = keys.reader(owner)
    const compares: readonly Compare[] = [{ kind: 'modRevision', key, equals: this.#modRevision }]
    await repeatCommit({ kv, clock }, { compares, success: [{ kind: 'delete', key }] })
  }

  async #put(revision: number): Promise<boolean> {
    const { kv, clock, keys, owner } = this.#options
    const key = keys.reader(owner)
    const record = { owner: owner.id, ownerStartedAt: owner.startedAt, revision }
    const value = encodeRecord(readFloorRecord, record)
    let isAnew = false
    for (;;) {
      const { result } = await repeatCommit(
        { kv, clock },
        {
          compares: [{ kind: 'modRevision', key, equals: this.#modRevision }],
          success: [{ kind: 'put', key, value }],
          failure: [{ kind: 'get', key }],
        },
      )
      if (result.succeeded) {
        this.#modRevision = result.revision
        break
      }
      // An earlier attempt has put it, or another process has removed it: nobody else writes it.
      const [response] = result.responses
      const item = response?.kind === 'get' ? response.item : undefined
      this.#modRevision = item?.modRevision ?? 0
      if (item?.value === value) break
      isAnew ||= item === undefined
    }
    this.#revision = revision
    return !isAnew
  }
}

/** A floor as it was read. */
export interface LoggedFloor {
  readonly record: ReadFloorRecord
  readonly key: string
  readonly modRevision: number
}

/**
 * All floors, as of now. Fails with `metastore_unavailable`, and with `data_corrupted` where one cannot be read: then nobody
 * knows what is needed.
 */
export async function readFloors({
  kv,
  keys,
  clock,
  patience,
}: Pick<ReadFloorOptions, 'kv' | 'keys' | 'clock'> & Pick<Asking, 'patience'>): Promise<
  readonly LoggedFloor[]
> {
  const { items } = await repeatRead({ kv, clock, patience }, (call) =>
    kv.range(keys.readers, patience === undefined ? {} : call),
  )
  return items.map(({ key, value, modRevision }) => {
    try {
      return { record: decodeRecord(readFloorRecord, value, key), key, modRevision }
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause
      throw new SqlError('data_corrupted', `the record "${key}" cannot be read`, {
        hint: 'all coordinators must run the same version; see which one wrote it',
        cause,
      })
    }
  })
}
