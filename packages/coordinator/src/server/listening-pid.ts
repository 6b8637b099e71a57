import { readdir, readFile, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { listedSockets, socketInode } from '@nyala/metastore'

/** Hexadecimal state of a listening socket in /proc/net/tcp. */
const LISTENING = '0A'

/**
 * Which processes of this machine listen at addresses. For people only.
 *
 * Finding the owner of a socket takes a look at every descriptor of every process, which on a busy machine is seconds of
 * work; so it is done once for each socket, and its owner kept for as long as the socket listens.
 */
export class ListeningPids {
  readonly #proc: string
  /** By the inode of the listening socket; null where this user may not see whose it is. */
  #owners: ReadonlyMap<string, number | null> = new Map()

  /** `proc`: the directory that Linux shows its processes in. */
  constructor(proc = '/proc') {
    this.#proc = proc
  }

  /**
   * The pids at these addresses (`host:port`), in their order; null where it is another machine, where nobody listens,
   * where the system does not tell (anything but Linux), or where this user may not see it. Never rejects.
   */
  async at(addresses: readonly string[]): Promise<readonly (number | null)[]> {
    const listening = await this.#listening()
    const inodes = addresses.map((address) => {
      const [host = '', port = ''] = address.split(':')
      return isOwnAddress(host) ? listening.get(Number(port)) : undefined
    })
    const wanted = inodes.filter((inode) => inode !== undefined)
    const unknown = wanted.filter((inode) => !this.#owners.has(inode))
    const found = unknown.length === 0 ? new Map<string, number>() : await this.#ownersOf(unknown)
    const before = this.#owners
    // Of sockets that listen no more nothing is kept: their numbers may come again.
    this.#owners = new Map(
      wanted.map((inode) => [inode, before.get(inode) ?? found.get(inode) ?? null]),
    )
    return inodes.map((inode) => (inode === undefined ? null : (this.#owners.get(inode) ?? null)))
  }

  /** Inodes of the sockets that listen, by port. */
  async #listening(): Promise<ReadonlyMap<number, string>> {
    const found = new Map<number, string>()
    for (const table of ['net/tcp', 'net/tcp6']) {
      const text = await readFile(join(this.#proc, table), 'utf8').catch(() => '')
      for (const { local, state, inode } of listedSockets(text)) {
        const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)
        if (state === LISTENING && !found.has(port)) found.set(port, inode)
      }
    }
    return found
  }

  /** One process after another, until all are found: the threads that read files have other work, too. */
  async #ownersOf(inodes: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const wanted = new Set(inodes)
    const found = new Map<string, number>()
    const names = await readdir(this.#proc).catch(() => [])
    for (const pid of names.filter((name) => /^\d+$/.test(name))) {
      if (wanted.size === 0) break
      // A process that ends meanwhile, or that belongs to another user, shows nothing.
      const directory = join(this.#proc, pid, 'fd')
      const descriptors = await readdir(directory).catch(() => [])
      const targets = await Promise.all(
        descriptors.map((name) => readlink(join(directory, name)).catch(() => '')),
      )
      for (const target of targets) {
        const inode = socketInode(target)
        if (inode === undefined || !wanted.delete(inode)) continue
        found.set(inode, Number(pid))
      }
    }
    return found
  }
}

const isOwnAddress = (host: string): boolean =>
  host === 'localhost' ||
  host.startsWith('127.') ||
  Object.values(networkInterfaces()).some((list) => list?.some((i) => i.address === host))
