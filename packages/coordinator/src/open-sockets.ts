import { listen, type Listener, type Transport } from '@nyala/client/wire'
import type { CoordinatorOptions } from './coordinator.ts'
import type { Failover } from './failover/failover.ts'
import { PeerLinks } from './failover/peer-links.ts'
import type { PeerLoad } from './failover/peer-protocol.ts'
import type { AdmissionControl } from './schedule/admission-driver.ts'
import { Executors } from './schedule/executors.ts'
import { TableTurns } from './write/table-turns.ts'

/** What sockets are for once it is there: the port must be known before anything can be registered. */
export interface Late {
  accept?: (client: Transport) => void
  failover?: Failover
  admission?: AdmissionControl
}

/** Listens, and keeps sockets to executors and other coordinators. */
export async function openSockets(
  options: CoordinatorOptions,
  startedAt: number,
  late: Late,
): Promise<{
  readonly executors: Executors
  readonly peers: PeerLinks
  readonly turns: TableTurns
  readonly listener: Listener
}> {
  const { clock, log, id, cluster, pid } = options
  const executors = new Executors({
    clock,
    log,
    cluster,
    coordinator: id,
    onLink: (event) => late.failover?.onLink({ ...event, role: 'executor' }),
    isOnProbation: (executor) => late.failover?.isOnProbation(executor) === true,
    isCutOff: () => late.failover?.isCutOff === true,
  })
  const turns = new TableTurns({
    ...{ id, clock, random: Math.random },
    tell: (turn) => peers.tell(turn),
  })
  const peers: PeerLinks = new PeerLinks({
    clock,
    log,
    cluster,
    self: { id, startedAt },
    onEvent: (event) => {
      if (event.kind === 'linkClosed') {
        late.admission?.onPeer(event.id, undefined)
        turns.onPeer(event.id, undefined)
      }
      late.failover?.onLink({ ...event, role: 'coordinator' })
    },
    load: () => peerLoadOf(late.admission),
    onLoad: (peer, load) => late.admission?.onPeer(peer, load),
    turns: () => turns.asked(),
    onTurn: (peer, turn) => turns.onPeer(peer, turn),
  })
  const listener = await listen({
    host: options.host,
    port: options.port,
    paths: {
      // Not before it can answer: a client that is turned away goes to another coordinator at once.
      '/client': (transport) =>
        late.accept === undefined ? transport.terminate() : late.accept(transport),
      '/executor': (transport) => executors.accept(transport),
      '/peer': (transport) => peers.accept(transport),
    },
    health: () => ({ id, cluster, role: 'coordinator', pid }),
  })
  return { executors, peers, turns, listener }
}

const peerLoadOf = (admission: AdmissionControl | undefined): PeerLoad => ({
  kind: 'load',
  ...(admission?.load ?? { running: 0, queued: 0, waitedMs: 0, memoryBytes: 0 }),
})
