/** Defragmenting and compacting wait for what is written meanwhile. */
const CALL_TIMEOUT_MS = 10_000
const HEALTH_TIMEOUT_MS = 2_000

/** What one member says of itself. */
export interface EtcdStatus {
  readonly header: { readonly member_id: string; readonly revision: string }
  readonly leader?: string
}

export interface EtcdMemberRecord {
  readonly ID: string
  /** Absent until the member has started for the first time. */
  readonly name?: string
  readonly peerURLs?: readonly string[]
}

interface Alarm {
  readonly memberID: string
  readonly alarm: string
}

/**
 * A call of etcd's JSON gateway, in which numbers of 64 bits are texts and what is zero is left out. Fails where the
 * member does not answer in time, and with its message where it refuses.
 */
export async function callEtcd(
  endpoint: string,
  path: string,
  body: unknown = {},
): Promise<unknown> {
  const response = await fetch(`${endpoint}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  })
  const answer = (await response.json()) as { readonly error?: unknown }
  if (response.ok) return answer
  throw new Error(`etcd at ${endpoint} refuses ${path}: ${String(answer.error)}`)
}

/** True where a member sees a leader, can read, and raises no alarm. */
export async function isEtcdHealthy(endpoint: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS)
    const answer = (await (await fetch(`${endpoint}/health`, { signal })).json()) as {
      readonly health?: unknown
    }
    return answer.health === 'true'
  } catch {
    // Whatever it is that does not answer, it does not serve.
    return false
  }
}

export const statusOfEtcd = async (endpoint: string): Promise<EtcdStatus> =>
  (await callEtcd(endpoint, 'maintenance/status')) as EtcdStatus

export async function membersOfEtcd(endpoint: string): Promise<readonly EtcdMemberRecord[]> {
  const { members = [] } = (await callEtcd(endpoint, 'cluster/member/list')) as {
    readonly members?: readonly EtcdMemberRecord[]
  }
  return members
}

/** Revokes every lease that there is. */
export async function revokeAllLeases(endpoints: readonly string[]): Promise<void> {
  const [endpoint = ''] = endpoints
  const { leases = [] } = (await callEtcd(endpoint, 'lease/leases')) as {
    readonly leases?: readonly { readonly ID: string }[]
  }
  await Promise.all(leases.map(({ ID }) => callEtcd(endpoint, 'lease/revoke', { ID })))
}

/** Forgets all revisions but the present one, and gives the room that they took back: the leader comes last. */
export async function compactEtcd(endpoints: readonly string[]): Promise<void> {
  const [endpoint = ''] = endpoints
  const { header } = await statusOfEtcd(endpoint)
  await callEtcd(endpoint, 'kv/compaction', { revision: header.revision, physical: true })
  for (const one of await leaderLast(endpoints)) await callEtcd(one, 'maintenance/defragment')
}

async function leaderLast(endpoints: readonly string[]): Promise<readonly string[]> {
  const leads = await Promise.all(
    endpoints.map(async (endpoint) => {
      const { header, leader } = await statusOfEtcd(endpoint)
      return leader === header.member_id
    }),
  )
  return [...endpoints.filter((_, i) => !leads[i]), ...endpoints.filter((_, i) => leads[i])]
}

/** Ends the alarms of all members. */
export async function disarmEtcd(endpoint: string): Promise<void> {
  const { alarms = [] } = (await callEtcd(endpoint, 'maintenance/alarm', { action: 'GET' })) as {
    readonly alarms?: readonly Alarm[]
  }
  for (const one of alarms) {
    await callEtcd(endpoint, 'maintenance/alarm', { action: 'DEACTIVATE', ...one })
  }
}

/** What differs between the members as of one revision; undefined where all hold the same. */
export async function differenceInEtcd(endpoints: readonly string[]): Promise<string | undefined> {
  const statuses = await Promise.all(endpoints.map(statusOfEtcd))
  const revision = String(Math.max(...statuses.map(({ header }) => Number(header.revision))))
  const hashes = await Promise.all(
    endpoints.map(async (endpoint) => {
      const answer = await callEtcd(endpoint, 'maintenance/hash', { revision })
      const { hash, compact_revision } = answer as Readonly<Record<string, unknown>>
      return `${String(hash)} since ${String(compact_revision ?? 0)}`
    }),
  )
  if (new Set(hashes).size === 1) return undefined
  const said = endpoints.map((endpoint, i) => `${endpoint}: ${hashes[i]}`)
  return `hashes of revision ${revision} differ: ${said.join(', ')}`
}
