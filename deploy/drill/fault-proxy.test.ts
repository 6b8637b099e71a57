import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '@nyala/client/base'
import t, { type Test } from 'tap'
import { type Fault, FaultProxy, resetSocket } from './fault-proxy.ts'

/** A server that keeps what it hears, and a client of it, with a proxy between them. */
async function setUp(test: Test) {
  const heard: Buffer[] = []
  const accepted: Socket[] = []
  const server: Server = createServer((socket) => {
    accepted.push(socket)
    socket.on('data', (piece) => heard.push(piece))
    socket.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = server.address()
  if (place === null || typeof place === 'string') throw new Error('no port')
  let faults: readonly Fault[] = []
  const proxy = await FaultProxy.open({
    target: `127.0.0.1:${place.port}`,
    clock: systemClock,
    faultsOf: () => faults,
    whoIs: () => 'client',
  })
  const answers: Buffer[] = []
  const [host = '', port = ''] = proxy.address.split(':')
  const client = connect({ host, port: Number(port) })
  client.on('data', (piece) => answers.push(piece))
  client.on('error', () => undefined)
  await once(client, 'connect')
  await until(() => accepted.length === 1)
  test.teardown(async () => {
    client.destroy()
    for (const socket of accepted) socket.destroy()
    await proxy.close()
    server.close()
  })
  const text = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString('latin1')
  return {
    client,
    proxy,
    served: accepted[0] as Socket,
    set: (...now: readonly Fault[]): void => {
      faults = now
      proxy.update()
    },
    heard: () => text(heard),
    answers: () => text(answers),
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(2)
}

t.test(
  'a link that is cut one way passes the other, and what waited once it is healed',
  async (t) => {
    const link = await setUp(t)
    link.set({ kind: 'blackhole', way: 'to' })
    link.client.write('one ')
    link.served.write('answer')
    await until(() => link.answers() === 'answer')
    link.client.write('two')
    // The other way is in use meanwhile: had they been let through, they would be there.
    link.served.write('!')
    await until(() => link.answers() === 'answer!')
    t.equal(link.heard(), '')
    link.set()
    await until(() => link.heard() === 'one two')
    t.pass('nothing was lost, and all in order')
  },
)

t.test('who ends on one side of a blackhole is not known on the other', async (t) => {
  const link = await setUp(t)
  let ended = false
  link.served.once('end', () => (ended = true))
  link.set({ kind: 'blackhole', way: 'to' })
  link.client.end()
  link.served.write('x')
  await until(() => link.answers() === 'x')
  t.notOk(ended)
  link.set()
  await until(() => ended)
})

t.test('bytes on a slow link keep their order', async (t) => {
  const link = await setUp(t)
  link.set({ kind: 'delay', ms: 30 })
  const sent = Array.from({ length: 20 }, (_, i) => `${i};`)
  for (const piece of sent) {
    link.client.write(piece)
    await systemClock.sleep(1)
  }
  link.set()
  link.client.write('end')
  await until(() => link.heard().endsWith('end'))
  t.equal(link.heard(), `${sent.join('')}end`)
})

t.test('of so many large pieces one byte is another', async (t) => {
  const link = await setUp(t)
  const large = 'a'.repeat(1024 * 1024)
  link.set({ kind: 'corrupt', way: 'to', pieces: 2 })
  link.client.write('small')
  await until(() => link.heard() === 'small')
  link.client.write(large)
  await until(() => link.heard().length === 5 + large.length)
  const changed = [...link.heard().slice(5)].filter((one) => one !== 'a')
  t.equal(changed.length, 2)
  t.equal(link.proxy.spoilt, 2)
})

t.test('a cut link is reset, and so are new connections', async (t) => {
  const link = await setUp(t)
  link.set({ kind: 'cut' })
  await until(() => link.client.destroyed)
  const [host = '', port = ''] = link.proxy.address.split(':')
  const again = connect({ host, port: Number(port) })
  again.on('error', () => undefined)
  await until(() => again.destroyed)
  t.pass('nobody gets through')
})

/** A small WebSocket message of text, as a server sends it. */
const message = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text, 'latin1')])
const HEAD = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'

t.test('messages of a WebSocket come twice, and some once more later, each whole', async (t) => {
  const link = await setUp(t)
  link.set({ kind: 'double', way: 'back', lateMs: 20, lateEach: 2 })
  const sent = Buffer.concat([Buffer.from(HEAD), message('one'), message('two')])
  // Cut where no message ends.
  for (const part of [sent.subarray(0, 30), sent.subarray(30, -2), sent.subarray(-2)]) {
    link.served.write(part)
    await systemClock.sleep(2)
  }
  const text = (...texts: readonly string[]): string =>
    HEAD + Buffer.concat(texts.map(message)).toString('latin1')
  await until(() => link.answers().length === text('one', 'one', 'two', 'two', 'two').length)
  t.equal(link.answers(), text('one', 'one', 'two', 'two', 'two'))
  t.equal(link.proxy.spoilt, 2)
})

t.test(
  'so many large messages come after the next one, and none is kept from coming',
  async (t) => {
    const link = await setUp(t)
    link.set({ kind: 'reorder', way: 'back', messages: 1 })
    const large = (letter: string): Buffer => {
      const bytes = Buffer.alloc(10 + 70_000, letter)
      bytes.writeUInt8(0x82, 0)
      bytes.writeUInt8(127, 1)
      bytes.writeBigUInt64BE(70_000n, 2)
      return bytes
    }
    const letters = (): string =>
      link
        .answers()
        .replaceAll(/[^abc]/g, '')
        .replaceAll(/(.)\1+/g, '$1')
    const all = [large('a'), large('b'), large('c')]
    link.served.write(HEAD.replace('websocket', 'h2c'))
    link.served.write(Buffer.concat(all))
    const before = HEAD.length - 6
    await until(() => link.answers().length === before + 3 * 70_010)
    t.equal(letters().slice(-3), 'abc', 'what is no WebSocket keeps its order')
    const again = await setUp(t)
    again.set({ kind: 'reorder', way: 'back', messages: 1 })
    again.served.write(HEAD)
    again.served.write(Buffer.concat(all))
    await until(() => again.answers().length === HEAD.length + 3 * 70_010)
    const came = again.answers().slice(HEAD.length)
    const order = [5, 70_015, 140_025].map((at) => came[at + 10])
    t.same(order, ['b', 'a', 'c'])
  },
)

t.test('a large message that none follows waits a while and then comes', async (t) => {
  const link = await setUp(t)
  link.set({ kind: 'reorder', way: 'back', messages: 1 })
  const one = Buffer.concat([Buffer.from([0x82, 126, 0x80, 0x00]), Buffer.alloc(0x8000, 'a')])
  link.served.write(HEAD)
  link.served.write(one)
  await until(() => link.answers().length === HEAD.length + one.byteLength)
  link.served.write(Buffer.concat([one, message('b'), one, message('c')]))
  await until(() => link.answers().endsWith('c'))
  const rest = link.answers().slice(HEAD.length + one.byteLength)
  const [b, aa, c] = ['b', 'a', 'c'].map((letter) => rest.indexOf(letter)) as [
    number,
    number,
    number,
  ]
  t.ok(b < aa && aa < c, 'the first was passed, the second was not')
  t.equal(link.proxy.spoilt, 1)
})

t.test(
  'a connection that is reset while its end is under way is closed all the same',
  async (t) => {
    const server = createServer({ pauseOnConnect: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const place = server.address()
    if (place === null || typeof place === 'string') throw new Error('no port')
    const client = connect({ host: '127.0.0.1', port: place.port })
    const [[accepted]] = (await Promise.all([
      once(server, 'connection'),
      once(client, 'connect'),
    ])) as [[Socket], unknown]
    accepted.on('error', () => undefined)
    client.end('the system is asked to end it in the next turn')
    const closed = once(client, 'close')
    resetSocket(client)
    await closed
    t.equal(client.destroyed, true)
    accepted.destroy()
    server.close()
    await once(server, 'close')
  },
)
