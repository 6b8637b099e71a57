import {
  type ClusterStatus,
  clusterStatus as statusSchema,
  SqlError,
  type Up,
} from '@nyala/client/protocol'
import { askPeers } from './peers.ts'
import type { Services } from './services.ts'
import { clusterStatusOf } from './status.ts'

type Message<K extends Up['kind']> = Extract<Up, { kind: K }>

/** Members, leader and etcd as seen here; queries of all coordinators that answer. */
export async function clusterStatus(
  services: Services,
  message: Message<'status'>,
): Promise<ClusterStatus> {
  if (message.local === true) return clusterStatusOf(services, [])
  const [etcd, others] = await Promise.all([
    services.etcdStatus.members(),
    askPeers(services, { ...message, local: true }),
  ])
  const own = clusterStatusOf(services, etcd)
  const theirs = others.map((other) => statusSchema.decode(other, 'status of a coordinator'))
  // Only its own load is known to a coordinator.
  const loads = new Map(
    theirs.flatMap((status) =>
      status.members.filter((m) => 'queriesRunning' in m.load).map((m) => [m.id, m.load] as const),
    ),
  )
  return {
    ...own,
    members: own.members.map((m) => ({ ...m, load: loads.get(m.id) ?? m.load })),
    queries: [own, ...theirs].flatMap((status) => status.queries),
    recent: [own, ...theirs].flatMap((status) => status.recent ?? []),
  }
}

/** Cancels a query wherever it runs. Fails with `undefined_object` where it runs nowhere. */
export async function cancelQuery(
  services: Services,
  message: Message<'cancelQuery'>,
): Promise<{ readonly canceled: boolean }> {
  if (services.queries.cancel(message.queryId)) return { canceled: true }
  if (message.local === true) return { canceled: false }
  const answers = await askPeers(services, { ...message, local: true })
  if (answers.some((a) => (a as { readonly canceled?: unknown } | null)?.canceled === true)) {
    return { canceled: true }
  }
  // Its owner may be gone, or wait for a client that does not come.
  if (await services.resumption.cancelRecorded(message.queryId)) return { canceled: true }
  throw new SqlError('undefined_object', `query "${message.queryId}" does not run`, {
    hint: 'it may have ended; `nyala status` lists the queries that run',
  })
}

/** The profile of a query that ended not long ago, from the coordinator that ran it. */
export async function queryProfile(
  services: Services,
  message: Message<'profile'>,
): Promise<unknown> {
  const profile = services.queries.profile(message.queryId)
  if (profile !== undefined) return profile
  const answers =
    message.local === true ? [] : await askPeers(services, { ...message, local: true })
  if (answers.length > 0) return answers[0]
  throw new SqlError('undefined_object', `no profile of query "${message.queryId}" is kept`, {
    hint: 'a coordinator keeps the profiles of its last queries, and only while it lives',
  })
}
