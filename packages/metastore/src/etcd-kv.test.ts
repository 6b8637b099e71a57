import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { silentLog, systemClock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { Etcd3 } from 'etcd3'
import t from 'tap'
import { Catalog } from './catalog.ts'
import { openCluster } from './cluster.ts'
import { connectKv, type EtcdKv } from './etcd-kv.ts'
import { Keys } from './keys.ts'
import { EtcdProcess, findEtcd } from './testing/etcd-process.ts'
import { KvError } from './kv.ts'
import { Registration } from './registration.ts'
import { fails, failsKv } from './testing/failures.ts'
import { memberRecordOf, tableOf } from './testing/world.ts'
import { createDatabase, createRelation, dropDatabase } from './testing/catalog-verbs.ts'

const open = (endpoint: string): Promise<EtcdKv> =>
  connectKv({ endpoints: [endpoint], clock: systemClock, log: silentLog })
const put = { compares: [], success: [{ kind: 'put', key: '/a', value: 'x' }] } as const

/** A TCP relay in front of etcd that can swallow what comes back. */
class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  swallowReplies = false

  constructor(target: string) {
    const { hostname, port } = new URL(target)
    this.#server = createServer((inner) => {
      const outer = connect(Number(port), hostname)
      for (const socket of [inner, outer]) {
        this.#sockets.add(socket)
        socket.on('error', () => this.dropConnections())
        socket.on('close', () => {
          inner.destroy()
          outer.destroy()
        })
      }
      inner.on('data', (chunk) => outer.write(chunk))
      outer.on('data', (chunk) => {
        if (!this.swallowReplies) inner.write(chunk)
      })
    })
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return `http://127.0.0.1:${address.port}`
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

await t.test('an etcd that is not there is reported with its endpoints', async (t) => {
  await using kv = await open('http://127.0.0.1:1')
  try {
    await kv.waitReady({ timeoutMs: 500 })
    t.fail('ready')
  } catch (error) {
    t.ok(error instanceof SqlError)
    t.match(error, {
      error: 'metastore_unavailable',
      message: 'etcd does not answer at http://127.0.0.1:1 (waited 500 ms)',
    })
  }
  await failsKv(t, 'unavailable', kv.commitIf(put))
  await t.rejects(
    kv.waitReady({ timeoutMs: 9000, signal: AbortSignal.abort(new Error('enough')) }),
    {
      message: 'enough',
    },
  )
})

await t.test('a missing etcd binary is named with all the places looked at', async (t) => {
  t.throws(() => findEtcd({ NYALA_ETCD: '/nowhere' }), { message: /no etcd found.*\/nowhere/ })
})

await t.test(
  'a paused etcd makes reads fail, writes doubtful and watches break, in time',
  async (t) => {
    await using etcd = await EtcdProcess.start(process.env)
    await using kv = await open(etcd.endpoint)
    await kv.get('/a')
    const broken = new Promise<string>((resolve) => {
      kv.watch('/a', 1, {
        events: () => undefined,
        compacted: () => resolve('compacted'),
        disconnected: (error) => resolve(error.kind),
      })
    })
    const { lease } = await kv.grantLease(60)
    etcd.pause()
    // All of it comes to pass long before etcd goes on, or never.
    await Promise.all([
      failsKv(t, 'unavailable', kv.get('/a', { timeoutMs: 300 })),
      failsKv(t, 'unknownOutcome', kv.commitIf(put, { timeoutMs: 300 })),
      failsKv(t, 'unknownOutcome', kv.keepAlive(lease, { timeoutMs: 300 })),
    ])
    t.equal(await broken, 'unavailable')
    etcd.resume()
    await kv.waitReady({ timeoutMs: 5000 })
    t.ok((await kv.keepAlive(lease)) > 0)
  },
)

await t.test(
  'a catalog change whose reply was lost after it was applied is recognised',
  async (t) => {
    await using etcd = await EtcdProcess.start(process.env)
    await using relay = new Relay(etcd.endpoint)
    await using direct = await open(etcd.endpoint)
    await using relayed = await open(await relay.listen())
    const keys = new Keys('test')
    const on = { keys, clock: systemClock, log: silentLog }
    await openCluster({ ...on, kv: relayed })
    await using catalog = await Catalog.open({ ...on, kv: relayed })
    relay.swallowReplies = true
    const creating = createRelation(catalog, tableOf('default', 't'))
    const applied = async (): Promise<boolean> =>
      (await direct.get(keys.name('default', 't'))).item !== undefined
    while (!(await applied())) await systemClock.sleep(5)
    relay.swallowReplies = false
    relay.dropConnections()
    const { created, revision, record } = await creating
    t.equal(created, true)
    const head = (await direct.get(keys.table('default', record.id))).item
    t.equal(head?.createRevision, revision, 'at the revision of the lost attempt')
    t.equal(head?.modRevision, revision, 'and it was not done twice')
  },
)

await t.test('on etcd, one of two concurrent creations wins and both catalogs agree', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  await using kvA = await open(etcd.endpoint)
  await using kvB = await open(etcd.endpoint)
  const on = { keys: new Keys('test'), clock: systemClock, log: silentLog }
  await openCluster({ ...on, kv: kvA })
  await using a = await Catalog.open({ ...on, kv: kvA })
  await using b = await Catalog.open({ ...on, kv: kvB })
  for (let i = 0; i < 20; i++) {
    const table = tableOf('default', `t${i}`)
    const results = await Promise.allSettled([createRelation(a, table), createRelation(b, table)])
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    t.equal(won.length, 1)
    const revision = won[0]?.revision ?? 0
    for (const catalog of [a, b]) {
      const seen = (await catalog.atLeast(revision)).relation('default', `t${i}`)
      t.equal(seen?.record.id, won[0]?.record.id)
    }
  }
  const target = { database: 'default', name: 't0' }
  const updates = Array.from({ length: 20 }, (_, i) =>
    (i % 2 === 0 ? a : b).updateTable(target, (current) => ({
      ...current,
      snapshotId: current.snapshotId + 1,
    })),
  )
  const last = Math.max(...(await Promise.all(updates)).map(({ revision }) => revision))
  const { record } = (await b.atLeast(last)).relation('default', 't0') ?? {}
  t.ok(record?.kind === 'external' && record.snapshotId === 21, 'no update was lost')
  const { dropped } = await (async () => {
    await createDatabase(a, { name: 'd' })
    await createRelation(a, tableOf('d', 't'))
    return dropDatabase(b, 'd', { cascade: true })
  })()
  t.equal(dropped?.length, 1)
  t.equal((await kvA.range(on.keys.tables('d'))).items.length, 0)
})

await t.test(
  'endpoints of different clusters are refused before anything is written',
  async (t) => {
    await using ours = await EtcdProcess.start(process.env)
    await using other = await EtcdProcess.start(process.env)
    const endpoints = [ours.endpoint, other.endpoint]
    await using kv = await connectKv({ endpoints, clock: systemClock, log: silentLog })
    await fails(t, 'metastore_unavailable', kv.waitReady({ timeoutMs: 5000 }))
    await failsKv(t, 'misconfigured', kv.commitIf(put))
    for (const endpoint of endpoints) {
      await using alone = await open(endpoint)
      t.equal((await alone.get('/a')).item, undefined)
    }
  },
)

await t.test('a stray member that answers later is noticed by its answers', async (t) => {
  await using ours = await EtcdProcess.start(process.env)
  await using other = await EtcdProcess.start(process.env)
  await other.kill()
  const endpoints = [ours.endpoint, other.endpoint]
  await using kv = await connectKv({ endpoints, clock: systemClock, log: silentLog })
  await kv.waitReady({ timeoutMs: 5000 })
  await other.restart()
  const asked = async (): Promise<string> => {
    for (;;) {
      try {
        await kv.get('/a')
      } catch (error) {
        if (error instanceof KvError && error.kind !== 'unavailable') return error.kind
      }
      await systemClock.sleep(20)
    }
  }
  t.equal(await asked(), 'misconfigured')
})

await t.test(
  'DDL, membership and views outlive a member that hangs and the loss of the leader',
  async (t) => {
    const members = await EtcdProcess.startCluster(process.env, 3)
    t.teardown(() => Promise.all(members.map((member) => member[Symbol.asyncDispose]())))
    const endpoints = members.map((member) => member.endpoint)
    const options = { endpoints, clock: systemClock, log: silentLog }
    await using kv = await connectKv(options)
    await using otherKv = await connectKv(options)
    await kv.waitReady({ timeoutMs: 10_000 })
    const on = { keys: new Keys('test'), clock: systemClock, log: silentLog }
    await openCluster({ ...on, kv })
    await using catalog = await Catalog.open({ ...on, kv })
    await using other = await Catalog.open({ ...on, kv: otherKv })
    const losses: string[] = []
    const record = memberRecordOf('c1')
    const onLost = ({ reason }: { readonly reason: string }): unknown => losses.push(reason)
    const registration = new Registration({ ...on, kv, record, onLost })
    await registration.start()

    const acknowledged: string[] = []
    let slowestMs = 0
    const createSome = async (prefix: string, forMs: number): Promise<void> => {
      const end = systemClock.now() + forMs
      for (let i = 0; systemClock.now() < end; i++) {
        const began = systemClock.now()
        await createRelation(catalog, tableOf('default', `${prefix}${i}`))
        acknowledged.push(`${prefix}${i}`)
        slowestMs = Math.max(slowestMs, systemClock.now() - began)
      }
    }
    await createSome('calm', 300)
    const leader = await leaderOf(members)
    const follower = members.find((member) => member !== leader)
    follower?.pause()
    await createSome('paused', 2000)
    follower?.resume()
    await createSome('resumed', 500)
    await leader.kill()
    await createSome('killed', 3000)

    const snapshot = await other.atLeast(catalog.snapshot().revision)
    const seen = new Set(snapshot.relations('default').map((relation) => relation.record.name))
    t.same(
      acknowledged.filter((name) => !seen.has(name)),
      [],
    )
    t.equal(seen.size, acknowledged.length)
    t.comment(`${seen.size} tables, slowest ${Math.round(slowestMs)} ms, losses: ${losses.join()}`)
    t.ok(registration.incarnation !== undefined)
    await registration.stop()
  },
)

async function leaderOf(members: readonly EtcdProcess[]): Promise<EtcdProcess> {
  for (;;) {
    for (const member of members) {
      const client = new Etcd3({ hosts: member.endpoint })
      const status = await client.maintenance.status().finally(() => client.close())
      if (status.leader === status.header.member_id) return member
    }
  }
}
