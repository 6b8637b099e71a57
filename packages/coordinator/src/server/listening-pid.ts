import { readdir, readFile, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'

/** Hexadecimal state of a listening socket in /proc/net/tcp. */
const LISTENING = '0A'

/**
 * The pid of the process of this machine that listens at `host:port`; null where it is another machine, where the
 * system does not tell (anything but Linux), or where this user may not see it. For people only.
 */
export async function listeningPid(address: string): Promise<number | null> {
  const [host = '', port = ''] = address.split(':')
  if (!isOwnAddress(host)) return null
  try {
    const inode = await listeningInode(Number(port))
    return inode === undefined ? null : await ownerOf(`socket:[${inode}]`)
  } catch {
    return null
  }
}

const isOwnAddress = (host: string): boolean =>
  host === 'localhost' ||
  host.startsWith('127.') ||
  Object.values(networkInterfaces()).some((list) => list?.some((i) => i.address === host))

async function listeningInode(port: number): Promise<string | undefined> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '')
    for (const line of text.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (fields[1]?.endsWith(wanted) === true && fields[3] === LISTENING) return fields[9]
    }
  }
  return undefined
}

async function ownerOf(socket: string): Promise<number | null> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const owners = await Promise.all(
    pids.map(async (pid) => {
      // A process that ends meanwhile, or that belongs to another user, shows nothing.
      const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
      const targets = await Promise.all(
        descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
      )
      return targets.includes(socket) ? Number(pid) : undefined
    }),
  )
  return owners.find((pid) => pid !== undefined) ?? null
}
