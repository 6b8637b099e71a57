import { get } from 'node:http'
import { join } from 'node:path'
import { statSync } from 'node:fs'
import type { Clock, Log, Mutant } from '@nyala/client/base'
import { type Layout, pathsOf } from './layout.ts'
import { hasLostData, joinAnew, saysUnreadable } from './lost-etcd-member.ts'
import type { MemberSpec } from './member-process.ts'
import { LOOPBACK } from './ports.ts'

/** Shorter than etcd's defaults: on one machine a lost leader is replaced in about half a second. */
const HEARTBEAT_MS = 50
const ELECTION_MS = 500
/** Revisions that watchers may resume from; older ones are dropped by etcd itself. */
const REVISIONS_KEPT = 20_000
const PROBE_TIMEOUT_MS = 1_000
const PROBE_PAUSE_MS = 20

/**
 * etcd logs before it answers and needs no farewell. Asked to stop, the leader of a cluster that stops as a whole looks
 * for a successor first, in vain and for five seconds.
 */
export const ETCD_STOP_SIGNAL = 'SIGKILL'

export interface EtcdOptions {
  readonly dir: string
  readonly layout: Layout
  readonly program: string
  /** False gives up durability for speed: tests only. */
  readonly fsync: boolean
  /** As of `LocalClusterOptions`. */
  readonly etcdQuotaBytes?: number | undefined
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
}

/** For clients of etcd; `advertised` as for the other members. */
export const etcdUrls = (
  layout: Layout,
  advertised: ReadonlyMap<string, string> = new Map(),
): readonly string[] =>
  layout.etcd.map(({ id, port }) => `http://${advertised.get(id) ?? `${LOOPBACK}:${port}`}`)

/**
 * The members in the order they are to be started. Each must answer before the next one starts: a member that finds a
 * peer listening but not yet serving waits a second for it, which made half of all starts two seconds slower.
 */
export function etcdMembers(options: EtcdOptions): readonly MemberSpec[] {
  return options.layout.etcd.map((member) => ({
    id: member.id,
    role: 'etcd',
    address: `${LOOPBACK}:${member.port}`,
    command: [options.program, ...memberArguments(member, options)],
    variables: withoutEtcdVariables(options.variables),
    logPath: join(pathsOf(options.dir).logs, `${member.id}.log`),
    prepare: preparation(member, options),
    stopSignal: ETCD_STOP_SIGNAL,
    // Its peers are not there yet, so it cannot be asked for more than to serve.
    ready: (_child, { signal }) =>
      waitFor(`http://${LOOPBACK}:${member.peerPort}/version`, () => true, options.clock, signal),
  }))
}

/** Before each start: a member that has lost what it had, or cannot read it, joins the others anew. */
function preparation(
  member: Layout['etcd'][number],
  options: EtcdOptions,
): NonNullable<MemberSpec['prepare']> {
  const { dir, variables } = options
  const logPath = join(pathsOf(dir).logs, `${member.id}.log`)
  /** Where the log of the last process begins. */
  let from: number | undefined
  return ({ signal }) => {
    const isUnreadable = from !== undefined && saysUnreadable(logPath, from)
    from = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0
    const isLost = isUnreadable || hasLostData(dir, member.id)
    if (!isLost || variables['NYALA_MUTANT'] === NOT_REPLACED) return Promise.resolve([])
    return joinAnew(member, { ...options, signal })
  }
}
/** The supervisor of a drill is no member: what it is to do without, it sees in what they are given. */
const NOT_REPLACED: Mutant = 'no-member-replaced'

/** Resolves when every member sees a leader. */
export async function etcdHealthy(
  layout: Layout,
  clock: Clock,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const isHealthy = (body: string): boolean => {
    const answer = JSON.parse(body) as { health?: unknown }
    return answer.health === 'true'
  }
  await Promise.all(
    etcdUrls(layout).map((url) => waitFor(`${url}/health`, isHealthy, clock, options.signal)),
  )
}

function memberArguments(member: Layout['etcd'][number], options: EtcdOptions): readonly string[] {
  const { layout } = options
  const peers = layout.etcd.map((one) => `${one.id}=http://${LOOPBACK}:${one.peerPort}`)
  const client = `http://${LOOPBACK}:${member.port}`
  const peer = `http://${LOOPBACK}:${member.peerPort}`
  return [
    ...['--name', member.id],
    ...['--data-dir', join(pathsOf(options.dir).etcd, member.id)],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...['--initial-cluster', peers.join(',')],
    ...['--initial-cluster-token', layout.etcdToken],
    ...['--initial-cluster-state', 'new'],
    // Off by default in 3.4, where a healed follower then stops writes for two seconds.
    '--pre-vote=true',
    `--heartbeat-interval=${HEARTBEAT_MS}`,
    `--election-timeout=${ELECTION_MS}`,
    '--auto-compaction-mode=revision',
    `--auto-compaction-retention=${REVISIONS_KEPT}`,
    ...['--logger=zap', '--log-level=warn', '--log-outputs=stderr'],
    ...(options.fsync ? [] : ['--unsafe-no-fsync']),
    ...(options.etcdQuotaBytes === undefined
      ? []
      : [`--quota-backend-bytes=${options.etcdQuotaBytes}`]),
  ]
}

/** A variable ETCD_X that is set on this machine for another etcd would win over what is meant here. */
function withoutEtcdVariables(
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const kept = Object.entries(variables).filter(([name]) => !name.startsWith('ETCD_'))
  // etcd 3.4 refuses to run on this processor unless it is told that this is known.
  const arm = process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {}
  return { ...Object.fromEntries(kept), ...arm }
}

/** Asks until the answer is as wanted; rejects with the signal's reason when aborted. */
async function waitFor(
  url: string,
  isWanted: (body: string) => boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const body = await fetchText(url)
    if (body !== undefined && isWanted(body)) return
    await clock.sleep(PROBE_PAUSE_MS, { signal })
  }
}

/** Undefined where nobody answers with success. */
function fetchText(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('end', () =>
        resolve(response.statusCode === 200 ? Buffer.concat(chunks).toString() : undefined),
      )
      response.once('error', () => resolve(undefined))
    })
    request.once('timeout', () => request.destroy())
    request.once('error', () => resolve(undefined))
  })
}
