import { mkdir, realpath, rm } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { assert } from '@nyala/client/base'
import { isMemberId, SqlError } from '@nyala/client/protocol'

/** Query ids come from coordinators; as part of a path they may be nothing but a name. */
const DIRECTORY_NAME = /^[0-9A-Za-z_-]{1,80}$/

/** Where the segments of an executor can be had. */
export interface SegmentPlace {
  readonly executor: string
  /** The data port. */
  readonly address: string
  readonly host: string
}

/**
 * The segments that this executor has written or pulled:
 *
 *   <root>/<executor>/<query>/<task>-<attempt>/   written by one attempt, which alone publishes what is in it
 *   <root>/<executor>/<query>/pulled/             copies of other executors' segments
 *
 * `root` is shared by the executors of a machine that have the same data directory, which can read each other's files.
 */
export class SegmentStore {
  readonly place: SegmentPlace
  /** Directory of all executors. */
  readonly root: string
  readonly #own: string
  /** Queries that may have a directory: most have none, and then there is nothing to delete. */
  readonly #queries = new Set<string>()

  private constructor(root: string, place: SegmentPlace) {
    assert(isMemberId(place.executor), () => `invalid executor id ${place.executor}`)
    this.root = root
    this.place = place
    this.#own = join(root, place.executor)
  }

  /** Opens the store empty: what an earlier life of this executor has left is of no use to anybody. */
  static async open(root: string, place: SegmentPlace): Promise<SegmentStore> {
    await mkdir(root, { recursive: true })
    const store = new SegmentStore(await realpath(root), place)
    await rm(store.#own, { recursive: true, force: true })
    await mkdir(store.#own, { recursive: true })
    return store
  }

  /** A new directory for an attempt, to be made by its writer. */
  attemptDirectory(ref: {
    readonly queryId: string
    readonly task: number
    readonly attempt: number
  }): string {
    this.#queries.add(ref.queryId)
    return join(this.#queryDirectory(ref.queryId), `${ref.task}-${ref.attempt}`)
  }

  pulledDirectory(queryId: string): string {
    this.#queries.add(queryId)
    return join(this.#queryDirectory(queryId), 'pulled')
  }

  async deleteQuery(queryId: string): Promise<void> {
    if (!this.#queries.delete(queryId)) return
    await rm(this.#queryDirectory(queryId), { recursive: true, force: true })
  }

  /**
   * The real path of a segment of a query that this executor wrote. Fails with `insufficient_privilege` for any other
   * path, whatever links or dots it takes, and with `executor_lost` where the segment is gone.
   */
  async resolve(queryId: string, path: string): Promise<string> {
    const directory = this.#queryDirectory(queryId)
    let real: string
    try {
      real = await realpath(path)
    } catch (cause) {
      throw new SqlError('executor_lost', `segment "${path}" is gone`, { cause })
    }
    if (real.startsWith(directory + sep)) return real
    throw new SqlError(
      'insufficient_privilege',
      `"${path}" is not a segment of query "${queryId}" on this executor`,
    )
  }

  async close(): Promise<void> {
    await rm(this.#own, { recursive: true, force: true })
  }

  #queryDirectory(queryId: string): string {
    if (!DIRECTORY_NAME.test(queryId)) {
      throw new SqlError('protocol_violation', `query id "${queryId}" is not a name`)
    }
    return join(this.#own, queryId)
  }
}
