import { deferred } from '@nyala/client/base'
import { type Down, down, PROTOCOL_VERSION, SqlError, type Up } from '@nyala/client/protocol'
import { CLOSE, Connection, dial } from '@nyala/client/wire'
import type { Services } from './services.ts'

/** A coordinator that does not answer a question about itself in this time is left out of the answer. */
const PEER_TIMEOUT_MS = 1_000

type Question = Extract<Up, { kind: 'status' | 'cancelQuery' | 'profile' }>

/** What a coordinator replied. */
export interface PeerAnswer {
  readonly id: string
  readonly body: unknown
}

/** What each other coordinator replies to a question about itself, asked as a client would; those that fail are left out. */
export async function askPeers(
  services: Services,
  question: Question,
): Promise<readonly PeerAnswer[]> {
  const peers = services.membership.coordinators().filter((member) => member.id !== services.id)
  const answers = await Promise.allSettled(
    peers.map(async ({ id, address }) => ({ id, body: await ask(address, question, services) })),
  )
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
}

async function ask(address: string, question: Question, services: Services): Promise<unknown> {
  const { clock, log, id } = services
  const answer = deferred<unknown>()
  const endMs = clock.now() + PEER_TIMEOUT_MS
  const transport = await dial(address, '/client', { timeoutMs: PEER_TIMEOUT_MS })
  const connection = new Connection<Down, Up>(transport, {
    schema: down,
    clock,
    log,
    onMessage: (message) => {
      if (message.kind === 'welcome') connection.send(question)
      if (message.kind === 'reply') answer.resolve(message.body)
      if (message.kind === 'failed') answer.reject(new Error(message.error.message))
    },
    onClose: (code, reason) => answer.reject(new Error(`closed with ${code} ${reason}`)),
  })
  const stop = clock.after(Math.max(0, endMs - clock.now()), () =>
    answer.reject(new SqlError('connection_failure', `coordinator at ${address} does not answer`)),
  )
  connection.send({ kind: 'hello', protocol: PROTOCOL_VERSION, client: `coordinator ${id}` })
  try {
    return await answer.promise
  } finally {
    stop()
    connection.close(CLOSE.normal)
  }
}
