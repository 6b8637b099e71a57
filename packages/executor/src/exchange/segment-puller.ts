import { createWriteStream } from 'node:fs'
import { mkdir, open, realpath, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { join, sep } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Clock, deferred, isMutant, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Frame } from '@nyala/client/wire'
import type { Segment, TaskSpec } from '../protocol/index.ts'
import { DataClient, GapError, UnreadableError } from './data-client.ts'
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
}

/** Brings the segments of a task's inputs to this machine, or finds that they are here already. */
export class SegmentPuller {
  readonly #options: SegmentPullerOptions
  /** One connection to each producer, shared by all pulls. */
  readonly #clients = new Map<string, DataClient>()
  /** Copies made or under way, by query and path: what is broadcast is pulled once for all tasks here. */
  readonly #queries = new Map<string, QueryCopies>()
  #copies = 0

  constructor(options: SegmentPullerOptions) {
    this.#options = options
  }

  /** The query has ended: pulls still under way stop. */
  forget(queryId: string): void {
    this.#queries
      .get(queryId)
      ?.abort.abort(new SqlError('query_canceled', 'the query was released'))
    this.#queries.delete(queryId)
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
          await unlessAborted(this.#locate(queryId, item.segment, spillLimitBytes), options.signal),
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

  close(): void {
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
  }

  async #locate(
    queryId: string,
    segment: Segment,
    spillLimitBytes: number,
  ): Promise<{ readonly path: string; readonly bytes: number }> {
    const direct = await this.#directPath(segment)
    if (direct !== undefined) return { path: direct, bytes: 0 }
    const copies = this.#copiesOf(queryId)
    const known = copies.paths.get(segment.path)
    if (known !== undefined) return { path: await known, bytes: 0 }
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

  #copiesOf(queryId: string): QueryCopies {
    const known = this.#queries.get(queryId)
    if (known !== undefined) return known
    const copies = { paths: new Map<string, Promise<string>>(), abort: new AbortController() }
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
      const real = await realpath(segment.path)
      if (!real.startsWith(store.root + sep)) return undefined
      const file = await open(real, 'r')
      try {
        return (await file.stat()).size === segment.bytes ? real : undefined
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
    await mkdir(directory, { recursive: true })
    const path = join(directory, `${this.#copies++}.parquet`)
    const file = new SegmentFile(path, segment)
    try {
      await this.#client(segment).fetchSegment(
        { queryId, path: segment.path, creditBytes: PULL_WINDOW_BYTES },
        (frame) => file.write(frame),
        { signal },
      )
      await file.finish()
    } catch (error) {
      await file.abandon()
      await rm(path, { force: true })
      throw error
    }
    return path
  }

  #client(segment: Segment): DataClient {
    const known = this.#clients.get(segment.address)
    if (known !== undefined && !known.closed) return known
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
  readonly paths: Map<string, Promise<string>>
  readonly abort: AbortController
}

/** A pull may be shared: whoever gives up stops waiting for it, and it goes on. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = deferred<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A copy in the making: its size and checksum are compared at the end with those of the segment when it was written. */
class SegmentFile {
  readonly #segment: Segment
  readonly #stream: ReturnType<typeof createWriteStream>
  #bytes = 0
  #crc = 0

  constructor(path: string, segment: Segment) {
    this.#segment = segment
    this.#stream = createWriteStream(path, { flags: 'wx' })
    // Shown by the writes that follow and by `finish`.
    this.#stream.on('error', () => undefined)
  }

  /** Resolves when the next frame may come. */
  async write(frame: Frame): Promise<void> {
    this.#crc = crc32(frame.payload, this.#crc)
    this.#bytes += frame.payload.byteLength
    if (this.#stream.errored !== null) throw this.#notWritten(this.#stream.errored)
    if (!this.#stream.write(frame.payload)) await once(this.#stream, 'drain')
  }

  async finish(): Promise<void> {
    const { bytes, crc } = this.#segment
    if (this.#bytes !== bytes) {
      throw this.#corrupted(`${this.#bytes} bytes came, expected ${bytes}`)
    }
    if (this.#crc !== crc && !isMutant('no-segment-checksum')) {
      throw this.#corrupted(`the checksum is ${this.#crc}, expected ${crc}`)
    }
    // A stream that has failed has closed, and will not say so again.
    if (this.#stream.errored !== null) throw this.#notWritten(this.#stream.errored)
    this.#stream.end()
    try {
      await once(this.#stream, 'close')
    } catch (error) {
      throw this.#notWritten(error)
    }
  }

  async abandon(): Promise<void> {
    if (this.#stream.closed) return
    // What was still to be written is an error to the stream, which is of no interest here.
    const closed = deferred<undefined>()
    this.#stream.once('close', () => closed.resolve(undefined))
    this.#stream.destroy()
    await closed.promise
  }

  #corrupted(detail: string): SqlError {
    const { path, executor } = this.#segment
    const what = `segment "${path}" of executor "${executor}" came damaged`
    return new UnreadableError(executor, what, { detail })
  }

  #notWritten(cause: unknown): SqlError {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC'
    return new SqlError(
      full ? 'disk_full' : 'io_error',
      `segment "${this.#segment.path}" cannot be written here: ${(cause as Error).message}`,
      { cause },
    )
  }
}
