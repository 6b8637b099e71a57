import { join, sep } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Clock, isMutant, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Dial, Frame } from '@nyala/client/wire'
import type { Segment, TaskSpec } from '../protocol/index.ts'
import { DataClient, GapError, unlessAborted, UnreadableError } from './data-client.ts'
import { diskFiles, type SegmentFiles, type SegmentWriter } from './segment-files.ts'
import type { SegmentStore } from './segment-store.ts'

/** Segments pulled at once for one task; more would only fill buffers. */
const PULLS_MAX = 4
/** Times that a segment is asked for whose frames come out of their order. */
const COPIES_MAX = 3
/** What may be on its way for one pull: enough to keep a socket busy while a frame is written. */
const PULL_WINDOW_BYTES = 4 * 1024 * 1024

export type PulledInputs = readonly {
  readonly exchange: number
  readonly paths: readonly string[]
  readonly pulledBytes: number
}[]

export interface SegmentPullerOptions {
  readonly store: SegmentStore
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly dial?: Dial | undefined
  /** Where segments lie, if not on disk. */
  readonly files?: SegmentFiles | undefined
  /** What may be on its way for one pull. */
  readonly windowBytes?: number | undefined
}

/** Brings the segments of a task's inputs to this machine, or finds that they are here already. */
export class SegmentPuller {
  readonly #options: SegmentPullerOptions
  readonly #files: SegmentFiles
  /** One connection to each producer, shared by all pulls. */
  readonly #clients = new Map<string, DataClient>()
  /** Copies made or under way, by query and path: what is broadcast is pulled once for all tasks here. */
  readonly #queries = new Map<string, QueryCopies>()
  /** Copies of queries that were forgotten, until they have ended. */
  readonly #ending = new Set<Promise<void>>()
  #copies = 0

  constructor(options: SegmentPullerOptions) {
    this.#options = options
    this.#files = options.files ?? diskFiles
  }

  /** The query has ended: pulls under way stop, and none begins. Resolves when nothing of it is written any more. */
  forget(queryId: string): Promise<void> {
    const copies = this.#queries.get(queryId)
    if (copies === undefined) return Promise.resolve()
    copies.abort.abort(new SqlError('query_canceled', 'the query was released'))
    this.#queries.delete(queryId)
    const ended = Promise.allSettled(copies.paths.values()).then(() => {
      this.#ending.delete(ended)
    })
    this.#ending.add(ended)
    return ended
  }

  /**
   * Paths for every input. Fails with `executor_lost` naming the segment where its producer is gone, or where the
   * bytes that came are not those that were written; where there is no room, as {@link SegmentStore.add} does.
   */
  async pull(
    {
      queryId,
      inputs,
      spillLimitBytes = 0,
    }: Pick<TaskSpec, 'queryId' | 'inputs' | 'spillLimitBytes'>,
    options: { readonly signal: AbortSignal },
  ): Promise<PulledInputs> {
    const wanted = inputs.flatMap(({ exchange, segments }) =>
      segments.map((segment) => ({ exchange, segment })),
    )
    const found = new Map<Segment, { readonly path: string; readonly bytes: number }>()
    let next = 0
    const work = async (): Promise<void> => {
      for (let item = wanted[next++]; item !== undefined; item = wanted[next++]) {
        options.signal.throwIfAborted()
        found.set(
          item.segment,
          await unlessAborted(
            this.#locate(queryId, item.segment, { ...options, spillLimitBytes }),
            options.signal,
          ),
        )
      }
    }
    await Promise.all(Array.from({ length: Math.min(PULLS_MAX, wanted.length) }, work))
    return inputs.map(({ exchange, segments }) => {
      const places = segments.map((segment) => found.get(segment))
      return {
        exchange,
        paths: places.map((place) => place?.path ?? ''),
        pulledBytes: places.reduce((sum, place) => sum + (place?.bytes ?? 0), 0),
      }
    })
  }

  /** Stops all pulls. Resolves when none of them writes any more. */
  async close(): Promise<void> {
    for (const queryId of [...this.#queries.keys()]) void this.forget(queryId)
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
    await Promise.all(this.#ending)
  }

  async #locate(
    queryId: string,
    segment: Segment,
    { signal, spillLimitBytes }: { readonly signal: AbortSignal; readonly spillLimitBytes: number },
  ): Promise<{ readonly path: string; readonly bytes: number }> {
    const direct = await this.#directPath(segment)
    if (direct !== undefined) return { path: direct, bytes: 0 }
    // The query may be forgotten by now, and nobody would remove a copy that is begun after that.
    signal.throwIfAborted()
    const copies = this.#copiesOf(queryId)
    while (copies.paths.has(segment.path)) {
      const known = await this.#knownCopy(copies, segment)
      if (known !== undefined) return { path: known, bytes: 0 }
    }
    // Forgotten while a copy was looked for: whoever deletes what there is of the query does not wait for another one.
    copies.abort.signal.throwIfAborted()
    this.#options.store.add(queryId, segment.bytes, spillLimitBytes)
    const copy = this.#copyWhole(queryId, segment, copies.abort.signal)
    copies.paths.set(segment.path, copy)
    try {
      return { path: await copy, bytes: segment.bytes }
    } catch (error) {
      this.#options.store.remove(queryId, segment.bytes)
      // The next attempt tries anew.
      copies.paths.delete(segment.path)
      throw error
    }
  }

  /** A copy that was made before and is still there. */
  async #knownCopy({ paths, queryId }: QueryCopies, segment: Segment): Promise<string | undefined> {
    for (;;) {
      const known = paths.get(segment.path)
      if (known === undefined) return undefined
      const path = await known
      const isThere = await this.#files.realPath(path).then(
        () => true,
        () => false,
      )
      if (isThere) return path
      // Whoever else has found it gone may have begun another copy.
      if (paths.get(segment.path) !== known) continue
      paths.delete(segment.path)
      this.#options.store.remove(queryId, segment.bytes)
    }
  }

  #copiesOf(queryId: string): QueryCopies {
    const known = this.#queries.get(queryId)
    if (known !== undefined) return known
    const paths = new Map<string, Promise<string>>()
    const copies = { queryId, paths, abort: new AbortController() }
    this.#queries.set(queryId, copies)
    return copies
  }

  /**
   * The segment's own path, where it lies on this machine in the directory that our kernel may read. Only its size is
   * compared: reading it for a checksum would cost a fifth of what reading it for the query does.
   */
  async #directPath(segment: Segment): Promise<string | undefined> {
    const { store } = this.#options
    if (segment.host !== store.place.host) return undefined
    try {
      const real = await this.#files.realPath(segment.path)
      if (!real.startsWith(store.root + sep)) return undefined
      const file = await this.#files.open(real)
      try {
        return (await file.size()) === segment.bytes ? real : undefined
      } finally {
        await file.close()
      }
    } catch {
      // Not to be had this way; its producer may still serve it, or say what became of it.
      return undefined
    }
  }

  async #copyWhole(queryId: string, segment: Segment, signal: AbortSignal): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#copy(queryId, segment, signal)
      } catch (error) {
        if (!(error instanceof GapError) || attempt >= COPIES_MAX || isMutant('no-refetch'))
          throw error
        this.#options.log.info('segmentRefetched', { query: queryId, path: segment.path, error })
      }
    }
  }

  async #copy(queryId: string, segment: Segment, signal: AbortSignal): Promise<string> {
    const directory = this.#options.store.pulledDirectory(queryId)
    await this.#files.makeDirectory(directory)
    const path = join(directory, `${this.#copies++}.parquet`)
    const file = new SegmentFile(segment, this.#files.create(path))
    try {
      const { windowBytes: creditBytes = PULL_WINDOW_BYTES } = this.#options
      await this.#client(segment).fetchSegment(
        { queryId, path: segment.path, creditBytes },
        (frame) => file.write(frame),
        { signal },
      )
      await file.finish()
    } catch (error) {
      await file.abandon()
      await this.#files.remove(path)
      throw error
    }
    return path
  }

  #client(segment: Segment): DataClient {
    const known = this.#clients.get(segment.address)
    if (known !== undefined && !known.closed) return known
    // An executor that was started again has another address.
    for (const [address, one] of this.#clients) if (one.closed) this.#clients.delete(address)
    const client = new DataClient({
      ...this.#options,
      address: segment.address,
      producer: segment.executor,
      member: this.#options.store.place.executor,
    })
    this.#clients.set(segment.address, client)
    return client
  }
}

interface QueryCopies {
  readonly queryId: string
  readonly paths: Map<string, Promise<string>>
  readonly abort: AbortController
}

/** A copy in the making: its size and checksum are compared at the end with those of the segment when it was written. */
class SegmentFile {
  readonly #segment: Segment
  readonly #writer: SegmentWriter
  #bytes = 0
  #crc = 0
  /** Of every frame but the last. */
  #frameBytes: number | undefined
  #isLast = false

  constructor(segment: Segment, writer: SegmentWriter) {
    this.#segment = segment
    this.#writer = writer
  }

  /** Resolves when the next frame may come. */
  async write({ payload }: Frame): Promise<void> {
    this.#frameBytes ??= payload.byteLength
    // More is only sent for what has come: of frames that are cut short a pull would wait for ever.
    if (this.#isLast || payload.byteLength > this.#frameBytes) {
      throw this.#corrupted('a frame is shorter than those that follow')
    }
    this.#isLast = payload.byteLength < this.#frameBytes
    this.#crc = crc32(payload, this.#crc)
    this.#bytes += payload.byteLength
    await this.#written(this.#writer.write(payload))
  }

  async finish(): Promise<void> {
    const { bytes, crc } = this.#segment
    if (this.#bytes !== bytes) {
      throw this.#corrupted(`${this.#bytes} bytes came, expected ${bytes}`)
    }
    if (this.#crc !== crc && !isMutant('no-segment-checksum')) {
      throw this.#corrupted(`the checksum is ${this.#crc}, expected ${crc}`)
    }
    await this.#written(this.#writer.finish())
  }

  abandon(): Promise<void> {
    return this.#writer.abandon()
  }

  #corrupted(detail: string): SqlError {
    const { path, executor } = this.#segment
    const what = `segment "${path}" of executor "${executor}" came damaged`
    return new UnreadableError(executor, what, { detail })
  }

  async #written(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (cause) {
      const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC'
      throw new SqlError(
        full ? 'disk_full' : 'io_error',
        `segment "${this.#segment.path}" cannot be written here: ${(cause as Error).message}`,
        { cause },
      )
    }
  }
}
