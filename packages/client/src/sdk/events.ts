import { BoundedQueue } from '../base/bounded-queue.ts'
import type { Endpoint } from '../protocol/messages.ts'

/** What happens to a client's connections, for logs and for people who watch. */
export type ClientEvent =
  | {
      readonly kind: 'connected'
      readonly coordinator: string
      readonly address: string
      readonly cluster: string
    }
  | {
      readonly kind: 'disconnected'
      readonly coordinator: string
      readonly address: string
      readonly reason: string
    }
  | { readonly kind: 'unreachable'; readonly address: string; readonly reason: string }
  | { readonly kind: 'membersChanged'; readonly coordinators: readonly Endpoint[] }
  | { readonly kind: 'draining'; readonly coordinator: string }
  | {
      readonly kind: 'statementMoved'
      readonly statementId: string
      readonly from: string | undefined
      readonly to: string
      readonly reason: string
      /** True where its result goes on, false where it is run again. */
      readonly resumed: boolean
      /** Rows that had been handed out. */
      readonly rows: number
    }

/** A listener that does not read loses events beyond this; connections must not wait for it. */
const EVENTS_HELD_MAX = 256

/** Hands every event to all who listen. */
export class EventHub {
  readonly #listeners = new Set<(event: ClientEvent) => void>()
  readonly #queues = new Set<BoundedQueue<ClientEvent>>()

  emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener(event)
    for (const queue of this.#queues) queue.push(event)
  }

  listen(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Events from now on, until the hub ends or the loop over them is left. */
  async *events(): AsyncGenerator<ClientEvent> {
    const queue = new BoundedQueue<ClientEvent>(EVENTS_HELD_MAX)
    this.#queues.add(queue)
    try {
      yield* queue
    } finally {
      this.#queues.delete(queue)
    }
  }

  end(): void {
    for (const queue of this.#queues) queue.end()
    this.#listeners.clear()
  }
}
