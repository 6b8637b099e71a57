import type { Segment } from '@nyala/executor/protocol'
import t from 'tap'
import type { Fragment } from '../physical-plan.ts'
import { partsOf, type Produced, segmentsOf, type TaskPart } from './tasks.ts'

const KB = 1024

const segment = (path: string, partition: number, bytes: number): Segment => ({
  executor: 'a',
  address: 'a:1',
  host: 'h',
  path,
  partition,
  rows: bytes,
  crc: 0,
  bytes,
})

/** Segments of an exchange: for each task that wrote it, bytes by bucket. */
const written = (exchange: number, bytes: readonly (readonly number[])[]): readonly Produced[] =>
  bytes.flatMap((buckets, task) =>
    buckets.flatMap((size, bucket) =>
      size === 0
        ? []
        : [
            {
              producer: `${exchange}/${task}`,
              segment: segment(`${exchange}-${task}-${bucket}`, bucket, size),
            },
          ],
    ),
  )

const fragment = (inputs: Fragment['inputs'], more: Partial<Fragment> = {}): Fragment => ({
  id: 9,
  parts: [],
  readable: () => [],
  output: { kind: 'result' },
  repeatable: true,
  inputs,
  scans: [],
  ...more,
})

const JOIN = [
  { exchange: 0, use: 'buckets' },
  { exchange: 1, use: 'buckets' },
] as const

/** What every task reads of an exchange, as paths. */
const reads = (
  of: Fragment,
  exchange: number,
  by: { readonly parts: readonly TaskPart[]; readonly made: readonly Produced[] },
): readonly (readonly string[])[] => {
  const input = of.inputs.find((i) => i.exchange === exchange)
  if (input === undefined) throw new Error('the fragment does not read it')
  return by.parts.map((part) => segmentsOf(input, part, by.made).map((s) => s.path))
}

t.test('every segment of a bucketed exchange is read by exactly one task', async (t) => {
  const made = written(0, [
    [10, 20, 0, 5],
    [7, 0, 0, 9],
  ])
  const of = fragment([{ exchange: 0, use: 'buckets' }])
  const parts = partsOf(of, () => made, { slots: 2, bytesMin: 0 })
  const all = reads(of, 0, { parts, made }).flat()
  t.same(all.toSorted(), made.map((m) => m.segment.path).toSorted())
})

t.test('equal buckets of both sides of a join come to the same task', async (t) => {
  const [left, right] = [written(0, [[10, 20, 30, 40]]), written(1, [[1, 2, 3, 4]])]
  const of = fragment(JOIN)
  const parts = partsOf(of, (e) => (e === 0 ? left : right), { slots: 2, bytesMin: 0 })
  const bucketsOf = (paths: readonly string[]): string =>
    paths
      .map((p) => Number(p.split('-')[2]))
      .toSorted((a, b) => a - b)
      .join()
  t.same(
    reads(of, 0, { parts, made: left }).map(bucketsOf),
    reads(of, 1, { parts, made: right }).map(bucketsOf),
  )
  t.ok(parts.length > 1, 'more than one task has something to do')
})

t.test('small buckets are put together until a task is worth its start', async (t) => {
  const made = written(0, [Array.from({ length: 16 }, () => 10 * KB)])
  const of = fragment([{ exchange: 0, use: 'buckets' }])
  t.equal(partsOf(of, () => made, { slots: 4, bytesMin: 1024 * KB }).length, 1)
  t.equal(partsOf(of, () => made, { slots: 4, bytesMin: 80 * KB }).length, 2)
})

t.test('a fragment over empty buckets has one task, which reads nothing', async (t) => {
  const of = fragment(JOIN)
  const parts = partsOf(of, () => [], { slots: 4, bytesMin: 0 })
  t.equal(parts.length, 1)
  t.same(reads(of, 0, { parts, made: [] }), [[]])
})

t.test(
  'a bucket that is too large is cut on the side that may be, and the other side read whole',
  async (t) => {
    const left = written(0, [
      [1000, 10, 10, 10],
      [1000, 10, 10, 10],
      [1000, 10, 10, 10],
    ])
    const right = written(1, [[5, 5, 5, 5]])
    const of = fragment(JOIN, { cuttable: 0 })
    const parts = partsOf(of, (e) => (e === 0 ? left : right), { slots: 4, bytesMin: 0 })
    const leftReads = reads(of, 0, { parts, made: left })
    t.same(
      leftReads.flat().toSorted(),
      left.map((m) => m.segment.path).toSorted(),
      'each row of the cut side is in one task',
    )
    const withSkew = leftReads.filter((paths) => paths.some((p) => p.endsWith('-0')))
    t.equal(withSkew.length, 3, 'the large bucket has a task for each that wrote into it')
    const rightReads = reads(of, 1, { parts, made: right })
    leftReads.forEach((paths, i) => {
      if (paths.some((p) => p.endsWith('-0'))) t.same(rightReads[i], ['1-0-0'])
    })
  },
)

t.test('a bucket is not cut where nothing says that it may be', async (t) => {
  const left = written(0, [
    [1000, 1, 1, 1],
    [1000, 1, 1, 1],
  ])
  const of = fragment([{ exchange: 0, use: 'buckets' }])
  const parts = partsOf(of, () => left, { slots: 4, bytesMin: 0 })
  const withSkew = reads(of, 0, { parts, made: left }).filter((p) =>
    p.some((x) => x.endsWith('-0')),
  )
  t.equal(withSkew.length, 1)
})

t.test(
  'the parts of a divided exchange name its tasks, so that a segment made again finds its reader',
  async (t) => {
    const made = written(0, [[100], [50], [60]])
    const of = fragment([
      { exchange: 0, use: 'divided' },
      { exchange: 1, use: 'whole' },
    ])
    const parts = partsOf(of, () => made, { slots: 1, bytesMin: 0 })
    const again = made.map((m) => ({
      ...m,
      segment: { ...m.segment, path: `again-${m.segment.path}`, bytes: m.segment.bytes * 3 },
    }))
    t.same(
      reads(of, 0, { parts, made: again }),
      reads(of, 0, { parts, made }).map((paths) => paths.map((p) => `again-${p}`)),
    )
    const whole = written(1, [[1], [2]])
    for (const paths of reads(of, 1, { parts, made: whole })) t.equal(paths.length, 2)
  },
)

t.test('ranges are tasks in their order, each of which reads everything', async (t) => {
  const sorted = fragment(
    [
      { exchange: 0, use: 'whole' },
      { exchange: 1, use: 'whole' },
    ],
    { ranges: 3 },
  )
  const made = written(0, [[KB], [KB]])
  const parts = partsOf(sorted, () => made, { slots: 8, bytesMin: 0 })
  t.same(parts, [
    { kind: 'range', range: 1 },
    { kind: 'range', range: 2 },
    { kind: 'range', range: 3 },
  ])
  t.same(reads(sorted, 0, { parts, made }), [
    ['0-0-0', '0-1-0'],
    ['0-0-0', '0-1-0'],
    ['0-0-0', '0-1-0'],
  ])
})
