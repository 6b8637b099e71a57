import type { CoordinatorLinkOptions } from './coordinator-link.ts'
import { CoordinatorLink } from './coordinator-link.ts'

/**
 * Load is reported when it changes, and not more often than this. While there is any, it is also looked at this often,
 * as nobody tells of bytes that begin to wait.
 */
export const LOAD_INTERVAL_MS = 200

/** Who the coordinators are; {@link Membership} of the metastore is one. */
export interface CoordinatorDirectory {
  coordinators(): readonly { readonly id: string; readonly address: string }[]
  /** The returned function ends it. */
  onChange(listener: () => void): () => void
}

export type CoordinatorLinksOptions = Omit<
  CoordinatorLinkOptions,
  'id' | 'address' | 'registered' | 'onWelcome'
> & {
  readonly directory: CoordinatorDirectory
}

/**
 * One link to each coordinator in the directory. A coordinator that vanishes from it is only suspect: its socket is
 * kept while it lives, and not dialled again once it has closed.
 */
export class CoordinatorLinks {
  readonly #options: CoordinatorLinksOptions
  readonly #links = new Map<string, CoordinatorLink>()
  readonly #stopWatching: () => void
  #stopped = false
  #stopTimer: (() => void) | undefined

  constructor(options: CoordinatorLinksOptions) {
    this.#options = options
    this.#stopWatching = options.directory.onChange(() => this.#refresh())
    this.#refresh()
  }

  /** Links that coordinators have welcomed. */
  get open(): number {
    return [...this.#links.values()].filter((link) => link.open).length
  }

  /** The load may have changed: tells the coordinators now, or when the last report is old enough. */
  loadChanged(): void {
    if (this.#stopTimer === undefined) this.#report()
  }

  stop(reason: string): void {
    this.#stopped = true
    this.#stopWatching()
    this.#stopTimer?.()
    for (const link of this.#links.values()) link.stop(reason)
  }

  #refresh(): void {
    if (this.#stopped) return
    const listed = new Map(this.#options.directory.coordinators().map((c) => [c.id, c.address]))
    for (const [id, link] of this.#links) {
      const address = listed.get(id)
      if (link.ended) this.#links.delete(id)
      if (link.ended || address === link.address || (address === undefined && link.open)) continue
      link.stop(address === undefined ? 'the coordinator has left' : 'the coordinator has moved')
      this.#links.delete(id)
    }
    for (const [id, address] of listed) {
      if (!this.#links.has(id)) this.#links.set(id, this.#newLink(id, address))
    }
  }

  #newLink(id: string, address: string): CoordinatorLink {
    const registered = (): boolean =>
      this.#options.directory.coordinators().some((coordinator) => coordinator.id === id)
    const onWelcome = (): void => this.loadChanged()
    return new CoordinatorLink({ ...this.#options, id, address, registered, onWelcome })
  }

  #report(): void {
    if (this.#stopped) return
    const done = [...this.#links.values()].map((link) => link.sendLoad())
    // Where nothing runs and nothing was sent, nothing happens until somebody tells of a change.
    if (!done.some(({ sent, busy }) => sent || busy)) return
    this.#stopTimer = this.#options.clock.after(
      LOAD_INTERVAL_MS,
      () => {
        this.#stopTimer = undefined
        this.#report()
      },
      { background: true },
    )
  }
}
