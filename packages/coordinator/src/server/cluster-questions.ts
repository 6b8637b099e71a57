import { isMutant } from '@nyala/client/base'
import {
  type ClusterStatus,
  clusterStatus as statusSchema,
  SqlError,
  type Up,
} from '@nyala/client/protocol'
import { Patience } from '@nyala/metastore'
import { EPOCH } from '../schedule/query-run.ts'
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
  const theirs = others.map(({ body }) => statusSchema.decode(body, 'status of a coordinator'))
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

/**
 * Cancels a query wherever it runs; also where its owner hangs or is dead, whose work is released here then. Fails with
 * `undefined_object` where it runs nowhere, and with `metastore_unavailable`, within 5 s, where that cannot be told.
 */
export async function cancelQuery(
  services: Services,
  message: Message<'cancelQuery'>,
  patience: Patience = new Patience(services.clock),
): Promise<{ readonly canceled: boolean }> {
  const { queryId } = message
  if (services.queries.cancel(queryId)) return { canceled: true }
  if (message.local === true) return { canceled: false }
  if (!isMutant('no-cancel-elsewhere')) {
    // Others that hang take of the time that there is for all of it.
    patience.asked()
    const answers = await askPeers(services, { ...message, local: true })
    if (answers.some(({ body }) => hasCanceled(body))) return { canceled: true }
    const answered = new Set([services.id, ...answers.map(({ id }) => id)])
    // Its owner may be gone, or wait for a client that does not come.
    if (await services.resumption.cancelRecorded(queryId, answered, patience))
      return { canceled: true }
    // Without a record it was never another owner's: what is left of it are tasks that wait for one who does not come.
    for (const link of services.executors.links()) link.releaseQuery(queryId, EPOCH)
  }
  throw new SqlError('undefined_object', `query "${queryId}" does not run`, {
    hint: 'it may have ended; `nyala status` lists the queries that run',
  })
}

const hasCanceled = (reply: unknown): boolean =>
  (reply as { readonly canceled?: unknown } | null)?.canceled === true

/** The profile of a query that ended not long ago, from the coordinator that ran it. */
export async function queryProfile(
  services: Services,
  message: Message<'profile'>,
): Promise<unknown> {
  const profile = services.queries.profile(message.queryId)
  if (profile !== undefined) return profile
  const answers =
    message.local === true ? [] : await askPeers(services, { ...message, local: true })
  if (answers[0] !== undefined) return answers[0].body
  throw new SqlError('undefined_object', `no profile of query "${message.queryId}" is kept`, {
    hint: 'a coordinator keeps the profiles of its last queries, and only while it lives',
  })
}
