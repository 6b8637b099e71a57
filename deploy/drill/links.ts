import { Worker } from 'node:worker_threads'
import { deferred, type Deferred } from '@nyala/client/base'
import type { RunningProcess } from '../local/cluster.ts'
import type { Fault } from './fault-proxy.ts'

/** Who dials from outside of the cluster: the clients of the drill. */
export const CLIENT = 'client'

/** Between whom something is wrong: ids of members, {@link CLIENT}, or `any`. */
export interface LinkFault {
  readonly from: string | readonly string[]
  readonly to: string | readonly string[]
  readonly fault: Fault
}

/** No byte passes, either way, until it is healed. */
export const BLACKHOLE: Fault = { kind: 'blackhole', way: 'both' }

/** No byte passes between these, whoever has dialled. */
export const cutBetween = (
  one: LinkFault['from'],
  other: LinkFault['from'],
): readonly LinkFault[] => [
  { from: one, to: other, fault: BLACKHOLE },
  { from: other, to: one, fault: BLACKHOLE },
]

export type LinksRequest =
  | { readonly kind: 'open'; readonly member: { readonly id: string; readonly address: string } }
  | {
      readonly kind: 'set'
      readonly faults: readonly LinkFault[]
      /** Whom sockets may belong to. */
      readonly processes: readonly Pick<RunningProcess, 'id' | 'pid'>[]
    }
  | { readonly kind: 'spoilt' }
  | { readonly kind: 'held' }
  | { readonly kind: 'close' }

/**
 * The links of a cluster, each through a proxy: who dials a member dials the proxy. Made before the members are started,
 * which tell others these addresses. The proxies are in a thread of their own, so that they are not as slow as the
 * clients of the drill are busy.
 */
export class Links {
  readonly #worker = new Worker(new URL('./links-worker.js', import.meta.url))
  readonly #answers = new Map<number, Deferred<unknown>>()
  readonly #addresses = new Map<string, string>()
  #processes: () => readonly RunningProcess[] = () => []
  #next = 0

  constructor() {
    this.#worker.on('message', ({ id, answer }: { id: number; answer: unknown }) => {
      this.#answers.get(id)?.resolve(answer)
      this.#answers.delete(id)
    })
    this.#worker.on('error', (error) => {
      for (const answer of this.#answers.values()) answer.reject(error)
    })
  }

  /** The address that others are told of a member. */
  async open(member: { readonly id: string; readonly address: string }): Promise<string> {
    const { id, address } = member
    const told = (await this.#ask({ kind: 'open', member: { id, address } })) as string
    this.#addresses.set(id, told)
    return told
  }

  /** Whom sockets may belong to. */
  watch(processes: () => readonly RunningProcess[]): void {
    this.#processes = processes
  }

  addressOf(id: string): string | undefined {
    return this.#addresses.get(id)
  }

  /** From now on this is wrong, and nothing else. */
  async set(faults: readonly LinkFault[]): Promise<void> {
    const processes = this.#processes().map(({ id, pid }) => ({ id, pid }))
    await this.#ask({ kind: 'set', faults, processes })
  }

  /** Pieces that were made to be others, or to come otherwise. */
  async spoilt(): Promise<number> {
    return (await this.#ask({ kind: 'spoilt' })) as number
  }

  /** Pieces of rows that a blackhole keeps from who has dialled. */
  async held(): Promise<number> {
    return (await this.#ask({ kind: 'held' })) as number
  }

  async close(): Promise<void> {
    await this.#ask({ kind: 'close' })
    await this.#worker.terminate()
  }

  #ask(request: LinksRequest): Promise<unknown> {
    const id = this.#next++
    const answer = deferred<unknown>()
    this.#answers.set(id, answer)
    this.#worker.postMessage({ id, request })
    return answer.promise
  }
}
