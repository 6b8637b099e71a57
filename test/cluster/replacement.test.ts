import t from 'tap'
import { isAlive, openWorld, pidOf, until } from './world.ts'

t.test('an executor that hangs is replaced at the leader’s request', async (t) => {
  await using world = await openWorld({ coordinators: 2, executors: 2 })
  const { db, cluster } = world
  const hung = pidOf(cluster, 'e2')
  const expected = (await db.query('SELECT sum(id) AS s FROM events')).rows
  cluster.kill('e2', 'SIGSTOP')
  const answer = await db.query('SELECT sum(id) AS s FROM events')
  t.strictSame(answer.rows, expected, 'meanwhile the others answer')
  const servesAnew = async (): Promise<boolean> =>
    (await db.status()).members.some((m) => m.id === 'e2' && m.pid !== hung && m.state === 'alive')
  await until('another process serves as e2', servesAnew, 60_000)
  t.notOk(isAlive(hung), 'the one that hung can do no harm when it wakes')
})
