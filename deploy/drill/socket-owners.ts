import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { listedSockets, socketInode } from '@nyala/metastore'

export interface LookRequest {
  readonly id: number
  /** Whom sockets may belong to. */
  readonly processes: readonly { readonly id: string; readonly pid: number }[]
  /** Of the proxies: only connections with these are looked up. */
  readonly ports: readonly number[]
}

export interface LookAnswer {
  readonly id: number
  /** Member by {@link keyOf}. */
  readonly owners: ReadonlyMap<string, string>
}

/** A connection between two ports of the loopback address, as Linux names the end of who has dialled: local, remote. */
export const keyOf = (port: number, dialledPort: number): string =>
  `0100007F:${hex(port)} 0100007F:${hex(dialledPort)}`

const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** Member by {@link keyOf}. */
export function ownersOf(
  processes: LookRequest['processes'],
  ports: LookRequest['ports'],
): LookAnswer['owners'] {
  const keys = keysByInode(ports)
  const owners = new Map<string, string>()
  for (const { id, pid } of processes) {
    for (const inode of socketsOf(pid)) {
      const key = keys.get(inode)
      if (key !== undefined) owners.set(key, id)
    }
  }
  return owners
}

/** A connection that waits for its time to be over has no inode. */
function keysByInode(ports: readonly number[]): ReadonlyMap<string, string> {
  const dialled = new Set(ports.map(hex))
  const keys = new Map<string, string>()
  for (const { local, remote, inode } of listedSockets(readFileSync('/proc/net/tcp', 'utf8'))) {
    if (inode !== '0' && dialled.has(remote.slice(-4))) keys.set(inode, `${local} ${remote}`)
  }
  return keys
}

function socketsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return socketInode(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? []
      } catch {
        return []
      }
    })
  } catch {
    // It has ended meanwhile.
    return []
  }
}
