import t from 'tap'
import { SqlError } from '../protocol/errors.ts'
import { PROTOCOL_VERSION } from '../protocol/version.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { FakeTransport } from '../testing/fake-transport.ts'
import { CLOSE } from '../wire/connection.ts'
import { DIAL_TIMEOUT_MS } from '../wire/dial.ts'
import { Coordinators, RECONNECT_SPREAD_MS } from './coordinators.ts'
import { NEXT_DIAL_MS } from './dial-race.ts'
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

/** Takes the socket, and the greeting only when the test says so. */
class Mute extends Welcoming {
  override send(data: string | Uint8Array): void {
    this.sent.push(data)
  }

  welcome(): void {
    this.events.onText(JSON.stringify({ ...WELCOME, coordinator: this.address }))
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
  /** Their kernels take connections, and nothing is answered. */
  readonly hung = new Set<string>()
  /** They take a socket, and answer `hello` only when the test says so. */
  readonly mute = new Set<string>()
  readonly aborted: string[] = []
  readonly protocols = new Map<string, number>()
  readonly sockets: Welcoming[] = []

  get platform(): Platform {
    return {
      ...nodePlatform,
      clock: this.clock,
      dial: (address, _path, { signal }) => {
        this.dials.push({ address, atMs: this.clock.now() })
        if (this.hung.has(address)) return this.#unanswered(address, signal)
        if (this.dead.has(address)) {
          return Promise.reject(new SqlError('connection_failure', `${address} does not listen`))
        }
        const protocol = this.protocols.get(address) ?? PROTOCOL_VERSION
        const socket = this.mute.has(address)
          ? new Mute(address, protocol)
          : new Welcoming(address, protocol)
        this.sockets.push(socket)
        return Promise.resolve(socket)
      },
    }
  }

  /** What a dial does to a process that is stopped: nothing, for its whole time-out. */
  #unanswered(address: string, signal: AbortSignal | undefined): Promise<never> {
    return new Promise((_resolve, reject) => {
      const why = new SqlError('connection_failure', `${address} did not answer`)
      const stop = this.clock.after(DIAL_TIMEOUT_MS, () => reject(why))
      signal?.addEventListener('abort', () => {
        stop()
        this.aborted.push(address)
        reject(signal.reason as Error)
      })
    })
  }

  client(addresses = this.addresses): Coordinators {
    const options = resolveOptions({ endpoints: addresses }, () => undefined)
    return new Coordinators(options, this.platform, new EventHub())
  }

  kill(address: string): void {
    this.dead.add(address)
    for (const socket of this.sockets) if (socket.address === address) socket.terminate()
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

t.test('a coordinator that hangs does not hold a client that knows another', async (t) => {
  // Which one is dialled first is left to chance, so that once proves nothing.
  for (let i = 0; i < 30; i++) {
    const cluster = new FakeCluster()
    cluster.hung.add('a:1')
    cluster.hung.add('b:1')
    const client = cluster.client()
    const opened = client.acquire()
    await cluster.pass(3 * NEXT_DIAL_MS)
    t.equal((await opened).coordinator, 'c:1')
    const stopped = cluster.dials.map(({ address }) => address).filter((one) => one !== 'c:1')
    t.strictSame(cluster.aborted, stopped, 'no socket is left at those that hang')
    client.current?.terminate()
    cluster.hung.delete('a:1')
    cluster.hung.delete('b:1')
    const again = client.acquire()
    await cluster.pass(RECONNECT_SPREAD_MS)
    await again
    const next = cluster.dials.at(-1)?.address ?? ''
    if (stopped.length === 1) t.notOk(stopped.includes(next), 'who was outrun is doubted')
    client.close()
  }
})

t.test('a link that is welcomed too late is closed without a word to its user', async (t) => {
  const cluster = new FakeCluster()
  for (const address of cluster.addresses) cluster.mute.add(address)
  const client = cluster.client()
  const opened = client.acquire()
  await cluster.pass(NEXT_DIAL_MS)
  const [first, second] = cluster.sockets
  if (!(first instanceof Mute && second instanceof Mute)) throw new Error('two were to be dialled')
  // In one turn of the loop, before either of the two could be told that it came too late.
  second.welcome()
  first.welcome()
  const link = await opened
  t.equal(link.coordinator, second.address)
  t.ok(first.terminated || first.closedWith !== undefined)
  first.events.onClose(1000, '')
  t.equal(client.current, link)
  t.notOk(second.terminated)
  client.close()
})

t.test('with one address nothing is dialled beside it', async (t) => {
  const cluster = new FakeCluster()
  cluster.hung.add('a:1')
  const client = cluster.client(['a:1'])
  const failed = t.rejects(client.acquire({ rounds: 1 }), { message: /did not answer/ })
  await cluster.pass(DIAL_TIMEOUT_MS)
  await failed
  t.equal(cluster.dials.length, 1)
  client.close()
})
