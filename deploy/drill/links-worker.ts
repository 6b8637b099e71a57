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
        whoIs: memberAt,
      })
      proxies.set(id, proxy)
      return proxy.address
    }
    case 'set':
      faults = request.faults
      processes = request.processes
      for (const proxy of proxies.values()) proxy.update()
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

/** The member whose process holds the socket of a connection between two ports of the loopback address, by its near end. */
function memberAt(port: number, dialledPort: number): string | undefined {
  const holders = [...processes, { id: CLIENT, pid: process.pid }]
  for (let look = 0; look < LOOKS_MAX; look++) {
    const inode = inodeOf(port, dialledPort)
    const link = `socket:[${inode}]`
    const found = inode === undefined ? undefined : holders.find(({ pid }) => holds(pid, link))
    if (found !== undefined) return found.id
  }
  return undefined
}

/** As Linux lists sockets: both ends, then state, queues and owner. One that waits for its time to be over has no inode. */
function inodeOf(port: number, dialledPort: number): string | undefined {
  const [local, remote] = [port, dialledPort].map(
    (one) => `0100007F:${one.toString(16).toUpperCase().padStart(4, '0')}`,
  )
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[1] === local && fields[2] === remote && fields[9] !== '0') return fields[9]
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
