import { type Clock, isMutant, type Log } from '@nyala/client/base'
import { type Endpoint, type MemberId, PROTOCOL_VERSION, SqlError } from '@nyala/client/protocol'
import type { Listener, Transport } from '@nyala/client/wire'
import { ConstantKernel } from '@nyala/executor/kernel'
import {
  Catalog,
  claimDirectory,
  type ClusterRecord,
  Election,
  CoordinatorEntry,
  Keys,
  type Kv,
  type Member,
  type MemberRecord,
  Membership,
  NewestRevision,
  openCluster,
  type Owner,
  QueryLog,
  ReadFloor,
  Registration,
} from '@nyala/metastore'
import { Mirror } from './bind/mirror.ts'
import type { SettingValues } from './bind/settings.ts'
import { Failover } from './failover/failover.ts'
import { livingOwners, type OwnerProcess } from './failover/ownership.ts'
import { PlanJanitor } from './failover/plan-janitor.ts'
import type { PeerLinks } from './failover/peer-links.ts'
import { probe } from './failover/probe.ts'
import { QueryOwner } from './failover/query-owner.ts'
import { ResultPlans } from './failover/result-plan.ts'
import { Resumption } from './failover/resumption.ts'
import { AdmissionControl, QUEUED_MAX } from './schedule/admission-driver.ts'
import type { Executors } from './schedule/executors.ts'
import { ClientLink } from './server/client-link.ts'
import { EtcdStatus } from './server/etcd-status.ts'
import { QueryRegistry } from './server/query-registry.ts'
import type { Services } from './server/services.ts'
import { Statements } from './server/statements.ts'
import { type Late, openSockets } from './open-sockets.ts'
import { SqlFrontEnd } from './sql/front-end.ts'
import { ManifestStore } from './table/manifest-store.ts'
import { type Housekeeping, openHousekeeping, readsOf } from './write/open-janitor.ts'
import { openWrites } from './write/open-writes.ts'

export interface CoordinatorOptions {
  readonly id: MemberId
  readonly cluster: string
  readonly kv: Kv
  /** For `status` only. */
  readonly etcdEndpoints: readonly string[]
  readonly host: string
  readonly port: number
  /** `host:port` that others are told; default: where it listens. */
  readonly advertise?: string | undefined
  /** Identity of this machine, equal for members that can open each other's files. */
  readonly machine: string
  /** Directory for metadata files, shared by all coordinators. */
  readonly metadataDirectory: string
  /** Directory of managed tables, shared by all coordinators and executors. */
  readonly warehouse: string
  readonly clock: Clock
  readonly log: Log
  readonly pid: number
  readonly version: string
  readonly ttlSeconds?: number | undefined
  /** Queries that run at once in the cluster; 0: as many as suit its executors. The same at all coordinators. */
  readonly maxRunningQueries?: number | undefined
  /** Queries that wait at once in the cluster. */
  readonly maxQueuedQueries?: number | undefined
  /** What sessions have that do not say otherwise, checked. The same at all coordinators. */
  readonly defaultSettings?: SettingValues | undefined
  /** Another process has registered under this id: this one is to stop. */
  readonly onSuperseded?: ((reason: string) => void) | undefined
}

/** What a coordinator holds beside its services. */
interface Parts {
  readonly listener: Listener
  readonly registration: Registration
  readonly entry: CoordinatorEntry
  readonly peers: PeerLinks
  readonly queryLog: QueryLog
  readonly janitor: PlanJanitor
  readonly housekeeping: Housekeeping
}

/** What a drain waits for running statements before it ends them. */
export const DRAIN_TIMEOUT_MS = 10_000
/** For statements of constants, which are short. */
const CONSTANTS_MEMORY_BYTES = 64 * 1024 * 1024
const DRAIN_POLL_MS = 20

/**
 * A coordinator in this process.
 *
 *   start: metastore read → front end and mirror open → listening → registered (clients and executors find it)
 *   drain: no new statements → results that stream go on elsewhere, other statements end, or are begun again elsewhere
 *          after a while → leadership and registration given back → closed
 *
 * Nothing that it holds is needed by anyone after its death: catalog, membership and leadership are in the metastore,
 * sessions in the clients.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions
  readonly #services: Services
  readonly #clients = new Set<ClientLink>()
  readonly #listener: Listener
  readonly #registration: Registration
  readonly #entry: CoordinatorEntry
  readonly #peers: PeerLinks
  readonly #queryLog: QueryLog
  readonly #janitor: PlanJanitor
  readonly #housekeeping: Housekeeping
  #draining = false

  private constructor(options: CoordinatorOptions, services: Services, parts: Parts) {
    this.#options = options
    this.#services = services
    this.#listener = parts.listener
    this.#registration = parts.registration
    this.#entry = parts.entry
    this.#peers = parts.peers
    this.#queryLog = parts.queryLog
    this.#janitor = parts.janitor
    this.#housekeeping = parts.housekeeping
  }

  /** Resolves when the coordinator is registered and takes statements. */
  static async start(options: CoordinatorOptions, signal?: AbortSignal): Promise<Coordinator> {
    const { kv, clock, log, id, cluster } = options
    const keys = new Keys(cluster)
    // The parser and the mirror load while the metastore is read: both take a good part of the start.
    const [frontEnd, mirror, constants, record] = await Promise.all([
      SqlFrontEnd.open(),
      Mirror.open(clock),
      ConstantKernel.open({ clock, memoryLimitBytes: CONSTANTS_MEMORY_BYTES }),
      openCluster({ kv, keys, clock, signal }),
    ])
    await claimDirectories(options, { keys, record, signal })
    const startedAt = clock.wall()
    const floor = await openFloor(options, { keys, startedAt })
    const membership = new Membership({ kv, keys, clock, log })
    const [functions, catalog] = await Promise.all([
      mirror.kernelFunctions(),
      Catalog.open({ kv, keys, clock, log }, { signal }),
      membership.start({ signal }),
    ])
    const late: Late = {}
    const { executors, peers, turns, listener } = await openSockets(options, startedAt, late)
    const admission = openAdmission(options, { executors, peers })
    late.admission = admission
    const store = { kv, keys, clock, log, ttlSeconds: options.ttlSeconds }
    const candidate = { id, address: options.advertise ?? listener.address, startedAt }
    const { election, failover } = openFailover({ ...store, candidate, membership, peers })
    late.failover = failover
    const queryLog = new QueryLog({ kv, keys, clock, log })
    await Promise.all([
      election.start({ signal }),
      failover.start({ signal }),
      queryLog.start({ signal }),
    ])
    const owning = { queryLog, executors, failover, election, membership, peers, candidate }
    const resumption = openResumption(options, owning)
    const { registration, entry } = openRegistration(options, { ...store, candidate })
    const manifests = new ManifestStore(options.metadataDirectory)
    const services: Services = {
      ...{ clock, log, id, cluster, version: options.version },
      etcdStatus: new EtcdStatus(options.etcdEndpoints),
      catalog,
      newest: new NewestRevision({ kv, keys, clock }),
      membership,
      election,
      failover,
      resumption,
      frontEnd,
      mirror,
      constants,
      functions,
      manifests,
      ...openWrites(options, { keys, catalog, manifests, constants, turns, startedAt, record }),
      reads: (asking) => readsOf({ kv, keys, clock, queryLog }, asking),
      executors,
      admission,
      queries: new QueryRegistry(id),
      defaultSettings: options.defaultSettings ?? {},
    }
    const housekeeping = openHousekeeping(services, { peers, floor })
    const janitor = openJanitor(options, { queryLog, election })
    const parts = { listener, registration, entry, peers, queryLog, janitor, housekeeping }
    const coordinator = new Coordinator(options, services, parts)
    late.accept = coordinator.#acceptor(new Statements(services))
    membership.onChange(() => coordinator.#announce())
    failover.onChange(() => coordinator.#announce())
    failover.board.onChange(() => executors.refresh())
    await registration.start({ signal })
    return coordinator
  }

  /** `host:port` for clients and executors. */
  get address(): string {
    return this.#options.advertise ?? this.#listener.address
  }

  get services(): Services {
    return this.#services
  }

  /**
   * Ends in an orderly way: new statements are refused, running ones get `timeoutMs` to end. Clients send reads that do
   * not end by then to another coordinator; what became of a write they are not told here.
   */
  async stop(timeoutMs: number = DRAIN_TIMEOUT_MS): Promise<void> {
    const { clock, election, failover, queries, executors, membership } = this.#services
    const { resumption, appends } = this.#services
    const { catalog, frontEnd, mirror, constants } = this.#services
    if (this.#draining) return
    this.#draining = true
    for (const client of this.#clients) client.sendDraining()
    resumption.handOver()
    const deadline = clock.now() + timeoutMs
    await Promise.all([
      election.stop(),
      this.#registration.stop().then(() => this.#entry.withdraw()),
    ])
    while (queries.size > 0 && clock.now() < deadline) await clock.sleep(DRAIN_POLL_MS)
    // Results that have begun to stream since go on elsewhere; whoever waits for anything else loses the connection, and
    // sends again what may be sent again.
    resumption.handOver()
    for (const client of this.#clients) client.close('coordinator has shut down')
    queries.cancelAll()
    await this.#services.transactions.close()
    executors.close()
    this.#peers.close('coordinator has shut down')
    resumption.stop()
    this.#janitor.stop()
    await Promise.all([appends.close(), this.#housekeeping.stop()])
    await Promise.all([failover.stop(), membership.stop(), catalog.close(), this.#queryLog.stop()])
    await this.#listener.close()
    frontEnd.close()
    mirror.close()
    constants.close()
  }

  #acceptor(statements: Statements): (transport: Transport) => void {
    return (transport) => {
      const client = new ClientLink(transport, {
        services: this.#services,
        statements,
        coordinators: () => this.#endpoints(),
        isDraining: () => this.#draining,
        onClose: (link) => this.#clients.delete(link),
      })
      this.#clients.add(client)
    }
  }

  #announce(): void {
    const coordinators = this.#endpoints()
    for (const client of this.#clients) client.sendMembers(coordinators)
  }

  #endpoints(): readonly Endpoint[] {
    const { membership, failover } = this.#services
    const known = membership
      .coordinators()
      .filter((member) => member.state === 'active')
      .filter((member) => !failover.isSuspected('coordinator', member.id))
      .map(({ id, address }) => ({ id: String(id), address }))
    const isListed = known.some((endpoint) => endpoint.id === this.#options.id)
    return isListed || this.#draining
      ? known
      : [...known, { id: this.#options.id, address: this.address }]
  }
}

/** Before anything is written there. */
async function claimDirectories(
  { kv, clock, warehouse, metadataDirectory }: CoordinatorOptions,
  cluster: {
    readonly keys: Keys
    readonly record: ClusterRecord
    readonly signal: AbortSignal | undefined
  },
): Promise<void> {
  const { keys, record, signal } = cluster
  const options = { kv, keys, clock, signal }
  await claimDirectory(options, record, { what: 'warehouse', path: warehouse })
  await claimDirectory(options, record, { what: 'metadata', path: metadataDirectory })
}

/** Before the catalog is read: whoever removes files knows from then on that something is. */
const openFloor = (
  { kv, clock, id }: CoordinatorOptions,
  { keys, startedAt }: { readonly keys: Keys; readonly startedAt: number },
): Promise<ReadFloor> => ReadFloor.open({ kv, keys, clock, owner: { id, startedAt } })

/** Decides which queries run; goes on whenever executors or other coordinators have changed. */
function openAdmission(
  options: CoordinatorOptions,
  { executors, peers }: { readonly executors: Executors; readonly peers: PeerLinks },
): AdmissionControl {
  const admission = new AdmissionControl({
    clock: options.clock,
    maxRunningQueries: options.maxRunningQueries ?? 0,
    maxQueuedQueries: options.maxQueuedQueries ?? QUEUED_MAX,
    placement: executors.placement,
    tell: () => peers.tellLoad(),
  })
  executors.onChange(() => admission.advance())
  return admission
}

function openFailover(
  options: Omit<ConstructorParameters<typeof Election>[0], 'onElected' | 'onLeader'> & {
    readonly membership: Membership
    readonly peers: PeerLinks
  },
): { readonly election: Election; readonly failover: Failover } {
  const { candidate, membership, peers, clock } = options
  const isRival = ({ id, state }: Member): boolean => id !== candidate.id && state === 'active'
  const onLeader = (): void => failover.onLeader()
  const election = new Election({
    ...options,
    hasRivals: () => membership.coordinators().some(isRival),
    onElected: onLeader,
    onLeader,
  })
  const failover = new Failover({
    ...options,
    self: candidate.id,
    election,
    probe: (target) => probe(target, clock),
  })
  membership.onChange(() => peers.setPeers(membership.coordinators()))
  peers.setPeers(membership.coordinators())
  return { election, failover }
}

function openRegistration(
  options: CoordinatorOptions,
  {
    candidate,
    ...store
  }: Omit<ConstructorParameters<typeof Registration>[0], 'record' | 'onLost'> & {
    readonly candidate: Pick<MemberRecord, 'address' | 'startedAt'>
  },
): Pick<Parts, 'registration' | 'entry'> {
  const record = memberRecord(options, candidate)
  const entry = new CoordinatorEntry({ ...store, record })
  const registration = new Registration({
    ...store,
    record,
    onRegistered: (incarnation) => entry.onRegistered(incarnation),
    onLost: ({ kind, reason }) => {
      options.log.warn('registrationLost', { kind, reason })
      if (kind === 'superseded') options.onSuperseded?.(reason)
    },
  })
  return { registration, entry }
}

function openResumption(
  { metadataDirectory, clock, log }: CoordinatorOptions,
  parts: Pick<Services, 'executors' | 'failover' | 'election' | 'membership'> & {
    readonly queryLog: QueryLog
    readonly candidate: Pick<MemberRecord, 'id' | 'startedAt'>
    readonly peers: PeerLinks
  },
): Resumption {
  const { queryLog, executors, failover, election, membership, peers, candidate } = parts
  const plans = new ResultPlans(metadataDirectory)
  const living = (): readonly OwnerProcess[] =>
    livingOwners({
      registered: membership.coordinators(),
      linked: isMutant('deaf-to-sockets') ? [] : peers.linked(),
      isSuspected: (id) => failover.isSuspected('coordinator', id),
    })
  const isLiving = (owner: Owner): boolean =>
    living().some(({ id, startedAt }) => id === owner.id && startedAt === owner.startedAt)
  return new Resumption(
    { queryLog, plans, executors, clock, log, isLiving },
    (runner) =>
      new QueryOwner({
        queryLog,
        clock,
        log,
        self: { id: candidate.id, startedAt: candidate.startedAt },
        runner,
        living,
        isLeader: () => election.leadership !== undefined,
      }),
  )
}

function openJanitor(
  { metadataDirectory, clock, log }: CoordinatorOptions,
  { queryLog, election }: { readonly queryLog: QueryLog; readonly election: Election },
): PlanJanitor {
  const plans = new ResultPlans(metadataDirectory)
  const isLeader = (): boolean => election.leadership !== undefined
  const janitor = new PlanJanitor({ plans, queryLog, clock, log, isLeader })
  janitor.start()
  return janitor
}

function memberRecord(
  options: CoordinatorOptions,
  candidate: Pick<MemberRecord, 'address' | 'startedAt'>,
): MemberRecord {
  return {
    ...candidate,
    id: options.id,
    role: 'coordinator',
    host: options.machine,
    pid: options.pid,
    version: options.version,
    protocol: PROTOCOL_VERSION,
    state: 'active',
    threads: 1,
    memoryBytes: 0,
  }
}

/** Fails with `invalid_parameter_value`. */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port > 65_535) {
    throw new SqlError(
      'invalid_parameter_value',
      `"${text}" is not an address of the form host:port`,
    )
  }
  return { host: match[1], port }
}
