import { type Clock, deferred, Prng, silentLog, systemClock as clock } from '@nyala/client/base'
import { PROTOCOL_VERSION } from '@nyala/client/protocol'
import { CLOSE, Connection, listen, type Listener, type Transport } from '@nyala/client/wire'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { type FromExecutor, fromExecutor, type ToExecutor } from '../protocol/index.ts'
import {
  type CoordinatorDirectory,
  CoordinatorLinks,
  LOAD_INTERVAL_MS,
} from './coordinator-links.ts'
import type { Load } from './load-report.ts'

/** A directory of tests, changed by hand. */
class FakeDirectory implements CoordinatorDirectory {
  readonly #listeners = new Set<() => void>()
  #coordinators: readonly { readonly id: string; readonly address: string }[] = []

  coordinators(): readonly { readonly id: string; readonly address: string }[] {
    return this.#coordinators
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  set(coordinators: readonly { readonly id: string; readonly address: string }[]): void {
    this.#coordinators = coordinators
    for (const listener of this.#listeners) listener()
  }
}

/** A coordinator that greets as it is told and counts who comes. */
class Greeter {
  readonly heard: FromExecutor[] = []
  readonly closes: number[] = []
  readonly connections: Connection<FromExecutor, ToExecutor>[] = []
  readonly #listener: Listener
  readonly #changed: (() => void)[] = []

  private constructor(listener: Listener) {
    this.#listener = listener
  }

  static async start(
    answer: (connection: Connection<FromExecutor, ToExecutor>) => void,
  ): Promise<Greeter> {
    const accept = (transport: Transport): void => greeter.#accept(transport, answer)
    const listener = await listen({
      host: '127.0.0.1',
      port: 0,
      paths: { '/executor': accept },
      health: () => ({}),
    })
    const greeter = new Greeter(listener)
    return greeter
  }

  get address(): string {
    return this.#listener.address
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  count(kind: FromExecutor['kind']): number {
    return this.heard.filter((message) => message.kind === kind).length
  }

  async stop(): Promise<void> {
    await this.#listener.close()
  }

  #accept(
    transport: Transport,
    answer: (connection: Connection<FromExecutor, ToExecutor>) => void,
  ): void {
    const connection = new Connection<FromExecutor, ToExecutor>(transport, {
      schema: fromExecutor,
      clock,
      log: silentLog,
      onMessage: (message) => {
        this.heard.push(message)
        if (message.kind === 'hello') answer(connection)
        this.#wake()
      },
      onClose: (code) => {
        this.closes.push(code)
        this.#wake()
      },
    })
    this.connections.push(connection)
  }

  #wake(): void {
    for (const wake of this.#changed.splice(0)) wake()
  }
}

/** Time that passes as it does, watched for who waits for it. */
class WatchedClock {
  /** Looks at the load to come. */
  looks = 0
  /** Pauses before a dial, so far. */
  pauses = 0
  readonly clock: Clock = {
    ...clock,
    after: (ms, callback, options) => {
      if (ms !== LOAD_INTERVAL_MS) return clock.after(ms, callback, options)
      this.looks++
      const look = (): void => {
        this.looks--
        callback()
      }
      const stop = clock.after(ms, look, options)
      return () => {
        this.looks--
        stop()
      }
    },
    sleep: (ms, options) => {
      this.pauses++
      return clock.sleep(ms, options)
    },
  }
}

const nothing = (): void => undefined

const welcome = (connection: Connection<FromExecutor, ToExecutor>): void =>
  connection.send({
    kind: 'welcome',
    protocol: PROTOCOL_VERSION,
    cluster: 'test',
    coordinator: 'c1',
  })

const IDLE: Load = {
  kind: 'load',
  tasksRunning: 0,
  tasksOwned: 0,
  memoryReservedBytes: 0,
  queuedBytes: 0,
  exchangeBytes: 0,
  kernels: 1,
  draining: false,
}

function startLinks(
  directory: FakeDirectory,
  onLinkClosed: () => void = () => undefined,
  load: () => Load = () => IDLE,
  watched = new WatchedClock(),
): CoordinatorLinks {
  return new CoordinatorLinks({
    directory,
    cluster: 'test',
    clock: watched.clock,
    log: silentLog,
    prng: new Prng(1),
    tasks: {
      startTask: nothing,
      cancelTask: nothing,
      resumeTask: nothing,
      acknowledge: nothing,
      keepQuery: nothing,
      takeQuery: nothing,
      releaseQuery: nothing,
      onLinkClosed,
    },
    hello: () => ({
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      cluster: 'test',
      executor: 'e1',
      incarnation: 1,
      dataAddress: '127.0.0.1:1',
      host: 'here',
      pid: 1,
      threads: 1,
      memoryLimitBytes: 1,
      kernel: 'v',
      roots: [],
    }),
    load,
    inspect: () => Promise.resolve({ location: '/', files: [], schemas: [] }),
  })
}

t.test('each coordinator is dialled as it appears, and told the load', async (t) => {
  const directory = new FakeDirectory()
  const [first, second] = [await Greeter.start(welcome), await Greeter.start(welcome)]
  directory.set([{ id: 'c1', address: first.address }])
  const links = startLinks(directory)
  await first.until(() => first.count('load') === 1)
  directory.set([
    { id: 'c1', address: first.address },
    { id: 'c2', address: second.address },
  ])
  await second.until(() => second.count('load') === 1)
  t.equal(first.count('hello'), 1)
  t.equal(links.open, 2)
  links.stop('test')
  await first.until(() => first.closes.length === 1)
  t.same(first.closes, [CLOSE.goingAway])
  await first.stop()
  await second.stop()
})

t.test('a socket that breaks is dialled again, and its queries are left to wait', async (t) => {
  const directory = new FakeDirectory()
  const greeter = await Greeter.start(welcome)
  let closed = 0
  directory.set([{ id: 'c1', address: greeter.address }])
  const links = startLinks(directory, () => closed++)
  for (let round = 1; round <= 3; round++) {
    await greeter.until(() => greeter.count('load') === round)
    greeter.connections.at(-1)?.terminate()
  }
  await greeter.until(() => greeter.count('load') === 4)
  t.equal(closed, 3)
  links.stop('test')
  await greeter.stop()
})

t.test('a coordinator of another cluster or version is refused with a reason', async (t) => {
  for (const [wrong, code] of [
    [{ protocol: PROTOCOL_VERSION, cluster: 'other' }, CLOSE.notWelcome],
    [{ protocol: PROTOCOL_VERSION + 1, cluster: 'test' }, CLOSE.versionRefused],
  ] as const) {
    const directory = new FakeDirectory()
    const greeter = await Greeter.start((connection) =>
      connection.send({ kind: 'welcome', coordinator: 'c1', ...wrong }),
    )
    directory.set([{ id: 'c1', address: greeter.address }])
    const links = startLinks(directory)
    await greeter.until(() => greeter.closes.length === 1)
    t.same(greeter.closes, [code])
    t.equal(links.open, 0)
    links.stop('test')
    await greeter.stop()
  }
})

t.test('an order before the welcome closes the socket', async (t) => {
  const directory = new FakeDirectory()
  const greeter = await Greeter.start((connection) =>
    connection.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' }),
  )
  directory.set([{ id: 'c1', address: greeter.address }])
  const links = startLinks(directory)
  await greeter.until(() => greeter.closes.length === 1)
  t.same(greeter.closes, [CLOSE.protocolError])
  links.stop('test')
  await greeter.stop()
})

t.test(
  'a coordinator that vanishes from the directory keeps its socket while that lives',
  async (t) => {
    const directory = new FakeDirectory()
    const greeter = await Greeter.start(welcome)
    directory.set([{ id: 'c1', address: greeter.address }])
    const watched = new WatchedClock()
    const closed = deferred<void>()
    const links = startLinks(directory, () => closed.resolve(), undefined, watched)
    await greeter.until(() => greeter.count('load') === 1)
    directory.set([])
    t.equal(links.open, 1)
    directory.set([{ id: 'c1', address: greeter.address }])
    t.equal(greeter.count('hello'), 1, 'it was not dialled again')
    directory.set([])
    greeter.connections.at(-1)?.terminate()
    await closed.promise
    // What follows from the close needs no more than this turn.
    await setImmediate()
    t.equal(watched.pauses, 0, 'nobody is to dial a coordinator that has left')
    directory.set([{ id: 'c1', address: greeter.address }])
    await greeter.until(() => greeter.count('load') === 2)
    links.stop('test')
    await greeter.stop()
  },
)

t.test('load is reported at once when it changes, and then not too often', async (t) => {
  const directory = new FakeDirectory()
  const greeter = await Greeter.start(welcome)
  directory.set([{ id: 'c1', address: greeter.address }])
  let load = IDLE
  const links = startLinks(directory, nothing, () => load)
  await greeter.until(() => greeter.count('load') === 1)
  const startedAt = clock.now()
  for (let i = 1; i <= 100; i++) {
    load = { ...IDLE, tasksRunning: i }
    links.loadChanged()
  }
  await greeter.until(() => greeter.count('load') === 3)
  t.ok(clock.now() - startedAt >= LOAD_INTERVAL_MS - 10, 'the second report waited')
  t.same(
    greeter.heard.flatMap((m) => (m.kind === 'load' ? [m.tasksRunning] : [])),
    [0, 1, 100],
  )
  links.stop('test')
  await greeter.stop()
})

t.test('while tasks run, bytes that wait are reported without a word from anybody', async (t) => {
  const directory = new FakeDirectory()
  const greeter = await Greeter.start(welcome)
  directory.set([{ id: 'c1', address: greeter.address }])
  let load: Load = { ...IDLE, tasksRunning: 1 }
  let looks = 0
  const watched = new WatchedClock()
  const look = (): Load => {
    looks++
    return load
  }
  const links = startLinks(directory, nothing, look, watched)
  await greeter.until(() => greeter.count('load') === 1)
  load = { ...load, queuedBytes: 8 * 1024 * 1024 }
  await greeter.until(() => greeter.count('load') === 2)
  load = { ...load, queuedBytes: load.queuedBytes + 1 }
  const before = looks
  while (looks < before + 3) await clock.sleep(10)
  t.equal(greeter.count('load'), 2, 'what changes nothing is not told')
  load = IDLE
  await greeter.until(() => greeter.count('load') === 3)
  const last = looks
  while (watched.looks > 0) await clock.sleep(10)
  t.ok(looks <= last + 1, 'an idle executor looks no more')
  links.stop('test')
  await greeter.stop()
})
