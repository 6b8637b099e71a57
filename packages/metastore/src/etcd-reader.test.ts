import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { deferred, silentLog, systemClock } from '@nyala/client/base'
import t from 'tap'
import { connectKv } from './etcd-kv.ts'
import type { RangeAnswer } from './etcd-range.ts'
import { EtcdReader } from './etcd-reader.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { failsKv } from './testing/failures.ts'

const clock = systemClock
const KEY = Buffer.from('/a')

/** Asks until a member is at hand. */
async function whenReady(reader: EtcdReader): Promise<RangeAnswer> {
  for (;;) {
    const answer = reader.get(KEY, 2_000)
    if (answer !== undefined) return answer
    await clock.sleep(5)
  }
}

/** Of a member that is at hand. */
async function ask(reader: EtcdReader, key: Buffer, timeoutMs: number): Promise<RangeAnswer> {
  const answer = reader.get(key, timeoutMs)
  if (answer === undefined) throw new Error('no member is at hand')
  return answer
}

await t.test('what is read often is what is read otherwise', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  await using kv = await connectKv({ endpoints: [etcd.endpoint], clock, log: silentLog })
  const reader = new EtcdReader({ endpoints: [etcd.endpoint], clock })
  t.teardown(() => reader.close())
  t.equal(reader.get(KEY, 100), undefined, 'nobody waits for a connection')
  t.same((await whenReady(reader)).kvs, [])
  const { lease } = await kv.grantLease(60)
  const value = 'ä'.repeat(100_000)
  const success = [{ kind: 'put', key: '/a', value, lease }] as const
  for (let i = 0; i < 3; i++) await kv.commitIf({ compares: [], success })
  // The connection is made by the first of them.
  for (let i = 0; i < 3; i++) {
    t.same(await kv.get('/a', { often: true }), await kv.get('/a'))
    await whenReady(reader)
  }
  const answers = await Promise.all(Array.from({ length: 20 }, () => whenReady(reader)))
  t.ok(answers.every(({ kvs: [item] }) => item?.value.toString() === value))
})

await t.test('a member that hangs or is gone is left, and comes back', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const reader = new EtcdReader({ endpoints: ['http://127.0.0.1:1', etcd.endpoint], clock })
  t.teardown(() => reader.close())
  await whenReady(reader)
  etcd.pause()
  const failing = [ask(reader, KEY, 100), ask(reader, KEY, 100)]
  for (const one of failing) await t.rejects(one)
  t.equal(reader.get(KEY, 100), undefined, 'it rests')
  etcd.resume()
  await whenReady(reader)
  await etcd.kill()
  const gone = reader.get(KEY, 2_000)
  if (gone !== undefined) await t.rejects(gone)
  await etcd.restart()
  await whenReady(reader)
})

await t.test('a member that accepts and is silent is left, and tried again', async (t) => {
  const again = deferred<void>()
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined).resume()
    if (sockets.push(socket) === 2) again.resolve()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const reader = new EtcdReader({ endpoints: [`http://127.0.0.1:${port}`], clock })
  t.teardown(() => server.close())
  let isAgain = false
  void again.promise.then(() => (isAgain = true))
  while (!isAgain) {
    // Only asking makes it try.
    if (reader.get(KEY, 100) !== undefined) t.fail('nobody has answered')
    await clock.sleep(100)
  }
  t.equal(sockets.length, 2)
  reader.close()
  for (const socket of sockets) socket.destroy()
})

await t.test('what a member refuses is told in its words', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const reader = new EtcdReader({ endpoints: [etcd.endpoint], clock })
  await whenReady(reader)
  await t.rejects(ask(reader, Buffer.alloc(0), 2_000), /key is not provided/)
  reader.close()
  t.equal(reader.get(KEY, 100), undefined)
  const kv = await connectKv({ endpoints: [etcd.endpoint], clock, log: silentLog })
  await kv.get('/a', { often: true })
  await kv.close()
  await failsKv(t, 'closed', kv.get('/a', { often: true }))
})
