import { type Clock } from '@nyala/client/base'
import type { IDuplexStream, IResponseHeader, IWatchRequest, IWatchResponse } from 'etcd3'
import { toKvError } from './etcd-client.ts'
import { toKeyValue } from './etcd-codec.ts'
import { KvError, parseRevision, type WatchEvent, type WatchHandlers } from './kv.ts'

/** How often a silent stream is asked for a sign of life. */
const PROBE_MS = 700
/** A stream that has said nothing for this long, though asked, is given up. */
const SILENT_MAX_MS = 2500

type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>

export interface EtcdWatchOptions {
  readonly open: () => Promise<WatchStream>
  readonly clock: Clock
  readonly prefix: string
  readonly rangeEnd: Buffer
  readonly fromRevision: number
  readonly handlers: WatchHandlers
  /** An error when a response comes from another cluster. */
  readonly check: (header: IResponseHeader) => KvError | undefined
  /** Called once when the watch is over, whatever the reason. */
  readonly ended: () => void
}

/** One watch on one stream, without resumption: that needs to know what its user has applied. */
export function watchEtcd(options: EtcdWatchOptions): () => void {
  const watch = new EtcdWatch(options)
  return () => watch.stop()
}

class EtcdWatch {
  readonly #options: EtcdWatchOptions
  #stream: WatchStream | undefined
  #over = false
  #lastHeard: number
  #cancelProbe: () => void = () => undefined

  constructor(options: EtcdWatchOptions) {
    this.#options = options
    this.#lastHeard = options.clock.now()
    this.#scheduleProbe()
    options.open().then(
      (stream) => this.#attach(stream),
      (error: unknown) => this.#disconnect(error),
    )
  }

  stop(): void {
    if (this.#over) return
    this.#over = true
    this.#cancelProbe()
    this.#stream?.cancel()
    this.#options.ended()
  }

  #attach(stream: WatchStream): void {
    stream.on('error', (error) => this.#disconnect(error))
    stream.on('end', () => this.#disconnect(new Error('stream ended')))
    stream.on('data', (response) => this.#onResponse(response))
    if (this.#over) return stream.cancel()
    this.#stream = stream
    const { prefix, rangeEnd, fromRevision } = this.#options
    stream.write({
      create_request: {
        key: Buffer.from(prefix),
        range_end: rangeEnd,
        start_revision: String(fromRevision),
      },
    })
  }

  #onResponse(response: IWatchResponse): void {
    if (this.#over) return
    this.#lastHeard = this.#options.clock.now()
    const stray = this.#options.check(response.header)
    if (stray !== undefined) return this.#disconnect(stray)
    const compactRevision = parseRevision(response.compact_revision)
    if (compactRevision > 0) {
      this.stop()
      return this.#options.handlers.compacted(compactRevision)
    }
    if (response.canceled) {
      return this.#disconnect(new Error(`watch canceled: ${response.cancel_reason}`))
    }
    if (response.events.length > 0) this.#options.handlers.events(response.events.map(toEvent))
  }

  #disconnect(cause: unknown): void {
    if (this.#over) return
    this.stop()
    const error = toKvError(cause, `watch "${this.#options.prefix}"`, 'read')
    this.#options.handlers.disconnected(error)
  }

  /** The answer's revision is not used: etcd before 3.4.25 may send it ahead of the events it speaks for. */
  #scheduleProbe(): void {
    const { clock } = this.#options
    this.#cancelProbe = clock.after(PROBE_MS, () => this.#probe(), { background: true })
  }

  #probe(): void {
    const silentMs = this.#options.clock.now() - this.#lastHeard
    if (silentMs > SILENT_MAX_MS) {
      return this.#disconnect(
        new KvError('unavailable', `watch silent for ${Math.round(silentMs)} ms`),
      )
    }
    this.#stream?.write({ progress_request: {} })
    this.#scheduleProbe()
  }
}

function toEvent(event: IWatchResponse['events'][number]): WatchEvent {
  const item = toKeyValue(event.kv)
  if (event.type === 'Put') return { kind: 'put', item }
  return { kind: 'delete', key: item.key, modRevision: item.modRevision }
}
