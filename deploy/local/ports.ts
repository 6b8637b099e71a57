import { createSocket, type Socket } from 'node:dgram'
import { createServer } from 'node:net'
import { randomInt } from 'node:crypto'
import { configurationError, LauncherError } from './launcher-error.ts'

export const LOOPBACK = '127.0.0.1'

/** Members of one role that fit between two offsets. */
export const MEMBERS_PER_ROLE_MAX = 20
/** Distance from the port base to the first port of each kind. */
export const COORDINATOR_PORT_OFFSET = 1
export const EXECUTOR_PORT_OFFSET = 21
export const ETCD_CLIENT_PORT_OFFSET = 41
export const ETCD_PEER_PORT_OFFSET = 51
/** Ports that a cluster may use, from its base on. */
export const PORTS_PER_CLUSTER = 60

/**
 * Free ports are taken from below the ranges that Linux, macOS and Windows hand out for outgoing connections: a port
 * that is free when asked for may otherwise be some connection's by the time a member listens on it.
 */
const FREE_PORT_MIN = 20_000
const FREE_PORT_MAX = 32_000
const FREE_PORT_TRIES_MAX = 500

/** True when something on this machine could listen on the port now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      server.close(() => resolve(true))
    })
  })
}

/**
 * The ports of one cluster, from when they are chosen until all of its members have ended: a member listens on its own
 * some seconds later, and is away from it while it is started again, and no other cluster is to choose it then. What says
 * so to the others is the UDP port of the same number, which is of no other use here and goes with the process.
 */
export class PortClaims {
  readonly #sockets: Socket[] = []

  /** `count` different ports that nothing listens on and no other cluster has, chosen at random. */
  async choose(count: number): Promise<readonly number[]> {
    const ports = new Set<number>()
    for (let tries = 0; ports.size < count; tries++) {
      if (tries >= FREE_PORT_TRIES_MAX) {
        throw new LauncherError(`found only ${ports.size} of ${count} free ports in ${tries} tries`)
      }
      const port = randomInt(FREE_PORT_MIN, FREE_PORT_MAX)
      if (!ports.has(port) && (await this.#take(port))) ports.add(port)
    }
    return [...ports]
  }

  /**
   * Fails with exit code 3 and the member's id where something listens on a wanted port. One whose UDP port is somebody's
   * is taken all the same: that may be any program's.
   */
  async require(wanted: readonly { readonly id: string; readonly port: number }[]): Promise<void> {
    for (const { id, port } of wanted) {
      if (!(await isPortFree(port))) {
        throw configurationError(
          `port ${port} of "${id}" on ${LOOPBACK} is already in use`,
          'stop what listens there, or choose other ports with --port-base',
        )
      }
      await this.#claim(port)
    }
  }

  release(): void {
    for (const socket of this.#sockets.splice(0)) socket.close()
  }

  async #take(port: number): Promise<boolean> {
    return (await this.#claim(port)) && (await isPortFree(port))
  }

  /** False where another one has it. */
  #claim(port: number): Promise<boolean> {
    const socket = createSocket('udp4').unref()
    return new Promise((resolve) => {
      socket.once('error', () => {
        socket.close()
        resolve(false)
      })
      socket.bind({ port, address: LOOPBACK, exclusive: true }, () => {
        this.#sockets.push(socket)
        resolve(true)
      })
    })
  }
}
