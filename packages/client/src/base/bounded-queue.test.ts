import t from 'tap'
import { BoundedQueue } from './bounded-queue.ts'

t.test('items come out in order, and the end after them', async (t) => {
  const queue = new BoundedQueue<number>(3)
  t.ok(queue.push(1))
  t.ok(queue.push(2))
  queue.end()
  const seen: number[] = []
  for await (const item of queue) seen.push(item)
  t.strictSame(seen, [1, 2])
})

t.test('a full or ended queue takes nothing', async (t) => {
  const queue = new BoundedQueue<number>(1)
  t.ok(queue.push(1))
  t.notOk(queue.push(2))
  queue.end()
  t.notOk(queue.push(3))
  t.equal(queue.size, 1)
})

t.test('a waiting reader gets the item, the end or the error', async (t) => {
  const queue = new BoundedQueue<number>(1)
  const first = queue.next()
  queue.push(7)
  t.strictSame(await first, { value: 7, done: false })
  const second = queue.next()
  queue.end(new Error('cut'))
  await t.rejects(second, { message: 'cut' })
  await t.rejects(queue.next(), { message: 'cut' }, 'and so does every later one')
})
