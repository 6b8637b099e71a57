import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { metadataPath, readRegistered } from '../server/register-iceberg.ts'
import { foreignMetadata } from './foreign-metadata.ts'
import { columnsOf } from './history.ts'
import type { DataFile } from './manifest-file.ts'
import { fileOf, openForeignWorld, SCHEMA, SPEC } from './testing/foreign-world.ts'

const DATA = `SELECT i::INT AS id, 'n' || i AS name FROM range(3) r(i)`

t.test('tables of version 1 are read, with what its writers left out', async (t) => {
  const { dir, parquet, manifest, list, rows } = await openForeignWorld(t)
  const data = await parquet('a.parquet', DATA)
  const metadata = {
    ...{ 'format-version': 1, location: `file:${dir}`, 'last-column-id': 2 },
    schema: { type: 'struct', fields: SCHEMA.fields },
    'partition-spec': [],
    ...{ 'current-snapshot-id': 5, properties: { 'engine.own': 'kept' } },
    snapshots: [
      {
        ...{ 'snapshot-id': 5, 'timestamp-ms': 1 },
        'manifest-list': await list([await manifest('m.avro', [fileOf(data, 0)], 0)]),
      },
    ],
  }
  const path = join(dir, 'v1.metadata.json')
  await writeFile(path, JSON.stringify(metadata))
  t.same(await rows(path), [
    [0, 'n0'],
    [1, 'n1'],
    [2, 'n2'],
  ])
  const read = (await readRegistered(path)).metadata
  t.match(read, { properties: { 'engine.own': 'kept' }, 'last-sequence-number': 0 })
  t.match(columnsOf(read), [{ name: 'id', type: 'INTEGER' }, { comment: 'of it' }])
})

t.test('rows that position deletes name are not read', async (t) => {
  const { dir, parquet, manifest, list, rows } = await openForeignWorld(t)
  const data = await parquet('a.parquet', DATA)
  const other = await parquet('b.parquet', `SELECT 10 + id AS id, name FROM (${DATA})`)
  const deletes = await parquet(
    'd.parquet',
    `FROM (VALUES ('file://${data}', 1::BIGINT), ('${other}', 0), ('${other}', 2)) v(file_path, pos)`,
  )
  const snapshots = [
    {
      ...{ 'snapshot-id': 5, 'timestamp-ms': 1, 'sequence-number': 1, 'schema-id': 0 },
      summary: { operation: 'delete' },
      'manifest-list': await list([
        await manifest('m.avro', [fileOf(`file://${data}`, 0), fileOf(other, 0)], 0),
        await manifest('d.avro', [fileOf(deletes, 1)], 1),
      ]),
    },
  ]
  const metadata = {
    ...{ 'format-version': 2, 'table-uuid': 'u', location: dir, 'last-column-id': 2 },
    ...{ 'last-sequence-number': 1, schemas: [SCHEMA], 'current-schema-id': 0 },
    ...{ 'partition-specs': [SPEC], 'default-spec-id': 0, 'current-snapshot-id': 5, snapshots },
  }
  const path = join(dir, '00002-x.metadata.json')
  await writeFile(path, JSON.stringify(metadata))
  t.same(await rows(path), [
    [0, 'n0'],
    [2, 'n2'],
    [11, 'n1'],
  ])

  await t.test('what is not read is refused', async (t) => {
    await manifest('d.avro', [fileOf(deletes, 2)], 1)
    await t.rejects(rows(path), { message: /does not say by which columns it deletes/ })
    await manifest('d.avro', [{ ...fileOf(deletes, 2), equalityIds: [9] }], 1)
    await t.rejects(rows(path), { message: /deletes by column 9, which the table does not have/ })
    await manifest('d.avro', [fileOf(data, 0, 'ORC')], 0)
    await t.rejects(rows(path), { message: /files of the format ORC/ })
    const properties = { 'schema.name-mapping.default': '[]' }
    const renamed = { ...SCHEMA, 'schema-id': 1, fields: [{ ...SCHEMA.fields[0], name: 'was' }] }
    await writeFile(path, JSON.stringify({ ...metadata, schemas: [renamed, SCHEMA], properties }))
    await t.rejects(rows(path), { message: /changed columns, and files without their ids/ })
  })
})

t.test(
  'rows that equality deletes name are not read, where these are newer and of their partition',
  async (t) => {
    const { dir, parquet, manifest, list, rows } = await openForeignWorld(t)
    const byName = {
      ...SPEC,
      'spec-id': 1,
      fields: [{ 'source-id': 2, 'field-id': 1000, name: 'name', transform: 'identity' }],
    }
    const data = (name: string, query: string): Promise<string> =>
      parquet(name, `FROM (${query}) v(id, name)`)
    const old = await data(
      'old.parquet',
      `VALUES (1, 'a'), (2, 'b'), (NULL::INT, 'c'), (4, 'd'), (5, 'e')`,
    )
    const newer = await data('new.parquet', `VALUES (1, 'again'), (10, 'j')`)
    const inA = await data('p-a.parquet', `VALUES (20, 'A'), (21, 'A')`)
    const inB = await data('p-b.parquet', `VALUES (20, 'B'), (21, 'B')`)
    const byId = await parquet('d1.parquet', `SELECT * FROM (VALUES (1), (NULL::INT)) v(id)`)
    const byBoth = await parquet(
      'd2.parquet',
      `SELECT * FROM (VALUES ('d', 4), ('x', 5)) v(name, id)`,
    )
    const onlyA = await parquet('d3.parquet', `SELECT 20 AS id`)
    const equal = (path: string, ...equalityIds: number[]): DataFile => ({
      ...fileOf(path, 2),
      equalityIds,
    })
    const within = (file: DataFile, name: string): DataFile => ({ ...file, partition: [name] })
    const infos = [
      await manifest('m1.avro', [fileOf(old, 0)], 0, { sequence: 1n }),
      await manifest('m2.avro', [fileOf(newer, 0)], 0, { sequence: 2n }),
      await manifest('m3.avro', [within(fileOf(inA, 0), 'A'), within(fileOf(inB, 0), 'B')], 0, {
        sequence: 2n,
        spec: byName,
      }),
      await manifest('d1.avro', [equal(byId, 1), equal(byBoth, 1, 2)], 1, { sequence: 2n }),
      await manifest('d2.avro', [within(equal(onlyA, 1), 'A')], 1, { sequence: 3n, spec: byName }),
    ]
    const snapshots = [
      {
        ...{ 'snapshot-id': 5, 'timestamp-ms': 1, 'sequence-number': 3, 'schema-id': 0 },
        ...{ summary: { operation: 'delete' }, 'manifest-list': await list(infos) },
      },
    ]
    const metadata = {
      ...{ 'format-version': 2, 'table-uuid': 'u', location: dir, 'last-column-id': 2 },
      ...{ 'last-sequence-number': 3, schemas: [SCHEMA], 'current-schema-id': 0 },
      ...{ 'partition-specs': [SPEC, byName], 'default-spec-id': 1 },
      ...{ 'current-snapshot-id': 5, snapshots },
    }
    const path = join(dir, '00003-x.metadata.json')
    await writeFile(path, JSON.stringify(metadata))
    t.same(await rows(path), [
      [1, 'again'],
      [2, 'b'],
      [5, 'e'],
      [10, 'j'],
      [20, 'B'],
      [21, 'A'],
      [21, 'B'],
    ])
  },
)

t.test(
  'columns are found by their ids where the writer has forgotten former schemas',
  async (t) => {
    const { dir, parquet, manifest, list, rows } = await openForeignWorld(t)
    const before = await parquet(
      'a.parquet',
      `SELECT 1::INT AS id, 'old' AS title`,
      `{id: 1, title: 2}`,
    )
    const after = await parquet(
      'b.parquet',
      `SELECT 3000000000 AS id, 'new' AS name`,
      `{id: 1, name: 2}`,
    )
    const [id, name] = SCHEMA.fields
    const schema = { ...SCHEMA, 'schema-id': 2, fields: [{ ...id, type: 'long' }, name] }
    const snapshots = [
      {
        ...{ 'snapshot-id': 5, 'timestamp-ms': 1, 'sequence-number': 1, 'schema-id': 2 },
        summary: { operation: 'append' },
        'manifest-list': await list([
          await manifest('m.avro', [fileOf(before, 0), fileOf(after, 0)], 0),
        ]),
      },
    ]
    const metadata = {
      ...{ 'format-version': 2, 'table-uuid': 'u', location: dir, 'last-column-id': 2 },
      ...{ 'last-sequence-number': 1, schemas: [schema], 'current-schema-id': 2 },
      ...{ 'partition-specs': [SPEC], 'default-spec-id': 0, 'current-snapshot-id': 5, snapshots },
    }
    const path = join(dir, '00002-x.metadata.json')
    await writeFile(path, JSON.stringify(metadata))
    t.same(await rows(path), [
      [1n, 'old'],
      [3000000000n, 'new'],
    ])
    const properties = { 'schema.name-mapping.default': '[]' }
    await writeFile(path, JSON.stringify({ ...metadata, properties }))
    await t.rejects(rows(path), { message: /changed columns, and files without their ids/ })
  },
)

t.test('the newest metadata file of a table is found', async (t) => {
  const { dir } = await openForeignWorld(t)
  const at = { location: dir, properties: [] }
  const metadata = join(dir, 'metadata')
  await t.rejects(metadataPath(at), /has no metadata of an Iceberg table/)
  await mkdir(metadata)
  await t.rejects(metadataPath(at), /has no metadata of an Iceberg table/)
  for (const name of ['00009-a.metadata.json', '00010-b.metadata.json', 'v2.metadata.json']) {
    await writeFile(join(metadata, name), '')
  }
  t.equal(await metadataPath(at), join(metadata, '00010-b.metadata.json'))
  await writeFile(join(metadata, 'version-hint.text'), '2\n')
  t.equal(await metadataPath(at), join(metadata, 'v2.metadata.json'))
  const named = [{ key: 'metadata_location', value: 'file:///x/y.metadata.json' }]
  t.equal(await metadataPath({ location: undefined, properties: named }), '/x/y.metadata.json')
  await t.rejects(metadataPath({ location: undefined, properties: [] }), /needs a LOCATION/)
})

t.test('metadata that rows depend on must be there', (t) => {
  const good = { 'format-version': 1, location: '/t', 'last-column-id': 1, schemas: [SCHEMA] }
  t.match(foreignMetadata(good), { 'partition-specs': [SPEC], snapshots: [] })
  const bad: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ ...good, 'format-version': 3 }, /version is 3/],
    [{ ...good, location: undefined }, /no "location"/],
    [{ ...good, 'current-schema-id': 9 }, /no schema 9/],
    [{ ...good, snapshots: [{ 'snapshot-id': 1n, manifests: [] }] }, /no manifest list/],
  ]
  for (const [metadata, message] of bad) t.throws(() => foreignMetadata(metadata), { message })
  t.end()
})
