import { Prng } from '@nyala/client/base'
import t from 'tap'
import type { ManifestFile } from '../table/manifest.ts'
import type { Split } from './scan.ts'
import { divideSplits } from './splits.ts'

const MEGABYTE = 1024 * 1024

const fileOf = (
  path: string,
  groups: readonly { rows: number; bytes: number }[],
): ManifestFile => ({
  path,
  bytes: groups.reduce((sum, g) => sum + g.bytes, 1000),
  modifiedMs: 0,
  rows: groups.reduce((sum, g) => sum + g.rows, 0),
  rowGroups: groups,
  schema: 0,
  partition: 0,
})

const even = (path: string, groups: number, bytes: number): ManifestFile =>
  fileOf(
    path,
    Array.from({ length: groups }, () => ({ rows: 100, bytes })),
  )

/** How often each row of the files is read. */
function coverage(
  files: readonly ManifestFile[],
  groups: readonly (readonly Split[])[],
): ReadonlyMap<string, readonly number[]> {
  const counts = new Map(files.map((f) => [f.path, Array.from({ length: f.rows }, () => 0)]))
  for (const { file, range } of groups.flat()) {
    const rows = counts.get(file.path) ?? []
    const { first, rows: length } = range ?? { first: 0, rows: file.rows }
    for (let row = first; row < first + length; row++) rows[row] = (rows[row] ?? 0) + 1
  }
  return counts
}

t.test(
  'every row of random files is read exactly once, whatever the number of tasks',
  async (t) => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Prng(seed)
      const files = Array.from({ length: random.below(9) }, (_, i) => {
        const groups = Array.from({ length: random.below(7) + 1 }, () => ({
          rows: random.chance(0.1) ? 0 : random.below(50) + 1,
          bytes: random.below(4 * MEGABYTE),
        }))
        return fileOf(`f${i}`, groups)
      })
      const tasks = random.below(20) + 1
      const groups = divideSplits(files, tasks)
      for (const [path, rows] of coverage(files, groups)) {
        if (rows.some((n) => n !== 1))
          t.fail(`seed ${seed}: rows of ${path} are read ${rows.join()}`)
      }
      // A file without rows needs no reader, but one that has rows needs one.
      t.ok(
        groups.length >= 1 && groups.length <= tasks,
        `seed ${seed}: ${groups.length} of ${tasks}`,
      )
    }
  },
)

t.test(
  'the same files are divided in the same way, in whatever order they are listed',
  async (t) => {
    const files = [even('a', 4, MEGABYTE), even('b', 2, MEGABYTE), even('c', 1, 3 * MEGABYTE)]
    const bytesOf = (groups: readonly (readonly Split[])[]): readonly number[] =>
      groups.map((g) => g.reduce((n, s) => n + s.bytes, 0)).toSorted((x, y) => x - y)
    t.same(divideSplits(files, 3), divideSplits(files, 3))
    t.same(bytesOf(divideSplits(files, 3)), bytesOf(divideSplits(files.toReversed(), 3)))
  },
)

t.test('tasks have nearly the same bytes', async (t) => {
  for (const tasks of [2, 3, 4, 6, 8]) {
    const files = [even('a', 16, MEGABYTE), even('b', 3, MEGABYTE), even('c', 9, 2 * MEGABYTE)]
    const sizes = divideSplits(files, tasks).map((g) => g.reduce((n, s) => n + s.bytes, 0))
    t.equal(sizes.length, tasks)
    const fair = files.reduce((n, f) => n + f.bytes, 0) / tasks
    t.ok(
      Math.max(...sizes) < fair * 1.5,
      `${tasks} tasks: ${Math.max(...sizes) / fair} of a fair share`,
    )
  }
})

t.test('a large file is cut between row groups and never within one', async (t) => {
  const file = even('a', 8, 2 * MEGABYTE)
  for (const split of divideSplits([file], 3).flat()) {
    t.equal((split.range?.first ?? 0) % 100, 0)
    t.equal((split.range?.rows ?? 0) % 100, 0)
  }
  t.equal(divideSplits([even('one', 1, 64 * MEGABYTE)], 4).length, 1, 'one row group is one split')
})

t.test('small files are read whole', async (t) => {
  const splits = divideSplits([even('a', 10, 1000), even('b', 10, 1000)], 5).flat()
  t.ok(splits.every((s) => s.range === undefined))
})

t.test(
  'neighbours of one file in one task are one range, and all of it is the whole file',
  async (t) => {
    const file = even('a', 8, 2 * MEGABYTE)
    t.same(divideSplits([file], 1), [[{ file, bytes: file.bytes }]])
    const groups = divideSplits([file, even('b', 1, 30 * MEGABYTE)], 2)
    t.ok(
      groups.flat().filter((s) => s.file === file).length <= 2,
      'what is next to each other is joined',
    )
  },
)

t.test('without files, or with files without rows, there is still one task', async (t) => {
  t.same(divideSplits([], 5), [[]])
  const empty = fileOf('empty', [])
  t.equal(divideSplits([empty], 5).length, 1)
})
