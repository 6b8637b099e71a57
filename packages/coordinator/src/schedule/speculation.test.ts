import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { type ExecutorState, Placement } from './placement.ts'
import { Pace, planTwins } from './speculation.ts'
import {
  isDone,
  newStage,
  onExecutorsLost,
  onTaskFailed,
  planDispatch,
  type StageState,
  type TaskResult,
  toFinished,
  toRunning,
  toSole,
  toTwin,
} from './stage.ts'

const executor = (id: string, state: Partial<ExecutorState> = {}): ExecutorState => ({
  id,
  threads: 1,
  slots: 4,
  tasksRunning: 0,
  memoryReservedBytes: 0,
  memoryLimitBytes: 0,
  queuedBytes: 0,
  draining: false,
  ...state,
})

const result = (elapsedMs = 10): TaskResult => ({
  rows: 1,
  segments: [],
  statistics: {
    elapsedMs,
    cpuMs: 0,
    rows: 1,
    bytes: 0,
    peakMemoryBytes: 0,
    spillBytes: 0,
    pulledBytes: 0,
  },
  profile: undefined,
})

const lost = new SqlError('executor_lost', 'executor a was lost')

/** A pace of which something was heard every so many milliseconds until then. */
function paceOf(everyMs: number, untilMs: number): Pace {
  const pace = new Pace(0)
  for (let ms = everyMs; ms <= untilMs; ms += everyMs) pace.tick(ms)
  return pace
}

const runningOn = (...executors: readonly string[]): StageState =>
  executors.reduce(
    (stage, id, task) => toRunning(stage, { task, attempt: 0, executor: id }),
    newStage(executors.map(() => undefined)),
  )

t.test('an attempt is behind when it is told of seldom, or not any more', async (t) => {
  t.notOk(new Pace(0).isBehind(900), 'a young one is not judged')
  t.ok(new Pace(0).isBehind(1_100), 'never heard of')
  for (const ms of [1_000, 5_000, 60_000]) {
    t.notOk(paceOf(100, ms).isBehind(ms), `told of as it should be for ${ms} ms`)
    t.notOk(paceOf(200, ms).isBehind(ms), 'half as often is a busy machine')
    t.ok(paceOf(500, ms).isBehind(ms + 1), 'a fifth as often is not')
  }
  t.notOk(paceOf(100, 5_000).isBehind(6_500))
  t.ok(paceOf(100, 5_000).isBehind(7_100), 'silent after it had been told of well')
})

t.test('a task that does not get on begins again elsewhere, where there is room', async (t) => {
  const stage = runningOn('slow', 'a')
  const paces = [new Pace(0), paceOf(100, 3_000)]
  const twins = (executors: readonly ExecutorState[], state = stage): readonly unknown[] =>
    planTwins(state, Placement.of(executors), {
      ms: 3_000,
      runner: (task) => {
        const pace = paces[task]
        return pace && { pace, mayBeTwo: true }
      },
    })
  const slow = executor('slow', { tasksRunning: 1 })
  t.same(twins([slow, executor('b')]), [{ task: 0, attempt: 1, executor: 'b' }])
  t.same(twins([slow]), [], 'never where it is')
  t.same(twins([slow, executor('b', { tasksRunning: 4 })]), [], 'no slot is free')
  t.same(twins([slow, executor('b', { draining: true })]), [], 'nobody else takes tasks')
  const two = toTwin(stage, { task: 0, attempt: 1, executor: 'b' })
  t.same(twins([slow, executor('c')], two), [], 'two are enough')
  const more = { ...stage, tasks: [...stage.tasks, ...newStage([undefined]).tasks] }
  t.same(twins([slow, executor('b')], more), [], 'what has not begun comes first')
})

t.test('a task that takes much longer than its peers begins again, too', async (t) => {
  let stage = runningOn('slow', 'a', 'b')
  for (const task of [1, 2]) stage = toFinished(stage, task, result(1_000))
  const twins = (ms: number): readonly unknown[] =>
    planTwins(stage, Placement.of([executor('slow'), executor('a')]), {
      ms,
      runner: () => ({ pace: paceOf(100, ms), mayBeTwo: true }),
    })
  t.same(twins(3_500), [])
  t.same(twins(4_500), [{ task: 0, attempt: 1, executor: 'a' }])
})

t.test('frames of a result that have come are those of its only attempt', async (t) => {
  const plan = planTwins(runningOn('slow'), Placement.of([executor('a')]), {
    ms: 5_000,
    runner: () => ({ pace: new Pace(0), mayBeTwo: false }),
  })
  t.same(plan, [])
})

t.test('of two attempts one that fails leaves the other', async (t) => {
  const two = toTwin(runningOn('slow'), { task: 0, attempt: 1, executor: 'a' })
  for (const [attempt, left] of [
    [0, { attempt: 1, executor: 'a' }],
    [1, { attempt: 0, executor: 'slow' }],
  ] as const) {
    const outcome = onTaskFailed(two, 0, { error: lost, delivered: false, attempt })
    if (outcome.kind !== 'retry') throw new Error('the other goes on')
    t.match(outcome.stage.tasks[0], { kind: 'running', ...left, twin: undefined })
    const next = onTaskFailed(outcome.stage, 0, { error: lost, delivered: false })
    if (next.kind !== 'retry') throw new Error('there are attempts left')
    t.match(next.stage.tasks[0], { kind: 'pending', attempt: 2 }, 'no number is used twice')
  }
})

t.test('a task is finished by the attempt that was through, under its name', async (t) => {
  const two = toTwin(runningOn('slow'), { task: 0, attempt: 1, executor: 'a' })
  const done = toFinished(toSole(two, 0, 0), 0, result())
  t.match(done.tasks[0], { kind: 'finished', attempt: 0, executor: 'slow' })
  t.match(onExecutorsLost(done, new Set(['slow'])).tasks[0], { kind: 'pending', attempt: 2 })
  const other = toFinished(toSole(two, 0, 1), 0, result())
  t.match(other.tasks[0], { kind: 'finished', attempt: 1, executor: 'a' })
})

t.test('whatever fails and whoever wins, each attempt has a number of its own', async (t) => {
  let twinsBegun = 0
  let doubled = 0
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed)
    const ids = ['a', 'b', 'c']
    const begun = new Set<string>()
    let stage = newStage([undefined, undefined, undefined, undefined])
    const begin = (task: number, attempt: number): void => {
      const name = `${task}/${attempt}`
      if (begun.has(name)) doubled++
      begun.add(name)
    }
    let steps = 0
    while (!isDone(stage) && steps++ < 1_000) {
      const placement = Placement.of(ids.map((id) => executor(id)))
      for (const one of planDispatch(stage, placement)) {
        begin(one.task, one.attempt)
        stage = toRunning(stage, one)
      }
      const twins = planTwins(stage, placement, {
        ms: 5_000,
        runner: () => ({ pace: new Pace(prng.below(2) * 5_000), mayBeTwo: true }),
      })
      for (const one of twins) {
        twinsBegun++
        begin(one.task, one.attempt)
        stage = toTwin(stage, one)
      }
      const running = stage.tasks.flatMap((task, i) => (task.kind === 'running' ? [i] : []))
      const index = running[prng.below(running.length)]
      const task = index === undefined ? undefined : stage.tasks[index]
      if (index === undefined || task?.kind !== 'running') continue
      const attempts = [task.attempt, ...(task.twin === undefined ? [] : [task.twin.attempt])]
      const attempt = prng.pick(attempts)
      if (prng.below(3) > 0) {
        stage = toFinished(toSole(stage, index, attempt), index, result())
        continue
      }
      const outcome = onTaskFailed(stage, index, { error: lost, delivered: false, attempt })
      if (outcome.kind === 'fail') break
      stage = outcome.stage
    }
    if (steps >= 1_000) t.fail(`seed ${seed} does not end`)
  }
  t.equal(doubled, 0, 'no number is given twice')
  t.ok(twinsBegun > 100, `${twinsBegun} second attempts`)
})
