import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TableRecord } from '@nyala/metastore'
import t from 'tap'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { MERGE_AT } from '../iceberg/manifest-merge.ts'
import { newMetadata } from '../iceberg/metadata.ts'
import { makeTableDirectories, toUri } from '../iceberg/table-files.ts'
import { FieldIds } from '../iceberg/types.ts'
import { simpleType } from '../sql/sql-types.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import { stageRewrite } from './rewrite-snapshot.ts'
import { baseOf, stageAddition, type TableBase } from './table-change.ts'

const fileOf = (path: string): DataFile => ({
  ...{ content: 0, path, partition: [], rows: 1, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})

t.test(
  'a table that is rewritten again and again, a file at a time, has few manifests',
  async (t) => {
    const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
    t.teardown(() => rm(location, { recursive: true }))
    await makeTableDirectories(location)
    const { iceberg: store } = new ManifestStore(location)
    const columns = [{ name: 'a', type: simpleType('INTEGER') }]
    const metadata = newMetadata({
      ...{ uuid: 'u', location: toUri(location), columns, ids: new FieldIds(), nowMs: 1 },
    })
    let base: TableBase = { location, metadata, metadataFile: undefined, manifests: [] }
    const rewrite = async (n: number, removed: readonly string[], added: readonly string[]) => {
      const addition = await stageAddition(base, added.map(fileOf), `w${n}`)
      const at = { writeId: `w${n}`, attempt: 0, snapshotId: BigInt(n + 1), nowMs: n, store }
      const change = { removed: new Set(removed), addition }
      const { manifest } = await stageRewrite(base, change, { ...at, operation: 'overwrite' })
      base = await baseOf({ manifest, location } as TableRecord, store)
      return { manifest, location } as TableRecord
    }
    const count = MERGE_AT + 8
    const old = Array.from({ length: count }, (_, i) => `file:///old${i}`)
    await rewrite(0, [], old)
    let longest = 0
    let table: TableRecord | undefined
    for (const [i, path] of old.entries()) {
      table = await rewrite(i + 1, [path], [`file:///new${i}`])
      longest = Math.max(longest, base.manifests.length)
    }
    t.ok(longest <= MERGE_AT + 1, `${longest} manifests`)
    // Read from disk: what was kept must be what was written.
    const fresh = new ManifestStore(location).iceberg
    const files = table === undefined ? [] : await fresh.dataFiles(table)
    t.same(
      files.map(({ path }) => path).toSorted(),
      old.map((_, i) => `file:///new${i}`).toSorted(),
    )
  },
)
