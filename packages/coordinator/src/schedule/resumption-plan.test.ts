import type { TaskSpec } from '@nyala/executor/protocol'
import t from 'tap'
import { attemptUnder, type HeldAt, planResumption } from './resumption-plan.ts'

const spec = (task: number): TaskSpec => ({ queryId: 'q', task }) as TaskSpec
const held = (...entries: readonly (readonly [number, HeldAt])[]) => {
  const map = new Map<number, HeldAt[]>()
  for (const [task, at] of entries) map.set(task, [...(map.get(task) ?? []), at])
  return map
}
const at = (executor: string, attempt: number, firstFrame = 0): HeldAt => ({
  executor,
  attempt,
  firstFrame,
})
const end = (task: number) => ({ task, attempt: 0, frames: 4, rows: 3, crc: 1 })
const kinds = (plan: ReturnType<typeof planResumption>): readonly unknown[] =>
  plan.map((one) =>
    one.kind === 'resume'
      ? [one.spec.task, one.executor, one.attempt, one.fromFrame]
      : [one.spec.task, one.kind],
  )

t.test('each task goes on from where the client is, on who holds it', async (t) => {
  const plan = planResumption({
    tasks: [spec(1), spec(2), spec(3), spec(4)],
    place: [
      { task: 1, attempt: 0, frames: 7 },
      { task: 2, attempt: 3, frames: 1 },
    ],
    ended: [end(4)],
    held: held([1, at('e1', 0, 5)], [2, at('e2', 4)], [3, at('e1', 0)]),
  })
  t.same(kinds(plan), [
    [1, 'e1', 0, 7],
    [2, 'e2', 4, 0],
    [3, 'e1', 0, 0],
  ])
})

t.test('rows are never mixed of two attempts, nor is a gap left', async (t) => {
  const one = (frames: number, ...results: readonly HeldAt[]): readonly unknown[] =>
    kinds(
      planResumption({
        tasks: [spec(1)],
        place: [{ task: 1, attempt: 2, frames }],
        ended: [],
        held: held(...results.map((result) => [1, result] as const)),
      }),
    )
  t.same(one(5, at('e1', 3), at('e2', 2, 5)), [[1, 'e2', 2, 5]])
  t.same(one(5, at('e1', 3)), [[1, 'runAgain']], 'another attempt may have another order')
  t.same(one(5, at('e1', 2, 6)), [[1, 'runAgain']], 'frame 5 is gone')
  t.same(one(5), [[1, 'runAgain']])
  t.same(one(1), [[1, 'runAgain']], 'of the schema alone no row was seen')
  t.same(one(1, at('e1', 0), at('e2', 7)), [[1, 'e2', 7, 0]], 'the newest attempt')
})

t.test('a client that has nothing is not given a part', async (t) => {
  const one = (...results: readonly HeldAt[]): readonly unknown[] =>
    kinds(
      planResumption({
        tasks: [spec(1)],
        place: [],
        ended: [],
        held: held(...results.map((result) => [1, result] as const)),
      }),
    )
  t.same(one(at('e1', 0, 0)), [[1, 'e1', 0, 0]])
  t.same(one(at('e1', 0, 1)), [[1, 'runAgain']], 'its schema is gone')
  t.same(one(at('e1', 0, 9)), [[1, 'runAgain']], 'somebody else was given its rows')
  t.same(one(), [[1, 'runAgain']])
})

t.test('no two owners give one number to two attempts', async (t) => {
  const seen = new Set<number>()
  for (const epoch of [1, 2, 17, 18, 100_000]) {
    for (let tried = 0; tried < 5; tried++) seen.add(attemptUnder(epoch, tried))
  }
  t.equal(seen.size, 25)
  for (const attempt of seen) t.ok(attempt > 100, 'those of the first owner begin at 0')
  t.ok(attemptUnder(2 ** 50, 400) < 2 ** 32)
})
