import { type Clock, silentLog } from '@nyala/client/base'
import { connectKv, type EtcdKv, Keys, PrefixView } from '@nyala/metastore'

/** Who leads, as etcd tells by a watch of its own. */
export class LeaderObserver {
  readonly #kv: EtcdKv
  readonly #view: PrefixView
  readonly #key: string

  private constructor(kv: EtcdKv, keys: Keys, clock: Clock) {
    this.#kv = kv
    this.#key = keys.leader
    this.#view = new PrefixView({ kv, clock, log: silentLog, prefix: keys.leader })
  }

  static async open(endpoints: readonly string[], clock: Clock): Promise<LeaderObserver> {
    const kv = await connectKv({ endpoints, clock, log: silentLog })
    const observer = new LeaderObserver(kv, new Keys('local'), clock)
    await observer.#view.start()
    return observer
  }

  get leader(): { readonly id: string; readonly epoch: number } | undefined {
    const item = this.#view.get(this.#key)
    if (item === undefined) return undefined
    const { record } = JSON.parse(item.value) as { readonly record: { readonly id: string } }
    return { id: record.id, epoch: item.createRevision }
  }

  /** Resolves as soon as somebody leads under an epoch later than `epoch`. */
  async next(epoch: number, options: { readonly signal: AbortSignal }): Promise<void> {
    const isLater = (): boolean => (this.leader?.epoch ?? 0) > epoch
    await this.#view.waitFor(isLater, options)
  }

  async close(): Promise<void> {
    await this.#view.stop()
    await this.#kv.close()
  }
}
