import type { ClusterStatus, MemberStatus } from '@nyala/client/protocol'
import type { Member, MemberRole, RosterRecord } from '@nyala/metastore'
import type { Services } from './services.ts'

/** The cluster as this coordinator sees it. */
export function clusterStatusOf(services: Services, etcd: ClusterStatus['etcd']): ClusterStatus {
  const { leader } = services.election
  return {
    cluster: services.cluster,
    leader: leader?.record.id ?? null,
    epoch: leader?.epoch ?? null,
    members: [
      ...services.membership.members().map((member) => memberStatusOf(member, services)),
      ...missingMembers(services),
    ],
    etcd,
    queries: services.queries.statuses(),
    recent: services.queries.recent(),
    transactions: [],
  }
}

function memberStatusOf(member: Member, services: Services): MemberStatus {
  const { id, role, address, host, pid, incarnation } = member
  const link = role === 'executor' ? services.executors.get(id) : undefined
  const isDraining = member.state === 'draining' || link?.load?.draining === true
  const isConnected = role === 'coordinator' || link !== undefined
  const isSuspect = !isConnected || services.failover.isSuspected(role, id)
  return {
    id,
    role,
    address,
    host,
    pid,
    incarnation,
    // A member whose lease lives but that is not connected here may be on its way, or cut off: nobody knows yet.
    state: isDraining ? 'draining' : isSuspect ? 'suspect' : 'alive',
    load: role === 'executor' ? executorLoad(id, services) : coordinatorLoad(id, services),
  }
}

/** Those that ought to run, as the board has it, and are not registered: they hang, are dead, or start. */
function missingMembers({ membership, failover }: Services): readonly MemberStatus[] {
  const { board } = failover
  const missing = (role: MemberRole, entries: readonly RosterRecord[]): readonly MemberStatus[] =>
    entries
      .filter(({ id }) => membership.member(role, id) === undefined)
      .map((entry) => ({ ...entry, role, state: 'missing', load: {} }))
  return [
    ...missing('coordinator', board.coordinatorEntries()),
    ...missing(
      'executor',
      board.roster().map(({ record }) => record),
    ),
  ]
}

function executorLoad(id: string, services: Services): Readonly<Record<string, number>> {
  const state = services.executors.placement.get(id)
  if (state === undefined) return {}
  const { tasksRunning, memoryReservedBytes, memoryLimitBytes, queuedBytes, slots } = state
  const exchangeBytes = services.executors.get(id)?.load?.exchangeBytes ?? 0
  return { tasksRunning, slots, memoryReservedBytes, memoryLimitBytes, queuedBytes, exchangeBytes }
}

/** Only its own load is known to a coordinator. */
function coordinatorLoad(id: string, services: Services): Readonly<Record<string, number>> {
  if (id !== services.id) return {}
  const { load, limits } = services.admission
  return {
    queriesRunning: services.queries.size - load.queued,
    queriesQueued: load.queued,
    maxRunningQueries: limits.runningMax,
  }
}
