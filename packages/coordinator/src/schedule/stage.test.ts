import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { type ExecutorState, Placement } from './placement.ts'
import {
  type Assignment,
  ATTEMPTS_MAX,
  attemptsLeft,
  countTasks,
  isDone,
  KERNEL_CRASHES_MAX,
  newStage,
  onExecutorsLost,
  onTaskFailed,
  planDispatch,
  type StageState,
  type TaskResult,
  toBeginning,
  toEnough,
  toFinished,
  toRestarted,
  toRunning,
} from './stage.ts'

const executor = (id: string, state: Partial<ExecutorState> = {}): ExecutorState => ({
  id,
  threads: 2,
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

const crashed = new SqlError('kernel_crashed', 'the kernel died')
const lost = new SqlError('executor_lost', 'executor a was lost')
const wrong = new SqlError('invalid_text_representation', 'could not convert')
const dispatch = (stage: StageState, executors: readonly ExecutorState[]): readonly Assignment[] =>
  planDispatch(stage, Placement.of(executors))

/** A stage of one task that runs on `id`. */
const running = (id: string, stage = newStage([undefined])): StageState => {
  const [task] = stage.tasks
  const attempt = task?.attempt ?? 0
  return toRunning(stage, { task: 0, attempt, executor: id })
}

/** The stage after a failure that is to be tried again. */
const retried = (stage: StageState, error: SqlError): StageState => {
  const outcome = onTaskFailed(stage, 0, { error, delivered: false })
  if (outcome.kind === 'fail') throw new Error(`failed: ${outcome.why}`)
  return outcome.stage
}

t.test('all tasks of a new stage are pending, and one without tasks is done', async (t) => {
  const stage = newStage(['f1', undefined])
  t.equal(countTasks(stage, 'pending'), 2)
  t.notOk(isDone(stage))
  t.ok(isDone(newStage([])))
})

t.test('pending → running → finished', async (t) => {
  const begun = running('a')
  t.match(begun.tasks[0], { kind: 'running', executor: 'a', attempt: 0 })
  const done = toFinished(begun, 0, result())
  t.match(done.tasks[0], { kind: 'finished', executor: 'a', attempt: 0, rows: 1 })
  t.ok(isDone(done))
  t.equal(countTasks(begun, 'running'), 1, 'a transition leaves the state before it alone')
})

t.test('transitions that the drawing does not have are bugs', async (t) => {
  const pending = newStage([undefined])
  const finished = toFinished(running('a'), 0, result())
  t.throws(() => toFinished(pending, 0, result()), /only a running task finishes/)
  t.throws(() => toFinished(finished, 0, result()), /only a running task finishes/)
  t.throws(() => running('b', finished), /only a pending task starts/)
  t.throws(() => toRunning(pending, { task: 0, attempt: 1, executor: 'a' }), /pending task starts/)
  t.throws(() => onTaskFailed(pending, 0, { error: lost, delivered: false }), /only a running/)
  t.throws(() => toFinished(pending, 7, result()), /no such task/)
})

t.test('a transient failure is tried again elsewhere', async (t) => {
  const again = retried(running('a'), lost)
  t.match(again.tasks[0], { kind: 'pending', attempt: 1 })
  t.same(dispatch(again, [executor('a'), executor('b', { tasksRunning: 3 })]), [
    { task: 0, attempt: 1, executor: 'b' },
  ])
  t.same(
    dispatch(again, [executor('a')]),
    [{ task: 0, attempt: 1, executor: 'a' }],
    'or in the same place, where there is no other',
  )
})

t.test(
  'where a task has failed it is not run again only because the others are busy',
  async (t) => {
    const again = retried(running('a'), lost)
    const busy = executor('b', { slots: 4, tasksRunning: 4 })
    t.same(dispatch(again, [executor('a'), busy]), [], 'it waits until there is room')
    const leaving = executor('b', { draining: true })
    t.match(
      dispatch(again, [executor('a'), leaving]),
      [{ executor: 'a' }],
      'which there will not be',
    )
  },
)

t.test('all executors that failed a task are avoided', async (t) => {
  const twice = retried(running('b', retried(running('a'), lost)), lost)
  const all = ['a', 'b', 'c'].map((id) => executor(id, { tasksRunning: id === 'c' ? 3 : 0 }))
  t.same(dispatch(twice, all), [{ task: 0, attempt: 2, executor: 'c' }])
})

t.test('who does not reach what a stage reads gets nothing of it while others do', async (t) => {
  const placement = new Placement()
  for (const id of ['a', 'b', 'c']) placement.set(executor(id, { threads: 1, slots: 4 }))
  const stage = newStage([undefined, undefined, undefined])
  const where = (...cut: readonly string[]): readonly string[] =>
    planDispatch(stage, placement, new Set(cut)).map((one) => one.executor)
  t.same(where('a', 'b'), ['c'], 'the others wait until it has room')
  t.same(where('a').toSorted(), ['b', 'c'])
  t.equal(where('a', 'b', 'c').length, 3, 'where nobody does, some may find their part')
})

t.test('the last slot of an executor is for a session of which nothing runs', async (t) => {
  const where = (stage: StageState, isFirst: boolean, tasksRunning: number): readonly string[] => {
    const placement = Placement.of([executor('a', { threads: 2, slots: 4, tasksRunning })])
    return planDispatch(stage, placement, new Set(), isFirst).map((one) => one.executor)
  }
  const two = newStage([undefined, undefined])
  t.same(where(two, true, 3), ['a'], 'and of it for one task only')
  t.same(where(two, false, 3), [], 'others wait')
  t.same(where(two, false, 2), ['a'], 'for what they have at once that leaves it')
  t.same(where(two, true, 4), [], 'beyond the slots nobody starts')
  t.same(where(two, true, 0), ['a', 'a'])
})

t.test(`a task is tried ${ATTEMPTS_MAX} times`, async (t) => {
  let stage = running('a')
  for (let attempt = 1; attempt < ATTEMPTS_MAX; attempt++)
    stage = running('a', retried(stage, lost))
  t.same(onTaskFailed(stage, 0, { error: lost, delivered: false }), {
    kind: 'fail',
    why: 'attempts',
  })
})

t.test('failures at inputs that are made again are none of the task', async (t) => {
  let stage = running('a')
  for (let attempt = 1; attempt < ATTEMPTS_MAX; attempt++)
    stage = running('a', retried(stage, lost))
  t.equal(attemptsLeft(stage, 0), 0)
  const restarted = toRestarted(stage)
  t.match(restarted.tasks[0], { kind: 'pending', attempt: ATTEMPTS_MAX })
  t.equal(attemptsLeft(restarted, 0), ATTEMPTS_MAX - 1)
  t.equal(retried(running('b', restarted), lost).tasks[0]?.kind, 'pending')
  const waiting = toRestarted(retried(running('a'), lost))
  t.equal(attemptsLeft(waiting, 0), ATTEMPTS_MAX - 1, 'also where it waits for its next attempt')
  const made = onExecutorsLost(toFinished(stage, 0, result()), new Set(['a']))
  t.equal(attemptsLeft(made, 0), ATTEMPTS_MAX - 1, 'nor is that what it had made was lost')
})

t.test('what is wrong with the query fails it at once', async (t) => {
  t.same(onTaskFailed(running('a'), 0, { error: wrong, delivered: false }), {
    kind: 'fail',
    why: 'error',
  })
})

t.test('a task for which there is no room on the disk is tried once more, elsewhere', async (t) => {
  const full = new SqlError('disk_full', 'no space left')
  const again = retried(running('a'), full)
  t.match(again.tasks[0], { kind: 'pending', attempt: 1 })
  t.same(onTaskFailed(running('b', again), 0, { error: full, delivered: false }), {
    kind: 'fail',
    why: 'error',
  })
})

t.test('so is one that another executor was lost with before', async (t) => {
  const full = new SqlError('disk_full', 'no space left')
  const again = retried(running('b', retried(running('a'), lost)), full)
  t.match(again.tasks[0], { kind: 'pending', attempt: 2 })
})

t.test('a task that no other attempt can go on with is not run again', async (t) => {
  t.same(onTaskFailed(running('a'), 0, { error: lost, delivered: true }), {
    kind: 'fail',
    why: 'delivered',
  })
  const other = new SqlError('result_lost', 'other rows')
  t.same(onTaskFailed(running('a'), 0, { error: other, delivered: false }), {
    kind: 'fail',
    why: 'error',
  })
})

t.test('a task that an executor refuses as superseded is tried on another', async (t) => {
  const refused = new SqlError('task_superseded', 'it comes after its query has ended')
  t.match(retried(running('a'), refused).tasks[0], { kind: 'pending', avoid: new Set(['a']) })
})

t.test(`after ${KERNEL_CRASHES_MAX} dead kernels the query is quarantined`, async (t) => {
  const once = retried(running('a'), crashed)
  t.same(once.crashes, [1])
  t.same(onTaskFailed(running('b', once), 0, { error: crashed, delivered: false }), {
    kind: 'fail',
    why: 'quarantined',
  })
})

t.test('deaths are counted by task, through other failures, and not forgotten', async (t) => {
  const two = newStage([undefined, undefined])
  const both = toRunning(running('a', two), { task: 1, attempt: 0, executor: 'b' })
  const outcome = onTaskFailed(both, 0, { error: crashed, delivered: false })
  t.equal(outcome.kind, 'retry')
  if (outcome.kind !== 'retry') return
  t.equal(
    onTaskFailed(outcome.stage, 1, { error: crashed, delivered: false }).kind,
    'retry',
    'the first death under another task',
  )
  const between = retried(running('b', retried(running('a'), crashed)), lost)
  t.same(onTaskFailed(running('c', between), 0, { error: crashed, delivered: false }), {
    kind: 'fail',
    why: 'quarantined',
  })
})

t.test('finished → pending when the segments went with their executor', async (t) => {
  const both = toRunning(running('a', newStage([undefined, undefined])), {
    task: 1,
    attempt: 0,
    executor: 'b',
  })
  const done = toFinished(toFinished(both, 0, result()), 1, result())
  const after = onExecutorsLost(done, new Set(['a']))
  t.match(after.tasks[0], { kind: 'pending', attempt: 1 })
  t.equal(after.tasks[1], done.tasks[1], 'what lies elsewhere stays')
  t.same(dispatch(after, [executor('a'), executor('c')]), [{ task: 0, attempt: 1, executor: 'c' }])
})

t.test('running → pending under a new attempt when the inputs went', async (t) => {
  const after = toRestarted(running('a'))
  t.match(after.tasks[0], { kind: 'pending', attempt: 1 })
  const finished = toFinished(running('a'), 0, result())
  t.same(toRestarted(finished), finished)
})

t.test('an executor is given no more tasks of a stage than it has threads', async (t) => {
  const stage = newStage(Array.from({ length: 20 }, () => undefined))
  const first = dispatch(stage, [executor('a', { slots: 16 }), executor('b', { slots: 16 })])
  t.equal(first.length, 4)
  let state = stage
  for (const assignment of first) state = toRunning(state, assignment)
  t.same(dispatch(state, [executor('a', { slots: 16 }), executor('b', { slots: 16 })]), [])
})

t.test('tasks of other queries take slots too', async (t) => {
  const stage = newStage([undefined, undefined, undefined])
  const full = executor('a', { tasksRunning: 4 })
  t.same(dispatch(stage, [full]), [])
  const placed = dispatch(stage, [full, executor('b', { tasksRunning: 3 })])
  t.same(placed, [{ task: 0, attempt: 0, executor: 'b' }])
})

t.test('nothing is dispatched to a draining executor, or where there is none', async (t) => {
  const stage = newStage([undefined])
  t.same(dispatch(stage, [executor('a', { draining: true })]), [])
  t.same(dispatch(stage, []), [])
})

t.test(
  'an executor that would be the last to end takes no more, unless the others are full',
  async (t) => {
    const tasks = newStage([undefined, undefined, undefined])
    let stage = toRunning(running('quick', tasks), { task: 1, attempt: 0, executor: 'slow' })
    stage = toFinished(toFinished(stage, 0, result(10)), 1, result(1000))
    const slow = executor('slow')
    t.same(dispatch(stage, [slow, executor('quick', { tasksRunning: 3 })]), [
      { task: 2, attempt: 0, executor: 'quick' },
    ])
    t.same(dispatch(stage, [slow, executor('quick', { tasksRunning: 4 })]), [
      { task: 2, attempt: 0, executor: 'slow' },
    ])
    t.same(dispatch(stage, [slow]), [{ task: 2, attempt: 0, executor: 'slow' }])
  },
)

t.test('a stage that has enough rows is done without those that have not finished', async (t) => {
  const tasks = newStage([undefined, undefined, undefined])
  let stage = toRunning(running('a', tasks), { task: 1, attempt: 0, executor: 'b' })
  stage = toFinished(stage, 0, result(10))
  t.notOk(isDone(stage))
  const enough = toEnough(stage)
  t.ok(isDone(enough))
  t.same(
    enough.tasks.map((task) => task.kind),
    ['finished', 'skipped', 'skipped'],
  )
})

t.test('a stage that begins again has no task under an attempt that it had before', async (t) => {
  const tasks = newStage([undefined, undefined])
  const stage = toEnough(toFinished(running('a', tasks), 0, result(10)))
  const again = toBeginning(stage)
  t.same(
    again.tasks.map(({ kind, attempt }) => [kind, attempt]),
    [
      ['pending', 1],
      ['pending', 1],
    ],
  )
})

t.test('what is known of a stage by going along is what counting its tasks gives', async (t) => {
  const random = new Prng(3)
  const executors = ['a', 'b', 'c'].map((id) => executor(id, { slots: 8 }))
  let stage = newStage(Array.from({ length: 30 }, (_, i) => `f${i}`))
  for (let step = 0; step < 400; step++) {
    const anew: StageState = { ...stage, tasks: [...stage.tasks] }
    const assignments = dispatch(stage, executors)
    t.same(dispatch(anew, executors), assignments)
    const [first] = assignments
    const at = stage.tasks.findIndex((task) => task.kind === 'running' && random.chance(0.5))
    if (first !== undefined && random.chance(0.6)) stage = toRunning(stage, first)
    else if (at >= 0 && random.chance(0.7)) stage = toFinished(stage, at, result(random.below(500)))
    else if (at >= 0) {
      const outcome = onTaskFailed(stage, at, {
        error: new SqlError('executor_lost', 'gone'),
        delivered: false,
      })
      if (outcome.kind === 'retry') stage = outcome.stage
    } else if (random.chance(0.2)) stage = onExecutorsLost(stage, new Set(['b']))
  }
  t.ok(stage.tasks.some((task) => task.kind === 'finished'))
})

t.test(
  'the task for which all others wait is started beyond the threads of an executor',
  async (t) => {
    // Two threads, of which the tasks that wait for the first one hold both.
    const begun = (inOrder: boolean): StageState => {
      let stage = newStage([undefined, undefined, undefined], { inOrder })
      for (const task of [1, 2]) stage = toRunning(stage, { task, attempt: 0, executor: 'a' })
      return stage
    }
    const busy = [executor('a', { tasksRunning: 2 })]
    t.same(dispatch(begun(false), busy), [])
    t.same(dispatch(begun(true), busy), [{ task: 0, attempt: 0, executor: 'a' }])
    t.same(
      dispatch(begun(true), [executor('a', { tasksRunning: 4 })]),
      [],
      'but not beyond its slots',
    )
    const waits = toRunning(newStage([undefined, undefined, undefined], { inOrder: true }), {
      task: 0,
      attempt: 0,
      executor: 'a',
    })
    const next = toRunning(waits, { task: 1, attempt: 0, executor: 'a' })
    t.same(dispatch(next, busy), [], 'nor one that others do not wait for')
  },
)
