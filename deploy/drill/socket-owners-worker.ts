import { parentPort } from 'node:worker_threads'
import { type LookAnswer, type LookRequest, ownersOf } from './socket-owners.ts'

/**
 * The thread that tells by whose socket a connection was dialled (Linux). It is one of its own: what a look costs grows with
 * all sockets of the machine and all files of the members. On a busy machine one took a second, in which the proxies passed
 * no byte, and a cut of one member for 3 s was one of all of them for 16 s.
 */
parentPort?.on('message', ({ id, processes, ports }: LookRequest) => {
  parentPort?.postMessage({ id, owners: ownersOf(processes, ports) } satisfies LookAnswer)
})
