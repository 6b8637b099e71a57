import { Prng } from '@nyala/client/base'
import t from 'tap'
import { Homes, rendezvous } from './homes.ts'
import {
  AFFINITY_SLACK,
  type ExecutorState,
  loadOf,
  Placement,
  type TaskWish,
} from './placement.ts'

const executor = (id: string, state: Partial<ExecutorState> = {}): ExecutorState => ({
  id,
  threads: 2,
  slots: 4,
  tasksRunning: 0,
  memoryReservedBytes: 0,
  memoryLimitBytes: 1000,
  queuedBytes: 0,
  draining: false,
  ...state,
})

const placeTask = (executors: readonly ExecutorState[], wish: TaskWish): string | undefined =>
  Placement.of(executors).place(wish)

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

t.test(
  'a full or draining executor takes nothing, nor does one that is not accepted',
  async (t) => {
    const full = executor('full', { tasksRunning: 4 })
    const draining = executor('draining', { draining: true })
    t.equal(placeTask([full, draining], {}), undefined)
    t.equal(placeTask([], {}), undefined)
    const accepts = (id: string): boolean => id !== 'a'
    const others = [executor('a'), executor('b', { tasksRunning: 3 }), full, draining]
    t.equal(placeTask(others, { accepts }), 'b')
    t.equal(placeTask(others, { accepts, avoid: new Set(['b']) }), 'b')
    t.equal(placeTask([executor('a'), full], { accepts, affinity: 'f' }), undefined)
  },
)

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

/** The same choice by looking at all executors. */
function leastLoaded(states: readonly ExecutorState[], accepts: (id: string) => boolean): number {
  const open = states.filter((e) => !e.draining && e.tasksRunning < e.slots && accepts(e.id))
  return Math.min(...open.map((e) => loadOf(e) / e.slots))
}

t.test('through changes of any kind the choice is as among all executors', async (t) => {
  const random = new Prng(11)
  for (const size of [1, 3, 40, 300]) {
    const placement = new Placement()
    const states = new Map<string, ExecutorState>()
    for (let step = 0; step < 2_000; step++) {
      const id = `e${random.below(size)}`
      if (random.chance(0.1)) {
        placement.remove(id)
        states.delete(id)
      } else {
        const state = executor(id, {
          tasksRunning: random.below(6),
          slots: random.below(4) + 3,
          queuedBytes: random.below(3) * 8 * 1024 * 1024,
          draining: random.chance(0.05),
        })
        placement.set(state)
        states.set(id, state)
      }
      const refused = new Set(
        Array.from({ length: random.below(size) }, () => `e${random.below(size)}`),
      )
      const accepts = (name: string): boolean => !refused.has(name)
      const least = leastLoaded([...states.values()], accepts)
      const chosen = placement.place({ accepts })
      const state = states.get(chosen ?? '')
      const load = state === undefined ? Number.POSITIVE_INFINITY : loadOf(state) / state.slots
      if (load !== least) t.fail('another one is less loaded', { size, step, chosen, load, least })
      const affinity = `f${step}`
      const near = states.get(placement.place({ accepts, affinity }) ?? '')
      const slack = near === undefined ? 0 : AFFINITY_SLACK / near.slots
      const nearLoad = near === undefined ? Number.POSITIVE_INFINITY : loadOf(near) / near.slots
      if (nearLoad > least + slack) t.fail('beyond the slack', { size, step, nearLoad, least })
    }
    t.equal(placement.size, states.size)
    t.equal(placement.states().length, states.size)
  }
})

t.test(
  'homes of many executors are spread, few move, and their order does not matter',
  async (t) => {
    const ids = Array.from({ length: 200 }, (_, i) => `executor-${i}`)
    const [homes, reversed] = [new Homes(), new Homes()]
    for (const id of ids) homes.add(id)
    for (const id of ids.toReversed()) reversed.add(id)
    const keys = Array.from({ length: 20_000 }, (_, i) => `/data/part-${i}.parquet`)
    const first = keys.map((key) => homes.of(key)[0])
    t.same(
      keys.map((key) => reversed.of(key)[0]),
      first,
    )
    const shares = ids.map((id) => first.filter((home) => home === id).length)
    t.ok(Math.max(...shares) < 200, `at most ${Math.max(...shares)} of 100`)
    homes.remove('executor-7')
    const moved = keys.filter(
      (key, i) => homes.of(key)[0] !== first[i] && first[i] !== 'executor-7',
    )
    t.equal(moved.length, 0, 'only what had its home there moves')
    homes.remove('nobody')
    t.equal(new Set(homes.of('key')).size, homes.of('key').length)
  },
)
