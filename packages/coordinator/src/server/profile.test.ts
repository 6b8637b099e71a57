import t from 'tap'
import { profileText, type QueryProfile } from './profile.ts'

const profileWith = (operators: unknown): QueryProfile => ({
  reason: 'one fragment',
  planMs: 1,
  stages: [
    {
      fragment: 0,
      output: 'result to the client',
      elapsedMs: 10,
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
