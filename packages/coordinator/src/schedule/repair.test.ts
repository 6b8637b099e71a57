import t from 'tap'
import {
  Complaints,
  isSameAgain,
  type Loss,
  loseOutputs,
  lostToCuts,
  NO_LOSS,
  type RepairedStage,
} from './repair.ts'
import { newStage, type StageState, type TaskResult, toFinished, toRunning } from './stage.ts'

const result: TaskResult = {
  rows: 1,
  segments: [],
  statistics: {
    elapsedMs: 1,
    cpuMs: 0,
    rows: 1,
    bytes: 0,
    peakMemoryBytes: 0,
    spillBytes: 0,
    pulledBytes: 0,
  },
  profile: undefined,
}

/** A stage whose tasks have finished on these executors. */
const ranOn = (...executors: readonly string[]): StageState => {
  let state = newStage(executors.map(() => undefined))
  executors.forEach((executor, task) => {
    state = toFinished(toRunning(state, { task, attempt: 0, executor }), task, result)
  })
  return state
}

const stage = (state: StageState, repeatable = true): RepairedStage => ({
  fragment: { repeatable },
  state,
})

/** What is to be made again where links are cut between pairs. */
const lossOf = (
  reports: readonly RepairedStage[],
  consumers: readonly string[],
  ...pairs: readonly string[]
): Loss => {
  const producers = new Set(
    reports.flatMap(({ state }) =>
      state.tasks.flatMap((task) => (task.kind === 'finished' ? [task.executor] : [])),
    ),
  )
  const missedBy = (id: string): ReadonlySet<string> =>
    new Set(pairs.filter((pair) => pair.includes(id)).map((pair) => pair.replace(id, '')))
  return lostToCuts(reports, { consumers, producers, missedBy })
}

const lost = (...args: Parameters<typeof lossOf>): readonly string[] => [...lossOf(...args).lost]

t.test(
  'where two executors do not reach each other what the one with less has made is made again',
  async (t) => {
    t.same(lost([stage(ranOn('a', 'a', 'b'))], ['a', 'b'], 'ab'), ['b'])
    t.same(lost([stage(ranOn('a', 'b', 'b'))], ['a', 'b'], 'ab'), ['a'])
    t.same(lost([stage(ranOn('a')), stage(ranOn('b', 'b'))], ['a', 'b'], 'ab'), ['a'])
  },
)

t.test('what is made again for one that reaches neither of two lies on none of them', async (t) => {
  const reports = [stage(ranOn('a', 'b'))]
  const loss = lossOf(reports, ['a', 'b', 'c'], 'ab', 'ac')
  t.same(loss, { lost: new Set(['b']), missed: new Set(['b', 'c']) })
  const { states } = loseOutputs([...reports, stage(newStage([undefined]))], 1, loss)
  t.match(states[0]?.tasks[1], { kind: 'pending', avoid: new Set(['b', 'c']) })
  t.same(lost([stage(ranOn('a', 'a'))], ['a', 'b', 'c'], 'ab', 'ac'), [], 'so this ends')
})

t.test('nothing is made again where somebody reaches all of it', async (t) => {
  t.same(lost([stage(ranOn('a', 'b'))], ['a', 'b', 'c'], 'ab'), [])
  t.same(lost([stage(ranOn('a', 'a'))], ['a', 'b'], 'ab'), [])
  t.same(lost([stage(ranOn('a', 'b'))], ['a', 'b']), [])
  t.same(lost([stage(ranOn('a', 'b'))], [], 'ab'), [], 'nobody could make it')
})

t.test('once it is made again, on one side, all of it can be read there', async (t) => {
  const reports = [stage(ranOn('a', 'b', 'a')), stage(newStage([undefined]))]
  const gone = lossOf(reports.slice(0, 1), ['a', 'b'], 'ab')
  const { states, first } = loseOutputs(reports, 1, gone)
  t.equal(first, 0)
  t.match(states[0]?.tasks, [
    { kind: 'finished', executor: 'a' },
    { kind: 'pending', attempt: 1, avoid: new Set(['b']) },
    { kind: 'finished', executor: 'a' },
  ])
  t.match(states[1]?.tasks, [{ kind: 'pending', attempt: 0 }], 'the stage that ran is as it was')
  t.same(lost([stage(ranOn('a', 'a', 'a'))], ['a', 'b'], 'ab'), [])
})

t.test('whoever is cut from two is not made to read from either', async (t) => {
  const reports = [stage(ranOn('a', 'b', 'c'))]
  t.same(lost(reports, ['a', 'b', 'c'], 'ab', 'ac', 'bc'), ['b', 'c'])
  const { states } = loseOutputs([...reports, stage(newStage([undefined]))], 1, {
    ...NO_LOSS,
    lost: new Set(['b', 'c']),
  })
  t.match(states[0]?.tasks[1], { kind: 'pending', avoid: new Set(['b', 'c']) })
})

t.test('after rows that were chosen anew everything runs again', async (t) => {
  const reports = [
    stage(ranOn('a', 'b'), false),
    stage(ranOn('b', 'b')),
    stage(newStage([undefined])),
  ]
  const { states, first } = loseOutputs(reports, 2, {
    lost: new Set(['a']),
    missed: new Set(['c']),
  })
  t.equal(first, 0)
  t.match(states[0]?.tasks, [{ kind: 'pending' }, { kind: 'finished' }])
  const avoid = new Set(['c'])
  t.match(states[1]?.tasks, [
    { kind: 'pending', avoid },
    { kind: 'pending', avoid },
  ])
  t.notOk(isSameAgain(reports, new Set(['a'])), 'and nothing of it may have been delivered')
  t.ok(isSameAgain(reports, new Set(['c'])))
})

t.test('what an executor wrote is made again when a second task could not read it', async (t) => {
  const complaints = new Complaints()
  t.notOk(complaints.add('a'), 'the reader may be the cause')
  t.notOk(complaints.add('b'))
  t.ok(complaints.add('a'))
  t.notOk(complaints.add('a'), 'what was made since is given the same chance')
})
