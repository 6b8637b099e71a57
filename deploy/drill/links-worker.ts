import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { systemClock, unreachable } from '@nyala/client/base'
import { type Dialled, type Fault, FaultProxy } from './fault-proxy.ts'
import { CLIENT, type LinkFault, type LinksRequest } from './links.ts'

/** The thread of `Links`: holds the proxies. Which member it is that dials is told by whose socket the other end is (Linux). */
const proxies = new Map<string, FaultProxy>()
let faults: readonly LinkFault[] = []
let processes: Extract<LinksRequest, { kind: 'set' }>['processes'] = []

parentPort?.on('message', ({ id, request }: { id: number; request: LinksRequest }) => {
  void answerTo(request).then((answer) => parentPort?.postMessage({ id, answer }))
})

async function answerTo(request: LinksRequest): Promise<unknown> {
  switch (request.kind) {
    case 'open': {
      const { id, address } = request.member
      const proxy = await FaultProxy.open({
        target: address,
        clock: systemClock,
        faultsOf: (dialled) => faultsOf(id, dialled),
        whenKnown,
        whoIs: memberAt,
      })
      proxies.set(id, proxy)
      return proxy.address
    }
    case 'set':
      faults = request.faults
      processes = request.processes
      updateAll()
      return undefined
    case 'spoilt':
      return [...proxies.values()].reduce((sum, proxy) => sum + proxy.spoilt, 0)
    case 'close':
      await Promise.all([...proxies.values()].map((proxy) => proxy.close()))
      return undefined
    default:
      return unreachable(request)
  }
}

function faultsOf(to: string, dialled: Dialled): readonly Fault[] {
  return faults
    .filter((one) => isMeant(one.to, to) && (one.from === 'any' || isMeant(one.from, dialled.from)))
    .map(({ fault }) => fault)
}

const isMeant = (meant: string | readonly string[], id: string): boolean =>
  meant === 'any' || (typeof meant === 'string' ? meant === id : meant.includes(id))

/** The table of sockets can be read amiss while it changes. */
const LOOKS_MAX = 5
/** Whoever has just dialled may have given up by now. */
const LATER_LOOKS_MAX = 2

/**
 * Whose sockets there are, looked up as often as is worth it. What a look costs grows with all sockets and all files of the
 * members, so one is shared by all connections that faults are put on at the same time.
 */
class Looks {
  #left: number
  #owners: ReadonlyMap<string, string> = new Map()

  constructor(looksMax: number) {
    this.#left = looksMax
  }

  /** The member whose process holds the near end of a connection between two ports of the loopback address. */
  memberAt(port: number, dialledPort: number): string | undefined {
    const key = keyOf(port, dialledPort)
    while (!this.#owners.has(key) && this.#left > 0) {
      this.#left--
      this.#owners = ownersOfSockets()
    }
    return this.#owners.get(key)
  }
}

/** A port may be another's the next moment: nothing is remembered. */
let shared = new Looks(LOOKS_MAX)

const memberAt = (port: number, dialledPort: number): string | undefined =>
  shared.memberAt(port, dialledPort)

function updateAll(): void {
  shared = new Looks(LOOKS_MAX)
  for (const proxy of proxies.values()) proxy.update()
}

/**
 * Connections that begin while something is wrong wait for each other, and are looked up together. One by one, each took
 * half a second on a busy machine, and who waits for a second dials anew: no byte passed anywhere any more.
 */
const begun: (() => void)[] = []
const TOGETHER_MS = 20

function whenKnown(apply: () => void): void {
  if (faults.length === 0) return apply()
  begun.push(apply)
  if (begun.length > 1) return
  systemClock.after(TOGETHER_MS, () => {
    shared = new Looks(LATER_LOOKS_MAX)
    for (const one of begun.splice(0)) one()
  })
}

/** Members by the sockets that their processes, and this one, hold. */
function ownersOfSockets(): ReadonlyMap<string, string> {
  const holders = [...processes, { id: CLIENT, pid: process.pid }]
  const owners = new Map(
    holders.flatMap(({ id, pid }) => socketsOf(pid).map((inode) => [inode, id] as const)),
  )
  const found = new Map<string, string>()
  for (const [key, inode] of inodes()) {
    const owner = owners.get(inode)
    if (owner !== undefined) found.set(key, owner)
  }
  return found
}

/** As Linux names both ends, in the order local, remote. */
const keyOf = (local: number, remote: number): string =>
  [local, remote]
    .map((port) => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`)
    .join(' ')

/** As Linux lists sockets: both ends, then state, queues and owner. One that waits for its time to be over has no inode. */
function inodes(): readonly (readonly [key: string, inode: string])[] {
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(({ 1: local = '', 2: remote = '', 9: inode = '0' }) =>
      inode === '0' ? [] : [[`${local} ${remote}`, inode] as const],
    )
}

const SOCKET = /^socket:\[(\d+)\]$/

function socketsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return SOCKET.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    })
  } catch {
    // It has ended meanwhile.
    return []
  }
}
