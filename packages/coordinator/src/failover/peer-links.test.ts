import { silentLog, systemClock } from '@nyala/client/base'
import { type MemberId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import { CLOSE, Connection, dial, listen, type Transport } from '@nyala/client/wire'
import t from 'tap'
import { type LinkEvent, PeerLinks } from './peer-links.ts'
import {
  type FromDialler,
  fromDialler,
  type FromListener,
  fromListener,
  type PeerTurn,
} from './peer-protocol.ts'

const OTHERS = [-2, -1, 1, 2].map((by) => PROTOCOL_VERSION + by)

const greeting = (protocol: number, coordinator: string) => ({
  protocol,
  cluster: 'test',
  coordinator,
  startedAt: 1,
})

function openLinks(
  events: LinkEvent[],
  more: Partial<ConstructorParameters<typeof PeerLinks>[0]> = {},
): PeerLinks {
  return new PeerLinks({
    clock: systemClock,
    log: silentLog,
    cluster: 'test',
    self: { id: 'c2' as MemberId, startedAt: 1 },
    onEvent: (event) => events.push(event),
    ...more,
  })
}

const listenOn = (accept: (transport: Transport) => void) =>
  listen({ host: '127.0.0.1', port: 0, paths: { '/peer': accept }, health: () => ({}) })

t.test('coordinators of other versions that dial are refused with the reason', async (t) => {
  const events: LinkEvent[] = []
  const links = openLinks(events)
  const listener = await listenOn((transport) => links.accept(transport))
  for (const protocol of OTHERS) {
    const transport = await dial(listener.address, '/peer')
    const end = await new Promise<unknown>((resolve) => {
      const connection = new Connection<FromListener, FromDialler>(transport, {
        schema: fromListener,
        clock: systemClock,
        log: silentLog,
        onMessage: (message) => resolve(message),
        onClose: (code, reason) => resolve({ code, reason }),
      })
      connection.send({ kind: 'hello', ...greeting(protocol, 'c1') })
    })
    t.match(end, {
      code: CLOSE.versionRefused,
      reason: new RegExp(`protocol ${PROTOCOL_VERSION} is spoken here`),
    })
  }
  t.same(events, [])
  links.close('test')
  await listener.close()
})

t.test(
  'coordinators of other versions that are dialled are refused, again and again',
  async (t) => {
    for (const protocol of OTHERS) {
      const events: LinkEvent[] = []
      let refusals = 0
      const refusedTwice = new Promise<void>((resolve) => {
        void listenOn((transport) => {
          const connection: Connection<FromDialler, FromListener> = new Connection(transport, {
            schema: fromDialler,
            clock: systemClock,
            log: silentLog,
            onMessage: () => connection.send({ kind: 'welcome', ...greeting(protocol, 'c1') }),
            onClose: (code) => {
              if (code === CLOSE.versionRefused && ++refusals === 2) resolve()
            },
          })
        }).then((listener) => {
          const links = openLinks(events)
          links.setPeers([{ id: 'c1', address: listener.address }])
          t.teardown(async () => {
            links.close('test')
            await listener.close()
          })
        })
      })
      await refusedTwice
      t.same(events, [], `version ${protocol} is nobody's peer`)
    }
  },
)

t.test(
  'who waits at a table is told to peers when they are there, and when it is new',
  async (t) => {
    const turn = (id: string): PeerTurn => ({
      ...{ kind: 'turn', id, tables: ['t'] },
      ...{ agedMs: 0.5, forMs: 100, tries: 0, revision: 0 },
    })
    const heard: string[] = []
    let told: () => void = () => undefined
    const onTurn = (peer: string, { id }: PeerTurn): void => {
      heard.push(`${id} of ${peer}`)
      told()
    }
    const hearing = async (count: number): Promise<void> => {
      while (heard.length < count) await new Promise<void>((resolve) => (told = resolve))
    }
    const self = { id: 'c1' as MemberId, startedAt: 1 }
    const c1 = openLinks([], { self, onTurn, turns: () => [turn('w1'), turn('w2')] })
    const c2 = openLinks([], { onTurn, turns: () => [turn('w3')] })
    const listener = await listenOn((transport) => c1.accept(transport))
    c2.setPeers([{ id: 'c1', address: listener.address }])
    await hearing(3)
    t.same(heard.splice(0).toSorted(), ['w1 of c1', 'w2 of c1', 'w3 of c2'])
    c1.tell(turn('w4'))
    c2.tell(turn('w5'))
    await hearing(2)
    t.same(heard.toSorted(), ['w4 of c1', 'w5 of c2'])
    c1.close('test')
    c2.close('test')
    await listener.close()
  },
)
