import { Prng } from '@nyala/client/base'
import t from 'tap'
import { AFFINITY_SLACK, type ExecutorState, loadOf, placeTask, rendezvous } from './placement.ts'

const executor = (id: string, state: Partial<ExecutorState> = {}): ExecutorState => ({
  id,
  slots: 4,
  tasksRunning: 0,
  memoryReservedBytes: 0,
  memoryLimitBytes: 1000,
  queuedBytes: 0,
  draining: false,
  ...state,
})

t.test('the least loaded executor takes a task without affinity', async (t) => {
  const executors = [
    executor('a', { tasksRunning: 2 }),
    executor('b', { tasksRunning: 1 }),
    executor('c', { tasksRunning: 3 }),
  ]
  t.equal(placeTask(executors, {}), 'b')
})

t.test('load is relative to slots', async (t) => {
  const executors = [
    executor('small', { slots: 2, tasksRunning: 1 }),
    executor('large', { slots: 8, tasksRunning: 3 }),
  ]
  t.equal(placeTask(executors, {}), 'large')
})

t.test('reserved memory and bytes that wait to be sent count as load', async (t) => {
  const busy = executor('a', { memoryReservedBytes: 500 })
  const sending = executor('b', { queuedBytes: 64 * 1024 * 1024 })
  t.equal(loadOf(busy), 2)
  t.equal(loadOf(sending), 4)
  t.equal(loadOf(executor('c', { memoryLimitBytes: 0, memoryReservedBytes: 5 })), 0)
  t.equal(placeTask([busy, sending], {}), 'a')
  t.equal(placeTask([busy, sending, executor('c', { tasksRunning: 1 })], {}), 'c')
})

t.test('a full or draining executor takes nothing; overcommit ignores full alone', async (t) => {
  const full = executor('full', { tasksRunning: 4 })
  const draining = executor('draining', { draining: true })
  t.equal(placeTask([full, draining], {}), undefined)
  t.equal(placeTask([full, draining], {}, true), 'full')
  t.equal(placeTask([], {}, true), undefined)
})

t.test('avoided executors are taken only when no other is left', async (t) => {
  const avoid = new Set(['a'])
  t.equal(placeTask([executor('a'), executor('b', { tasksRunning: 3 })], { avoid }), 'b')
  t.equal(placeTask([executor('a'), executor('b', { tasksRunning: 4 })], { avoid }), 'a')
  t.equal(placeTask([executor('a'), executor('b', { draining: true })], { avoid }), 'a')
})

t.test('the same file goes to the same executor while loads are within the slack', async (t) => {
  const idle = [executor('a'), executor('b'), executor('c')]
  for (let i = 0; i < 50; i++) {
    const affinity = `/data/f${i}.parquet`
    const home = placeTask(idle, { affinity })
    const slightlyBusy = idle.map((e) =>
      e.id === home ? { ...e, tasksRunning: AFFINITY_SLACK } : e,
    )
    t.equal(placeTask(slightlyBusy, { affinity }), home, 'within the slack')
    const busy = idle.map((e) => (e.id === home ? { ...e, tasksRunning: AFFINITY_SLACK + 1 } : e))
    t.not(placeTask(busy, { affinity }), home, 'beyond the slack')
  }
})

t.test('files are spread over executors, and few move when one is gone', async (t) => {
  const executors = ['a', 'b', 'c', 'd'].map((id) => executor(id))
  const files = Array.from({ length: 400 }, (_, i) => `/data/part-${i}.parquet`)
  const homes = files.map((affinity) => placeTask(executors, { affinity }))
  for (const { id } of executors) {
    const share = homes.filter((home) => home === id).length
    t.ok(share > 60 && share < 140, `${id} has ${share} of 400`)
  }
  const without = executors.filter((e) => e.id !== 'd')
  files.forEach((affinity, i) => {
    const now = placeTask(without, { affinity })
    if (homes[i] !== 'd' && now !== homes[i]) t.fail(`${affinity} moved from ${homes[i]} to ${now}`)
  })
})

t.test('the choice does not depend on the order in which executors are known', async (t) => {
  const random = new Prng(7)
  for (let i = 0; i < 200; i++) {
    const executors = ['a', 'b', 'c'].map((id) =>
      executor(id, { tasksRunning: random.below(4), slots: random.below(4) + 3 }),
    )
    const affinity = random.chance(0.5) ? `f${i}` : undefined
    const chosen = placeTask(executors, { affinity })
    if (placeTask(executors.toReversed(), { affinity }) !== chosen)
      t.fail('differs when reversed', { executors, affinity })
  }
})

t.test('ranks are 32 bit numbers that differ by either name', async (t) => {
  t.equal(rendezvous('f', 'a'), rendezvous('f', 'a'))
  t.not(rendezvous('f', 'a'), rendezvous('f', 'b'))
  t.not(rendezvous('f', 'a'), rendezvous('g', 'a'))
  t.not(rendezvous('ab', 'c'), rendezvous('a', 'bc'), 'the names are told apart')
  t.ok(rendezvous('ü', 'a') >= 0 && rendezvous('ü', 'a') < 2 ** 32)
})
