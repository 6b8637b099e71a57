import { join, sep } from 'node:path'
import { assert } from '@nyala/client/base'
import { isMemberId, SqlError } from '@nyala/client/protocol'
import { diskFiles, type SegmentFiles } from './segment-files.ts'

/** Query ids come from coordinators; as part of a path they may be nothing but a name. */
const DIRECTORY_NAME = /^[0-9A-Za-z_-]{1,80}$/

/** Where the segments of an executor can be had. */
export interface SegmentPlace {
  readonly executor: string
  /** The data port. */
  readonly address: string
  readonly host: string
}

interface AttemptReference {
  readonly queryId: string
  readonly task: number
  readonly attempt: number
}

/** Bytes on disk of one query, by who put them there: an attempt or the pulls. */
type Usage = Map<string, number>

const PULLED = 'pulled'

/**
 * The segments that this executor has written or pulled:
 *
 *   <root>/<executor>/<query>/<task>-<attempt>/   written by one attempt, which alone publishes what is in it
 *   <root>/<executor>/<query>/pulled/             copies of other executors' segments
 *
 * `root` is shared by the executors of a machine that have the same data directory, which can read each other's files.
 * Bytes are counted by query: what is pulled before it comes, what is written as it grows.
 */
export class SegmentStore {
  readonly place: SegmentPlace
  /** Directory of all executors. */
  readonly root: string
  readonly #own: string
  readonly #files: SegmentFiles
  readonly #limitBytes: number
  /** Queries that may have a directory: most have none, and then there is nothing to delete. */
  readonly #queries = new Map<string, Usage>()
  #usedBytes = 0

  private constructor(
    where: { readonly root: string; readonly files: SegmentFiles },
    place: SegmentPlace,
    limitBytes: number,
  ) {
    assert(isMemberId(place.executor), () => `invalid executor id ${place.executor}`)
    this.root = where.root
    this.#files = where.files
    this.#limitBytes = limitBytes
    this.place = place
    this.#own = join(where.root, place.executor)
  }

  /**
   * Opens the store empty: what an earlier life of this executor has left is of no use to anybody. `limitBytes` is for
   * the segments of all queries together.
   */
  static async open(
    root: string,
    place: SegmentPlace,
    limitBytes: number = Number.POSITIVE_INFINITY,
    files: SegmentFiles = diskFiles,
  ): Promise<SegmentStore> {
    await files.makeDirectory(root)
    const real = await files.realPath(root)
    const store = new SegmentStore({ root: real, files }, place, limitBytes)
    await files.remove(store.#own)
    await files.makeDirectory(store.#own)
    return store
  }

  /** Bytes of segments on disk, of all queries. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Bytes of segments on disk, of one query. */
  usedBytesOf(queryId: string): number {
    let sum = 0
    for (const bytes of this.#queries.get(queryId)?.values() ?? []) sum += bytes
    return sum
  }

  /** A new directory for an attempt, to be made by its writer. `protocol_violation`: the id of the query is no name. */
  attemptDirectory(ref: AttemptReference): string {
    this.#usage(ref.queryId)
    return join(this.#queryDirectory(ref.queryId), attemptName(ref))
  }

  /** A directory for copies, to be made by whoever pulls. Fails as {@link attemptDirectory}. */
  pulledDirectory(queryId: string): string {
    this.#usage(queryId)
    return join(this.#queryDirectory(queryId), PULLED)
  }

  /** What an attempt has on disk by now. */
  async measure(ref: AttemptReference): Promise<number> {
    return await this.#files.bytesBelow(this.attemptDirectory(ref))
  }

  /** Says what an attempt has on disk. Fails as {@link add} does; it is counted all the same. */
  set(ref: AttemptReference, bytes: number, queryLimitBytes: number): void {
    // What a released query still writes is deleted when it stops.
    if (!this.#queries.has(ref.queryId)) return
    this.#count(ref.queryId, attemptName(ref), bytes)
    this.#check(ref.queryId, 0, queryLimitBytes)
  }

  /**
   * Counts bytes that are about to be pulled. Fails with `disk_full` where the executor's limit is passed, and with
   * `configuration_limit_exceeded` where that of the query is (0: it has none), or as {@link attemptDirectory}; then nothing
   * is counted.
   */
  add(queryId: string, bytes: number, queryLimitBytes: number): void {
    this.#check(queryId, bytes, queryLimitBytes)
    const before = this.#usage(queryId).get(PULLED) ?? 0
    this.#count(queryId, PULLED, before + bytes)
  }

  /** Counts bytes no more that were to be pulled and are not here. */
  remove(queryId: string, bytes: number): void {
    const before = this.#queries.get(queryId)?.get(PULLED)
    if (before !== undefined) this.#count(queryId, PULLED, before - bytes)
  }

  /** Deletes what an attempt has written; nothing writes there any more. */
  async discard(ref: AttemptReference): Promise<void> {
    if (this.#queries.get(ref.queryId) === undefined) return
    await this.#files.remove(this.attemptDirectory(ref))
    if (this.#queries.has(ref.queryId)) this.#count(ref.queryId, attemptName(ref), 0)
  }

  /** Where it fails, what is left still counts, and it can be tried again. */
  async deleteQuery(queryId: string): Promise<void> {
    if (!this.#queries.has(queryId)) return
    await this.#files.remove(this.#queryDirectory(queryId))
    this.#usedBytes -= this.usedBytesOf(queryId)
    this.#queries.delete(queryId)
  }

  /**
   * The real path of a segment of a query that this executor wrote. Fails with `insufficient_privilege` for any other
   * path, whatever links or dots it takes, and with `executor_lost` where the segment is gone.
   */
  async resolve(queryId: string, path: string): Promise<string> {
    const directory = this.#queryDirectory(queryId)
    let real: string
    try {
      real = await this.#files.realPath(path)
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
    await this.#files.remove(this.#own)
  }

  #usage(queryId: string): Usage {
    const known = this.#queries.get(queryId)
    if (known !== undefined) return known
    // Of what can have no directory nothing is counted, and nothing is to be deleted.
    this.#queryDirectory(queryId)
    const usage: Usage = new Map()
    this.#queries.set(queryId, usage)
    return usage
  }

  #count(queryId: string, name: string, bytes: number): void {
    const usage = this.#usage(queryId)
    this.#usedBytes += bytes - (usage.get(name) ?? 0)
    usage.set(name, bytes)
  }

  #check(queryId: string, more: number, queryLimitBytes: number): void {
    const ofQuery = this.usedBytesOf(queryId) + more
    if (queryLimitBytes > 0 && ofQuery > queryLimitBytes) {
      throw spillLimitError(
        `the query keeps ${ofQuery} bytes of segments on executor "${this.place.executor}"`,
        queryLimitBytes,
      )
    }
    if (this.#usedBytes + more <= this.#limitBytes) return
    throw new SqlError(
      'disk_full',
      `the segments on executor "${this.place.executor}" would take ${this.#usedBytes + more} bytes, its limit is ${this.#limitBytes}`,
      { hint: 'run fewer queries at once, or start the executors with a higher --exchange-limit' },
    )
  }

  #queryDirectory(queryId: string): string {
    if (!DIRECTORY_NAME.test(queryId)) {
      throw new SqlError('protocol_violation', `query id "${queryId}" is not a name`)
    }
    return join(this.#own, queryId)
  }
}

/** A query has come to what it may have on the disk of one executor. */
export const spillLimitError = (what: string, limitBytes: number, cause?: SqlError): SqlError =>
  new SqlError(
    'configuration_limit_exceeded',
    `${what}, more than max_spill_bytes = ${limitBytes}`,
    {
      hint: 'raise SET max_spill_bytes, or read fewer columns and rows at once',
      detail: cause?.message,
      cause,
    },
  )

const attemptName = ({ task, attempt }: AttemptReference): string => `${task}-${attempt}`
