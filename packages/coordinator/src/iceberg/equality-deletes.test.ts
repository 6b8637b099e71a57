import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { DataFile } from './manifest-file.ts'
import { fileOf, openForeignWorld, SPEC } from './testing/foreign-world.ts'
import type { IcebergSchema } from './types.ts'

const field = (id: number, name: string, type: string): IcebergSchema['fields'][number] => ({
  ...{ id, name, type, required: false },
})
const schema = (id: number, fields: IcebergSchema['fields']): IcebergSchema => ({
  ...{ type: 'struct', 'schema-id': id, fields },
})
const equal = (path: string, ...equalityIds: number[]): DataFile => ({
  ...fileOf(path, 2),
  equalityIds,
})

t.test('equality deletes find their columns by field id, whatever became of these', async (t) => {
  const { dir, parquet, manifest, list, rows } = await openForeignWorld(t)
  // Of the first schema; since then `a` was renamed and made wider, `b` and `c` have changed names, and `d` was dropped.
  const first = `{a: 1, b: 2, c: 3, d: 4, m: 5}`
  const old = await parquet(
    'old.parquet',
    `SELECT i::INT AS a, 'b' || i AS b, 'c' || i AS c, (10 * i)::INT AS d, (i / 4)::DECIMAL(4,2) AS m
     FROM range(12) r(i)`,
    first,
  )
  const young = await parquet(
    'young.parquet',
    `SELECT 100 + i AS k, 'c' || i AS b, 'b' || i AS c, (i / 4)::DECIMAL(9,2) AS m FROM range(3) r(i)`,
    `{k: 1, b: 3, c: 2, m: 5}`,
  )
  // Written by the old schema, the new one, and by what is dropped: alone, with another column, where there is none.
  const deletes = [
    equal(await parquet('d1.parquet', 'SELECT 1::INT AS a', `{a: 1}`), 1),
    equal(await parquet('d2.parquet', 'SELECT 2::BIGINT AS k', `{k: 1}`), 1),
    equal(await parquet('d3.parquet', `SELECT 'c3' AS c`, `{c: 3}`), 3),
    equal(await parquet('d4.parquet', `SELECT 'c4' AS b, 'b4' AS c`, `{b: 3, c: 2}`), 3, 2),
    equal(await parquet('d5.parquet', 'SELECT 50::INT AS d', `{d: 4}`), 4),
    equal(await parquet('d6.parquet', 'SELECT 60::INT AS d, 6::INT AS a', `{d: 4, a: 1}`), 1, 4),
    equal(await parquet('d7.parquet', 'SELECT 70::INT AS d, 6::INT AS a', `{d: 4, a: 1}`), 1, 4),
    equal(await parquet('d8.parquet', 'SELECT 2.00::DECIMAL(4,2) AS m', `{m: 5}`), 5),
    equal(
      await parquet('d9.parquet', `SELECT NULL::INT AS d, 101::BIGINT AS k`, `{d: 4, k: 1}`),
      4,
      1,
    ),
  ]
  const infos = [
    await manifest('m1.avro', [fileOf(old, 0)], 0, { sequence: 1n }),
    await manifest('m2.avro', [fileOf(young, 0)], 0, { sequence: 2n }),
    await manifest('d.avro', deletes, 1, { sequence: 3n }),
  ]
  const schemas = [
    schema(0, [
      ...[field(1, 'a', 'int'), field(2, 'b', 'string'), field(3, 'c', 'string')],
      ...[field(4, 'd', 'int'), field(5, 'm', 'decimal(4, 2)')],
    ]),
    schema(1, [
      ...[field(1, 'k', 'long'), field(3, 'b', 'string'), field(2, 'c', 'string')],
      ...[field(6, 'd', 'string'), field(5, 'm', 'decimal(9, 2)')],
    ]),
  ]
  const snapshots = [
    {
      ...{ 'snapshot-id': 5, 'timestamp-ms': 1, 'sequence-number': 3, 'schema-id': 1 },
      ...{ summary: { operation: 'delete' }, 'manifest-list': await list(infos) },
    },
  ]
  const metadata = {
    ...{ 'format-version': 2, 'table-uuid': 'u', location: dir, 'last-column-id': 6 },
    ...{ 'last-sequence-number': 3, schemas, 'current-schema-id': 1 },
    ...{ 'partition-specs': [SPEC], 'default-spec-id': 0, 'current-snapshot-id': 5, snapshots },
  }
  const path = join(dir, '00003-x.metadata.json')
  await writeFile(path, JSON.stringify(metadata))
  const left = (await rows(path)).map((row) => (row as readonly unknown[]).slice(0, 4).map(String))
  t.same(left, [
    ...[0, 7, 9, 10, 11].map((i) => [String(i), `c${i}`, `b${i}`, 'null']),
    ...[
      ['100', 'c0', 'b0', 'null'],
      ['102', 'c2', 'b2', 'null'],
    ],
  ])
})
