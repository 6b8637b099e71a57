import t from 'tap'
import type { TaskPart } from '../plan/fragment/tasks.ts'
import type { Fragment, PhysicalPlan } from '../plan/physical-plan.ts'
import { profileText, type QueryProfile } from './profile.ts'
import { bucketUse, executorShares, skewOf } from './stage-profile.ts'

const profileWith = (operators: unknown): QueryProfile => ({
  reason: 'one fragment',
  planMs: 1,
  stages: [
    {
      fragment: 0,
      output: 'result to the client',
      plannedAgain: false,
      elapsedMs: 10,
      skew: 1,
      executors: [],
      tasks: [
        {
          task: 0,
          attempt: 0,
          executor: 'e1',
          inputBytes: 0,
          rows: 1,
          elapsedMs: 9,
          cpuMs: 8,
          peakMemoryBytes: 0,
          spillBytes: 0,
          pulledBytes: 0,
          writtenBytes: 0,
          operators,
        },
      ],
    },
  ],
})

const scan = (
  rows: number,
  scanned: number,
  about: Readonly<Record<string, unknown>>,
): unknown => ({
  operator_name: 'READ_PARQUET',
  operator_cardinality: rows,
  operator_rows_scanned: scanned,
  operator_timing: 0.002,
  extra_info: about,
  children: [],
})

t.test('a profile says which rows the filters of a scan and semi joins removed', (t) => {
  const lines = profileText(
    profileWith({
      children: [
        {
          operator_name: 'HASH_JOIN',
          operator_cardinality: 30,
          operator_timing: 0.001,
          extra_info: { 'Join Type': 'SEMI' },
          children: [
            scan(900, 1000, { 'Dynamic Filters': ['optional: k>=5', 'optional: k<=90'] }),
            scan(40, 200, { Filters: 'a=1', 'Dynamic Filters': 'optional: k IN (1, 2)' }),
            scan(7, 7, {}),
          ],
        },
        {
          operator_name: 'HASH_JOIN',
          operator_cardinality: 2,
          extra_info: { 'Join Type': 'RIGHT_SEMI' },
          children: [scan(5, 5, {}), scan(8, 8, {})],
        },
        {
          operator_name: 'HASH_JOIN',
          operator_cardinality: 3,
          extra_info: { 'Join Type': 'INNER' },
          children: [scan(8, 0, {})],
        },
      ],
    }),
  )
  t.strictSame(lines.slice(lines.indexOf('  operators of task 0:') + 1), [
    '    HASH_JOIN: 30 rows, 1.0 ms, semi join removed 870 of 900 rows',
    '      READ_PARQUET: 900 rows, 2.0 ms, runtime filter k>=5 AND k<=90 removed 100 of 1000 rows',
    '      READ_PARQUET: 40 rows, 2.0 ms, filter a=1 and runtime filter k IN (1, 2) removed 160 of 200 rows',
    '      READ_PARQUET: 7 rows, 2.0 ms',
    '    HASH_JOIN: 2 rows, 0.0 ms, semi join removed 6 of 8 rows',
    '      READ_PARQUET: 5 rows, 2.0 ms',
    '      READ_PARQUET: 8 rows, 2.0 ms',
    '    HASH_JOIN: 3 rows, 0.0 ms',
    '      READ_PARQUET: 8 rows, 2.0 ms',
  ])
  t.end()
})

t.test(
  'a task without operators, and one whose operators say nothing of filters, are shown',
  (t) => {
    t.notMatch(profileText(profileWith(null)).join('\n'), /operators/)
    t.match(
      profileText(profileWith({ operator_type: 'TOP_N' })).join('\n'),
      /TOP_N: 0 rows, 0.0 ms$/,
    )
    t.end()
  },
)

t.test('a stage says why it is as it is, what became of its buckets, and who did what', (t) => {
  const [plain] = profileWith(null).stages
  const [task] = plain?.tasks ?? []
  if (plain === undefined || task === undefined) throw new Error('there is a stage with a task')
  const tasks = [
    { ...task, writtenBytes: 1024, peakMemoryBytes: 2048 },
    { ...task, task: 1, rows: 4, elapsedMs: 27, writtenBytes: 1024, peakMemoryBytes: 1024 },
    { ...task, task: 2, executor: 'e0' },
  ]
  const stage = {
    ...plain,
    plannedAgain: true,
    because: 'broadcast: 1 kB ≤ 64 MB',
    expected: { rows: 100, bytes: 4096 },
    buckets: { all: 8, empty: 3, joined: 4, cut: 1 },
    skew: skewOf(tasks),
    executors: executorShares(tasks),
    tasks,
  }
  const lines = profileText({ reason: 'distributed', planMs: 1, stages: [stage] })
  t.strictSame(lines.slice(3, 9), [
    'stage 0 → result to the client: 3 tasks, 10.0 ms, skew 1.80',
    '  planned again, by what the stages before had written',
    '  because broadcast: 1 kB ≤ 64 MB',
    '  expected 100 rows, 4.1 kB, has made 6 rows',
    '  8 buckets, 3 empty, 4 put together with others, 1 cut',
    '  executor e0: 1 task, 1 rows, cpu 8.0 ms, input 0 bytes, pulled 0 bytes, written 0 bytes, memory 0 bytes, spill 0 bytes',
  ])
  t.match(
    lines[9],
    /executor e1: 2 tasks, 5 rows, cpu 16.0 ms, .* written 2.* memory 2.* spill 0 bytes$/,
  )
  t.end()
})

t.test('buckets are counted by what their tasks read', (t) => {
  const input = { exchange: 5, use: 'buckets', columns: [] } as const
  const reader = { inputs: [input], output: { kind: 'result' } } as unknown as Fragment
  const output = { kind: 'exchange', exchange: 4, keys: ['k'], buckets: 8 } as const
  const writer = { output } as unknown as Fragment
  const plan = { exchanges: new Map([[5, { sameAs: 4 }]]) } as unknown as PhysicalPlan
  const cut = { exchange: 5, producers: new Set(['1/0']) }
  const parts: readonly TaskPart[] = [
    { kind: 'buckets', buckets: new Set([2]), cut },
    { kind: 'buckets', buckets: new Set([2]), cut },
    { kind: 'buckets', buckets: new Set([0, 1, 5]) },
    { kind: 'buckets', buckets: new Set([7]) },
  ]
  const all = [{ fragment: writer }, { fragment: reader, parts }]
  t.strictSame(bucketUse(plan, { fragment: reader, parts }, all), {
    ...{ all: 8, empty: 3 },
    ...{ joined: 3, cut: 1 },
  })
  t.equal(bucketUse(plan, { fragment: { ...reader, inputs: [] }, parts: [] }, all), undefined)
  t.end()
})
