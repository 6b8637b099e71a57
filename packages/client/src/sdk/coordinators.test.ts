import t from 'tap'
import { SqlError } from '../protocol/errors.ts'
import { PROTOCOL_VERSION } from '../protocol/version.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { FakeTransport } from '../testing/fake-transport.ts'
import { CLOSE } from '../wire/connection.ts'
import { Coordinators, RECONNECT_SPREAD_MS } from './coordinators.ts'
import { EventHub } from './events.ts'
import { resolveOptions } from './options.ts'
import type { Platform } from './platform.ts'
import { nodePlatform } from './platform-node.ts'

/** The end of a socket to a coordinator that answers `hello`. */
class Welcoming extends FakeTransport {
  readonly address: string
  readonly #protocol: number

  constructor(address: string, protocol: number) {
    super()
    this.address = address
    this.#protocol = protocol
  }

  override send(data: string | Uint8Array): void {
    super.send(data)
    if (typeof data !== 'string' || !data.includes('"hello"')) return
    const isKnown = this.#protocol === PROTOCOL_VERSION
    queueMicrotask(() =>
      isKnown
        ? this.events.onText(JSON.stringify({ ...WELCOME, coordinator: this.address }))
        : this.events.onClose(CLOSE.versionRefused, `protocol ${this.#protocol} is spoken here`),
    )
  }
}

const WELCOME = {
  kind: 'welcome',
  protocol: PROTOCOL_VERSION,
  version: '0',
  cluster: 'test',
  coordinators: [],
  revision: 1,
}

/** Coordinators without sockets, and a clock that stands still. */
class FakeCluster {
  readonly clock = new FakeClock()
  readonly addresses: readonly string[] = ['a:1', 'b:1', 'c:1']
  readonly dials: { readonly address: string; readonly atMs: number }[] = []
  readonly dead = new Set<string>()
  readonly protocols = new Map<string, number>()
  readonly #sockets: Welcoming[] = []

  get platform(): Platform {
    return {
      ...nodePlatform,
      clock: this.clock,
      dial: (address) => {
        this.dials.push({ address, atMs: this.clock.now() })
        if (this.dead.has(address)) {
          return Promise.reject(new SqlError('connection_failure', `${address} does not listen`))
        }
        const protocol = this.protocols.get(address) ?? PROTOCOL_VERSION
        const socket = new Welcoming(address, protocol)
        this.#sockets.push(socket)
        return Promise.resolve(socket)
      },
    }
  }

  client(): Coordinators {
    const options = resolveOptions({ endpoints: this.addresses }, () => undefined)
    return new Coordinators(options, this.platform, new EventHub())
  }

  kill(address: string): void {
    this.dead.add(address)
    for (const socket of this.#sockets) if (socket.address === address) socket.terminate()
  }

  /** Lets time pass, and what follows from it happen. */
  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i++) {
      this.clock.advance(1)
      await new Promise(setImmediate)
    }
  }
}

t.test('clients that lose a coordinator together come to all others, one by one', async (t) => {
  const cluster = new FakeCluster()
  const clients = Array.from({ length: 900 }, () => cluster.client())
  await Promise.all(clients.map((client) => client.acquire()))
  const first = cluster.dials.length
  t.equal(first, clients.length)
  t.equal(cluster.clock.now(), 0, 'who has lost nothing waits for nothing')
  cluster.kill('a:1')
  const struck = clients.filter((client) => client.current === undefined)
  t.ok(struck.length > 200, `${struck.length} were connected to it`)
  const back = struck.map((client) => client.acquire())
  await cluster.pass(RECONNECT_SPREAD_MS)
  await Promise.all(back)
  const dials = cluster.dials.slice(first).filter(({ address }) => address !== 'a:1')
  t.equal(dials.length, struck.length)
  for (const other of ['b:1', 'c:1']) {
    const share = dials.filter(({ address }) => address === other).length / dials.length
    t.ok(share > 0.3 && share < 0.7, `${other} gets ${share} of them`)
  }
  for (let tenth = 0; tenth < 10; tenth++) {
    const from = (tenth * RECONNECT_SPREAD_MS) / 10
    const then = dials.filter(({ atMs }) => atMs > from && atMs <= from + RECONNECT_SPREAD_MS / 10)
    t.ok(then.length < dials.length * 0.25, `${then.length} of ${dials.length} come together`)
  }
  for (const client of clients) client.close()
})

t.test('a coordinator of another version is passed over while others may come', async (t) => {
  for (const protocol of [-2, -1, 1, 2].map((by) => PROTOCOL_VERSION + by)) {
    const cluster = new FakeCluster()
    cluster.protocols.set('a:1', protocol)
    cluster.kill('b:1')
    cluster.kill('c:1')
    const client = cluster.client()
    const link = client.acquire()
    await cluster.pass(1)
    t.equal(cluster.dials.length, 3, 'all were tried')
    cluster.dead.delete('b:1')
    await cluster.pass(200)
    t.equal((await link).coordinator, 'b:1')
    client.close()
  }
})

t.test('a cluster of another version is told at once, and not dialled over and over', async (t) => {
  for (const protocol of [-2, -1, 1, 2].map((by) => PROTOCOL_VERSION + by)) {
    const cluster = new FakeCluster()
    for (const address of cluster.addresses) cluster.protocols.set(address, protocol)
    const client = cluster.client()
    await t.rejects(client.acquire(), {
      error: 'connection_exception',
      message: new RegExp(`protocol ${protocol} is spoken here`),
      hint: /client that came with the cluster/,
    })
    t.equal(cluster.dials.length, 3)
    client.close()
  }
})

t.test('where one coordinator speaks and the others stay away, its refusal is told', async (t) => {
  const cluster = new FakeCluster()
  cluster.protocols.set('a:1', PROTOCOL_VERSION + 1)
  cluster.kill('b:1')
  cluster.kill('c:1')
  const client = cluster.client()
  const refused = t.rejects(client.acquire({ rounds: 3 }), { message: /protocol/ })
  await cluster.pass(400)
  await refused
  t.equal(cluster.dials.length, 9)
  client.close()
})
