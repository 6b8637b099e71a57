import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { LOOPBACK, PortClaims } from './ports.ts'

t.test(
  'a port that one cluster has chosen no other one chooses until it gives it free',
  async (t) => {
    const first = new PortClaims()
    const taken = new Set(await first.choose(200))
    t.equal(taken.size, 200)
    const others = Array.from({ length: 10 }, () => new PortClaims())
    const chosen = (await Promise.all(others.map((one) => one.choose(100)))).flat()
    t.equal(new Set(chosen).size, 1_000, 'nor do those that choose at the same time')
    t.notOk(chosen.some((port) => taken.has(port)))
    for (const one of others) one.release()
    first.release()
    const again = new PortClaims()
    const free = [...taken].slice(0, 3).map((port) => ({ id: 'c1', port }))
    await again.require(free)
    again.release()
  },
)

t.test('a port that something listens on is refused by the name of its member', async (t) => {
  const server = createServer()
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const claims = new PortClaims()
  await t.rejects(claims.require([{ id: 'e2', port }]), {
    message: new RegExp(`port ${port} of "e2"`),
  })
  server.close()
  await once(server, 'close')
  await claims.require([{ id: 'e2', port }])
  claims.release()
})
