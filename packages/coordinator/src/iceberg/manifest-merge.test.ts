import t from 'tap'
import type { ManifestInfo } from './manifest-file.ts'
import { manifestsToMerge, MERGE_AT } from './manifest-merge.ts'

const none = { files: 0, rows: 0 }

const manifest = (path: string, files: number, specId = 0): ManifestInfo => ({
  ...{ path, bytes: 1, specId, content: 0, addedSnapshotId: 1n },
  ...{ sequenceNumber: 1n, minSequenceNumber: 1n },
  ...{ added: none, existing: { files, rows: files }, deleted: none },
})

t.test('manifests of one file each are written as one when there are enough of them', async (t) => {
  const few = Array.from({ length: MERGE_AT - 1 }, (_, i) => manifest(`${i}`, 1))
  t.same(manifestsToMerge(few), [])
  const enough = [manifest('large', 5_000), ...few, manifest('last', 1)]
  t.same(
    manifestsToMerge(enough).map(({ path }) => path),
    [...few.map(({ path }) => path), 'last'],
  )
})

t.test('manifests of different partition specs are not written as one', async (t) => {
  const mixed = Array.from({ length: 2 * MERGE_AT - 2 }, (_, i) => manifest(`${i}`, 1, i % 2))
  t.same(manifestsToMerge(mixed), [])
})

t.test(
  'after 10,000 commits a list is short, and each entry was written a few times',
  async (t) => {
    let manifests: readonly ManifestInfo[] = []
    let written = 0
    let longest = 0
    for (let commit = 0; commit < 10_000; commit++) {
      const parts = new Set(manifestsToMerge(manifests))
      const files = [...parts].reduce((sum, one) => sum + one.existing.files, 0)
      const merged = parts.size === 0 ? [] : [manifest(`merged ${commit}`, files)]
      manifests = [
        ...merged,
        ...manifests.filter((one) => !parts.has(one)),
        manifest(`${commit}`, 1),
      ]
      written += files + 1
      longest = Math.max(longest, manifests.length)
    }
    t.equal(
      manifests.reduce((sum, one) => sum + one.existing.files, 0),
      10_000,
    )
    t.ok(longest <= 3 * MERGE_AT, `${longest} manifests`)
    t.ok(written <= 3.1 * 10_000, `${written} entries`)
  },
)
