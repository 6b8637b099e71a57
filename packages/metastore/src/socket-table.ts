/** A socket as Linux lists it in /proc/net/tcp: both ends are an address and a port, hexadecimal, with a colon between. */
export interface ListedSocket {
  readonly local: string
  readonly remote: string
  /** `0A` of one that listens. */
  readonly state: string
  /** 0 where no process holds it any more. */
  readonly inode: string
}

/** The sockets of a table whose text is that of /proc/net/tcp or tcp6; a table can be read amiss while it changes. */
export const listedSockets = (table: string): readonly ListedSocket[] =>
  table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/)
      if (local === undefined || remote === undefined) return []
      return state === undefined || inode === undefined ? [] : [{ local, remote, state, inode }]
    })

/** The inode of the socket that a descriptor stands for, by what its link in /proc/PID/fd says. */
export const socketInode = (link: string): string | undefined =>
  /^socket:\[(\d+)\]$/.exec(link)?.[1]
