import { once } from 'node:events'
import { request } from 'node:http'
import { createConnection, createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import WebSocket from 'ws'
import { systemClock } from '../base/clock.ts'
import { deferred } from '../base/deferred.ts'
import { s } from '../base/index.ts'
import { silentLog } from '../base/log.ts'
import { CLOSE, Connection, type Transport } from './connection.ts'
import { dial, isAddress } from './dial.ts'
import { MESSAGE_BYTES_MAX } from './limits.ts'
import { type Listener, listen } from './listen.ts'

const schema = s.union({ say: s.object({ kind: s.literal('say'), text: s.string }) })
type Say = { readonly kind: 'say'; readonly text: string }

/** Serves `/echo`, where what is said is said back. */
async function serveEcho(): Promise<
  Listener & { readonly closes: { code: number; reason: string }[] }
> {
  const closes: { code: number; reason: string }[] = []
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    health: () => ({ state: 'fine' }),
    paths: {
      '/echo': (transport) => {
        const connection: Connection<Say, Say> = new Connection<Say, Say>(transport, {
          schema,
          clock: systemClock,
          log: silentLog,
          onMessage: (message) => connection.send(message),
          onClose: (code, reason) => closes.push({ code, reason }),
        })
      },
    },
  })
  return Object.assign(listener, { closes })
}

function speak(transport: Transport) {
  const closed = deferred<{ code: number; reason: string }>()
  const messages: Say[] = []
  let onNext = deferred<Say>()
  const connection = new Connection<Say, Say>(transport, {
    schema,
    clock: systemClock,
    log: silentLog,
    onMessage(message) {
      messages.push(message)
      onNext.resolve(message)
      onNext = deferred<Say>()
    },
    onClose: (code, reason) => closed.resolve({ code, reason }),
  })
  return { connection, messages, closed: closed.promise, next: () => onNext.promise }
}

t.test('a dialled connection carries messages both ways', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  const { connection, next } = speak(await dial(listener.address, '/echo'))
  connection.send({ kind: 'say', text: 'grüß dich 😀' })
  t.strictSame(await next(), { kind: 'say', text: 'grüß dich 😀' })
  connection.close()
})

t.test('what one connection sends wrongly closes it and harms no other', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  const good = speak(await dial(listener.address, '/echo'))
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{broken', /message is not JSON/],
    ['{"kind":"sing"}', /unknown kind "sing"/],
    ['{"kind":"say","text":"x","more":1}', /message.more: unknown field/],
  ]
  for (const [text, reason] of wrong) {
    const transport = await dial(listener.address, '/echo')
    const bad = speak(transport)
    transport.send(text)
    t.match(await bad.closed, { code: CLOSE.protocolError, reason })
  }
  good.connection.send({ kind: 'say', text: 'still here' })
  t.strictSame(await good.next(), { kind: 'say', text: 'still here' })
  good.connection.close()
})

t.test('a message beyond the limit closes its connection as too large', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  const socket = new WebSocket(`ws://${listener.address}/echo`)
  await once(socket, 'open')
  socket.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1))
  const [code] = await once(socket, 'close')
  t.equal(code, CLOSE.tooLarge)
  const other = speak(await dial(listener.address, '/echo'))
  other.connection.send({ kind: 'say', text: 'alive' })
  t.match(await other.next(), { text: 'alive' })
  other.connection.close()
})

t.test('messages that come before the connection is made are kept for it', async (t) => {
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    health: () => ({}),
    paths: { '/first': (transport) => transport.send('{"kind":"say","text":"first"}') },
  })
  t.teardown(() => listener.close())
  const transport = await dial(listener.address, '/first')
  // Long enough for the message to have arrived: a second connection has been made and has said its own.
  speak(await dial(listener.address, '/first'))
  await getStatus(listener.address, '/health')
  const { next } = speak(transport)
  t.match(await next(), { text: 'first' })
})

/** Status of a page, once all of it has come. */
function getStatus(address: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`http://${address}${path}`, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
    })
      .on('error', reject)
      .end()
  })
}

t.test('health is answered, and any other page is not found', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  t.equal(await getStatus(listener.address, '/health'), 200)
  t.equal(await getStatus(listener.address, '/other'), 404)
})

t.test('a WebSocket on an unknown path is refused', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  await t.rejects(dial(listener.address, '/constructor'), {
    error: 'connection_failure',
    message: /404/,
  })
})

t.test('a dial names the address that it could not reach', async (t) => {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  free.close()
  await once(free, 'close')
  await t.rejects(dial(`127.0.0.1:${port}`, '/echo'), {
    error: 'connection_failure',
    code: '08006',
    message: new RegExp(`cannot connect to 127.0.0.1:${port}: .*ECONNREFUSED`),
  })
  await t.rejects(dial('not an address', '/'), { code: '08006' })
})

t.test('a dial gives up on a process that accepts and says nothing', async (t) => {
  const mute = createServer().listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => mute.close())
  const { port } = mute.address() as AddressInfo
  await t.rejects(dial(`127.0.0.1:${port}`, '/', { timeoutMs: 50 }), {
    error: 'connection_failure',
    message: /timed out/,
  })
})

t.test('a dial ends with its signal', async (t) => {
  const mute = createServer().listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => mute.close())
  const address = `127.0.0.1:${(mute.address() as AddressInfo).port}`
  await t.rejects(dial(address, '/', { signal: AbortSignal.abort(new Error('never mind')) }), {
    message: 'never mind',
  })
  const controller = new AbortController()
  const dialled = dial(address, '/', { signal: controller.signal })
  controller.abort(new Error('enough'))
  await t.rejects(dialled, { message: 'enough' })
})

t.test('closing a listener ends its connections and frees its port', async (t) => {
  const listener = await serveEcho()
  const { closed } = speak(await dial(listener.address, '/echo'))
  await listener.close()
  t.equal((await closed).code, 1006)
  await listener.close()
  const port = Number(listener.address.split(':')[1])
  const again = await listen({ host: '127.0.0.1', port, health: () => ({}), paths: {} })
  t.equal(again.address, listener.address)
  await t.rejects(listen({ host: '127.0.0.1', port, health: () => ({}), paths: {} }), {
    code: 'EADDRINUSE',
  })
  await again.close()
})

t.test('a socket that is reset on an unknown path does no harm', async (t) => {
  const listener = await serveEcho()
  t.teardown(() => listener.close())
  const [host = '', port = ''] = listener.address.split(':')
  const raw = createConnection({ host, port: Number(port) })
  await once(raw, 'connect')
  raw.write(
    'GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  raw.resetAndDestroy()
  const { connection, next } = speak(await dial(listener.address, '/echo'))
  connection.send({ kind: 'say', text: 'alive' })
  t.match(await next(), { text: 'alive' })
  connection.close()
})

t.test('a writer waits for a slow reader and goes on when it has read', async (t) => {
  const serving = deferred<Transport>()
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    health: () => ({}),
    paths: {
      '/bulk': (transport) => {
        transport.start({ onText() {}, onBinary() {}, onClose() {} })
        serving.resolve(transport)
      },
    },
  })
  t.teardown(() => listener.close())
  const client = await dial(listener.address, '/bulk')
  const server = await serving.promise
  await server.drained()
  t.pass('a socket with nothing to send has drained')
  const chunk = new Uint8Array(1024 * 1024)
  for (let i = 0; i < 32; i++) server.send(chunk)
  t.ok(server.bufferedBytes > 8 * 1024 * 1024, 'nobody reads yet')
  const drained = server.drained()
  let received = 0
  const all = deferred<void>()
  client.start({
    onText() {},
    onBinary(bytes) {
      received += bytes.byteLength
      if (received === 32 * chunk.byteLength) all.resolve()
    },
    onClose() {},
  })
  await drained
  await all.promise
  t.equal(server.bufferedBytes, 0)
})

t.test('an address is a host and a port', async (t) => {
  for (const text of ['here:1', '10.0.0.1:65535', '[::1]:7700', 'node-1.example.org:80']) {
    t.ok(isAddress(text), text)
  }
  for (const text of [
    '',
    'here',
    'here:',
    'here:0',
    'here:65536',
    ':1',
    'a b:1',
    '::1:1',
    'a/b:1',
  ]) {
    t.notOk(isAddress(text), text)
  }
})
