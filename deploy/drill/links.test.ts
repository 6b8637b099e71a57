import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { BLACKHOLE, CLIENT, Links } from './links.ts'

/** The address of who answers every byte with the same. */
async function echo(test: Test): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).pipe(socket)
  })
  test.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = server.address()
  if (place === null || typeof place === 'string') throw new Error('no port')
  return `127.0.0.1:${place.port}`
}

async function dial(test: Test, address: string): Promise<Socket> {
  const [host = '', port = ''] = address.split(':')
  const socket = connect({ host, port: Number(port) })
  test.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Resolves when the answer has come. */
async function ask(socket: Socket): Promise<void> {
  socket.write('x')
  await once(socket, 'data')
}

t.test('a fault is put on whoever it is meant for, whenever they have dialled', async (t) => {
  const links = new Links()
  t.teardown(() => links.close())
  const [m, n] = await Promise.all(
    ['m', 'n'].map(async (id) => links.open({ id, address: await echo(t) })),
  )
  if (m === undefined || n === undefined) throw new Error('no address')
  const [toM, toN] = await Promise.all([dial(t, m), dial(t, n)])
  await Promise.all([ask(toM), ask(toN)])
  const cutOff = { from: CLIENT, to: 'm', fault: BLACKHOLE } as const
  await links.set([cutOff, { from: 'another', to: 'n', fault: BLACKHOLE }])
  let answers = 0
  const waiting = [toM, await dial(t, m)].map((socket) => ask(socket).then(() => void answers++))
  // Of those that are not meant, one was there before and one is dialled while it is looked up who dials.
  for (let i = 0; i < 4; i++) await Promise.all([ask(toN), dial(t, n).then(ask)])
  t.equal(answers, 0)
  await links.set([])
  await Promise.all(waiting)
  t.equal(answers, 2)
})

t.test('where it does not matter who dials, all are cut off at once', async (t) => {
  const links = new Links()
  t.teardown(() => links.close())
  const [m, n] = await Promise.all(
    ['m', 'n'].map(async (id) => links.open({ id, address: await echo(t) })),
  )
  if (m === undefined || n === undefined) throw new Error('no address')
  await links.set([{ from: 'any', to: 'm', fault: BLACKHOLE }])
  let isAnswered = false
  const waiting = ask(await dial(t, m)).then(() => (isAnswered = true))
  for (let i = 0; i < 4; i++) await dial(t, n).then(ask)
  t.notOk(isAnswered)
  await links.set([])
  await waiting
})
