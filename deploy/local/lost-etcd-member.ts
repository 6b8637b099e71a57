import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Clock, Log } from '@nyala/client/base'
import { callEtcd, type EtcdMemberRecord, isEtcdHealthy, membersOfEtcd } from './etcd-calls.ts'
import { LauncherError } from './launcher-error.ts'
import { type Layout, pathsOf } from './layout.ts'
import { LOOPBACK } from './ports.ts'

type Place = Layout['etcd'][number]

export interface LostMemberOptions {
  readonly dir: string
  readonly layout: Layout
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/** While the others elect a leader, or have not been connected for long enough to take another one in. */
const RETRY_MS = 250
/** Of a log, what its last start may have said. */
const LOG_BYTES_MAX = 64 * 1024

/** What etcd says before it ends because of its own files. */
const UNREADABLE =
  /crc mismatch|checksum error|cannot be repaired|invalid database|freepages|data inconsistency|failed to (recover v3 backend|find database snapshot)|slice bounds out of range/

/** It was served from this directory before, so that a member without data has lost it. */
export const hasServed = (dir: string): boolean => existsSync(pathsOf(dir).etcdServed)

/** True where a member has nothing left of what it must have had. */
export const hasLostData = (dir: string, id: string): boolean =>
  hasServed(dir) && !hasLog(join(pathsOf(dir).etcd, id))

/** Without its log a member knows nothing of what it has promised, whatever else is there. */
function hasLog(data: string): boolean {
  const wal = join(data, 'member', 'wal')
  return existsSync(wal) && readdirSync(wal).some((name) => name.endsWith('.wal'))
}

/** The log of a start of etcd that ended since tells that its files cannot be read. `from`: where the log began. */
export function saysUnreadable(logPath: string, from: number): boolean {
  return textFrom(logPath, from)
    .split('\n')
    .some((line) => /"level":"(fatal|panic)"|^panic:/.test(line) && UNREADABLE.test(line))
}

function textFrom(path: string, from: number): string {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  const begin = Math.max(from <= size ? from : 0, size - LOG_BYTES_MAX)
  const text = Buffer.alloc(size - begin)
  if (size === begin) return ''
  const file = openSync(path, 'r')
  try {
    return text.subarray(0, readSync(file, text, 0, text.length, begin)).toString()
  } finally {
    closeSync(file)
  }
}

/**
 * Lets a member whose data is gone, or cannot be read, join again; resolves with what it is to be started with.
 *
 * It is not the member that it was: it has voted, and acknowledged what it does not know any more. Started with its old id
 * and nothing, it could help one to lead that lacks what a majority had. So the others are told to forget it, which they do
 * where they are a majority, and it joins under a new id. Each step may be repeated: whoever is found at its address was
 * never started since, or is what is lost.
 */
export async function joinAnew(
  member: Place,
  options: LostMemberOptions,
): Promise<readonly string[]> {
  const { layout, clock, log, signal, dir } = options
  if (layout.etcd.length === 1) {
    throw new LauncherError(`the data of etcd's only member "${member.id}" is gone`, {
      hint: `put a backup of "${join(pathsOf(dir).etcd, member.id)}" back, or discard the rest with "nyala down --purge"`,
    })
  }
  for (;;) {
    signal.throwIfAborted()
    try {
      return await tryToJoin(member, options)
    } catch (error) {
      log.info('etcdMemberCannotJoin', { id: member.id, error })
    }
    await clock.sleep(RETRY_MS, { signal })
  }
}

async function tryToJoin(
  member: Place,
  { dir, layout, log }: LostMemberOptions,
): Promise<readonly string[]> {
  const others = layout.etcd.filter(({ id }) => id !== member.id).map(clientUrl)
  const healthy = await Promise.all(others.map(isEtcdHealthy))
  const serving = others.filter((_, i) => healthy[i])
  const majority = Math.floor(layout.etcd.length / 2) + 1
  const [endpoint] = serving
  if (endpoint === undefined || serving.length < majority) {
    throw new Error(`${serving.length} other members serve, ${majority} are needed`)
  }
  const peer = `http://${LOOPBACK}:${member.peerPort}`
  const isIt = ({ peerURLs = [] }: EtcdMemberRecord): boolean => peerURLs.includes(peer)
  for (const { ID } of (await membersOfEtcd(endpoint)).filter(isIt)) {
    await callEtcd(endpoint, 'cluster/member/remove', { ID })
  }
  setAside(join(pathsOf(dir).etcd, member.id))
  await callEtcd(endpoint, 'cluster/member/add', { peerURLs: [peer] })
  const members = await membersOfEtcd(endpoint)
  log.warn('etcdMemberReplaced', { id: member.id })
  const cluster = members.map(
    ({ name = '', peerURLs = [] }) => `${name || member.id}=${peerURLs[0]}`,
  )
  return ['--initial-cluster', cluster.join(','), '--initial-cluster-state', 'existing']
}

/** What cannot be read is kept for whoever wants to see it, the newest only. */
function setAside(data: string): void {
  if (!existsSync(data)) return
  rmSync(`${data}.damaged`, { recursive: true, force: true })
  renameSync(data, `${data}.damaged`)
}

const clientUrl = ({ port }: Place): string => `http://${LOOPBACK}:${port}`
