import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { deferred, silentLog, systemClock } from '@nyala/client/base'
import t from 'tap'
import { connectKv, type EtcdKv } from './etcd-kv.ts'
import { KvError } from './kv.ts'
import { EtcdProcess } from './testing/etcd-process.ts'

const clock = systemClock

/** A relay in front of a member, some connections of which are silent for ever, as those through a broken middlebox are. */
class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #open = new Map<Socket, { isSilent: boolean }>()
  #made = 0
  #waiting: { readonly made: number; readonly resolve: () => void } | undefined
  isSilent = false

  constructor(target: string) {
    const { hostname, port } = new URL(target)
    this.#server = createServer((near) => {
      const state = { isSilent: this.isSilent }
      this.#open.set(near, state)
      const far = connect(Number(port), hostname)
      near.on('data', (bytes) => state.isSilent || far.write(bytes))
      far.on('data', (bytes) => state.isSilent || near.write(bytes))
      for (const socket of [near, far]) socket.on('error', () => socket.destroy())
      near.on('close', () => {
        this.#open.delete(near)
        far.destroy()
      })
      this.#made++
      if (this.#made >= (this.#waiting?.made ?? Infinity)) this.#waiting?.resolve()
    })
  }

  get made(): number {
    return this.#made
  }

  get open(): number {
    return this.#open.size
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return `http://127.0.0.1:${address.port}`
  }

  /** Those that are open, and new ones. */
  silence(): void {
    this.isSilent = true
    for (const state of this.#open.values()) state.isSilent = true
  }

  /** Resolves when so many more have been made. */
  async more(count: number): Promise<void> {
    const waiting = deferred<void>()
    this.#waiting = { made: this.#made + count, resolve: () => waiting.resolve() }
    await waiting.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open.keys()) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Asks all the time, as the clients of a coordinator do, until it is told to stop; returns how. */
function askAlways(kv: EtcdKv): () => Promise<void> {
  let isOver = false
  const asking = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      await kv.get('/a', { timeoutMs: 300 }).catch((error: unknown) => {
        if (!(error instanceof KvError)) throw error
      })
      await clock.sleep(10)
    }
  })
  return async () => {
    isOver = true
    await Promise.all(asking)
  }
}

await t.test('a connection on which nobody answers is given up for another one', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  await using relay = new Relay(etcd.endpoint)
  await using kv = await connectKv({
    ...{ endpoints: [await relay.listen()], clock, log: silentLog },
  })
  await kv.waitReady({ timeoutMs: 20_000 })
  t.equal(relay.made, 1)
  const stop = askAlways(kv)
  relay.silence()
  // The first takes the place of the one that was made, the second of that, which hangs while it is being made.
  await relay.more(2)
  // The one that was made may yet wait for an answer to its last call.
  t.ok(relay.open <= 2, 'those that were given up are closed')
  relay.isSilent = false
  await kv.waitReady({ timeoutMs: 20_000 })
  await stop()
})

await t.test('a call that takes too long does not cost the others their connection', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  await using relay = new Relay(etcd.endpoint)
  await using kv = await connectKv({
    ...{ endpoints: [await relay.listen()], clock, log: silentLog },
  })
  await kv.waitReady({ timeoutMs: 20_000 })
  etcd.pause()
  await t.rejects(kv.get('/a', { timeoutMs: 50 }))
  await t.rejects(kv.grantLease(5, { timeoutMs: 50 }))
  etcd.resume()
  await kv.waitReady({ timeoutMs: 20_000 })
  const { lease } = await kv.grantLease(5)
  t.ok((await kv.keepAlive(lease)) > 0)
  t.equal(relay.made, 1)
})

await t.test('a client that is closed has no connection', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  await using relay = new Relay(etcd.endpoint)
  const kv = await connectKv({ endpoints: [await relay.listen()], clock, log: silentLog })
  await kv.waitReady({ timeoutMs: 20_000 })
  t.equal(relay.open, 1)
  await kv.close()
  while (relay.open > 0) await clock.sleep(5)
  t.equal(relay.made, 1)
})
