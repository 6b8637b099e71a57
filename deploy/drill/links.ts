import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Clock } from '@nyala/client/base'
import type { RunningProcess } from '../local/cluster.ts'
import { type Dialled, type Fault, FaultProxy } from './fault-proxy.ts'

/** Who dials from outside of the cluster: the clients of the drill. */
export const CLIENT = 'client'

/** Between whom something is wrong: ids of members, {@link CLIENT}, or `any`. */
export interface LinkFault {
  readonly from: string | readonly string[]
  readonly to: string | readonly string[]
  readonly fault: Fault
}

/**
 * The links of a cluster, each through a proxy: who dials a member dials the proxy, and which member it is that dials is
 * told by whose socket the other end is (Linux). Made before the members are started, which tell others these addresses.
 */
export class Links {
  readonly #proxies = new Map<string, FaultProxy>()
  readonly #clock: Clock
  #faults: readonly LinkFault[] = []
  #processes: () => readonly RunningProcess[] = () => []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The address that others are told of a member. */
  async open(member: { readonly id: string; readonly address: string }): Promise<string> {
    const proxy = await FaultProxy.open({
      target: member.address,
      clock: this.#clock,
      faultsOf: (dialled) => this.#faultsOf(member.id, dialled),
      whoIs: (port) => memberAt(port, this.#processes()),
    })
    this.#proxies.set(member.id, proxy)
    return proxy.address
  }

  /** Whom sockets may belong to. */
  watch(processes: () => readonly RunningProcess[]): void {
    this.#processes = processes
  }

  addressOf(id: string): string | undefined {
    return this.#proxies.get(id)?.address
  }

  /** From now on this is wrong, and nothing else. */
  set(faults: readonly LinkFault[]): void {
    this.#faults = faults
    for (const proxy of this.#proxies.values()) proxy.update()
  }

  /** Bytes on living connections that were made to be others. */
  get corrupted(): number {
    return [...this.#proxies.values()].reduce((sum, proxy) => sum + proxy.corrupted, 0)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()))
  }

  #faultsOf(to: string, { from }: Dialled): readonly Fault[] {
    return this.#faults
      .filter((one) => isMeant(one.from, from) && isMeant(one.to, to))
      .map(({ fault }) => fault)
  }
}

const isMeant = (meant: string | readonly string[], id: string): boolean =>
  meant === 'any' || (typeof meant === 'string' ? meant === id : meant.includes(id))

/** The member whose process holds the socket that dials from a port of the loopback address. */
function memberAt(port: number, processes: readonly RunningProcess[]): string {
  const inode = inodeOf(port)
  if (inode === undefined) return CLIENT
  const link = `socket:[${inode}]`
  return processes.find(({ pid }) => holds(pid, link))?.id ?? CLIENT
}

/** Of the socket whose local end the port is, as Linux lists them: state, queues and owner come between. */
function inodeOf(port: number): string | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[1] === local) return fields[9]
  }
  return undefined
}

function holds(pid: number, link: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === link
      } catch {
        return false
      }
    })
  } catch {
    // It has ended meanwhile.
    return false
  }
}
