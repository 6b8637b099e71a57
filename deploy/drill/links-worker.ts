import { parentPort, Worker } from 'node:worker_threads'
import { deferred, type Deferred, systemClock, unreachable } from '@nyala/client/base'
import { type Dialled, type Fault, FaultProxy } from './fault-proxy.ts'
import { CLIENT, type LinkFault, type LinksRequest } from './links.ts'
import { keyOf, type LookAnswer, type LookRequest } from './socket-owners.ts'

/** The thread of `Links`: holds the proxies. Which member it is that dials is told by whose socket the other end is. */
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
      await updateAll()
      return undefined
    case 'spoilt':
      return [...proxies.values()].reduce((sum, proxy) => sum + proxy.spoilt, 0)
    case 'held':
      return [...proxies.values()].reduce((sum, proxy) => sum + proxy.held, 0)
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

const looker = new Worker(new URL('./socket-owners-worker.js', import.meta.url))
looker.unref()
const looking = new Map<number, Deferred<LookAnswer['owners']>>()
let looks = 0
/** By the last look. A port may be another's the next moment, so whoever needs to know has a look made first. */
let owners: LookAnswer['owners'] = new Map()

looker.on('message', (answer: LookAnswer) => {
  looking.get(answer.id)?.resolve(answer.owners)
  looking.delete(answer.id)
})

/** The member whose process holds the near end of a connection between two ports of the loopback address. */
const memberAt = (port: number, dialledPort: number): string | undefined =>
  owners.get(keyOf(port, dialledPort))

async function look(): Promise<void> {
  const found = deferred<LookAnswer['owners']>()
  const id = looks++
  looking.set(id, found)
  const holders = [...processes, { id: CLIENT, pid: process.pid }]
  const ports = [...proxies.values()].map(({ address }) => Number(address.split(':')[1]))
  looker.postMessage({ id, processes: holders, ports } satisfies LookRequest)
  owners = await found.promise
}

/** What a look costs is spared where it does not matter who has dialled. */
const asksWho = (): boolean => faults.some(({ from }) => from !== 'any')

async function updateAll(): Promise<void> {
  for (let left = LOOKS_MAX; left > 0 && asksWho(); left--) {
    await look()
    if ([...proxies.values()].every(({ areKnown }) => areKnown)) break
  }
  for (const proxy of proxies.values()) proxy.update()
}

/**
 * Connections that begin while something is wrong wait for each other, and are looked up together. One by one, each took
 * half a second on a busy machine, and who waits for a second dials anew: no byte passed anywhere any more.
 */
const begun: { readonly apply: () => void; readonly key: string }[] = []
let isLookingUp = false
const TOGETHER_MS = 20

function whenKnown(apply: () => void, [port, dialledPort]: readonly [number, number]): void {
  if (!asksWho()) return apply()
  begun.push({ apply, key: keyOf(port, dialledPort) })
  if (!isLookingUp) void lookUpBegun()
}

async function lookUpBegun(): Promise<void> {
  isLookingUp = true
  while (begun.length > 0) {
    await systemClock.sleep(TOGETHER_MS)
    let these = begun.splice(0)
    for (let left = LATER_LOOKS_MAX; left > 0 && these.length > 0; left--) {
      await look()
      for (const { apply, key } of these) if (owners.has(key)) apply()
      these = these.filter(({ key }) => !owners.has(key))
    }
    for (const { apply } of these) apply()
  }
  isLookingUp = false
}
