import t from 'tap'
import { MANIFEST_LIST_SCHEMA, manifestSchema } from './avro-schemas.ts'
import { readAvro, writeAvro } from './avro-file.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  type ManifestInfo,
  readManifest,
  readManifestList,
  writeManifest,
  writeManifestList,
} from './manifest-file.ts'
import { summaryOf } from './partition-field.ts'
import type { PartitionValue } from './partition-transform.ts'

const file: DataFile = {
  content: 0,
  format: 'PARQUET',
  path: 'file:///w/t/data/a.parquet',
  partition: [],
  rows: 3,
  bytes: 1234,
  columnSizes: new Map([[1, 40]]),
  valueCounts: new Map([
    [1, 3],
    [2, 3],
  ]),
  nullCounts: new Map([[2, 1]]),
  lowerBounds: new Map([[1, Buffer.from([1, 0, 0, 0])]]),
  upperBounds: new Map([[1, Buffer.from([9, 0, 0, 0])]]),
  splitOffsets: [4],
}
const schema = {
  type: 'struct',
  'schema-id': 0,
  fields: [{ id: 1, name: 'a', required: false, type: 'int' }],
} as const
const spec = { 'spec-id': 0, fields: [] }
const info: ManifestInfo = {
  path: 'file:///w/t/metadata/m0.avro',
  bytes: 99,
  specId: 0,
  content: 0,
  sequenceNumber: 7n,
  minSequenceNumber: 5n,
  addedSnapshotId: 9_007_199_254_740_993n,
  added: { files: 1, rows: 3 },
  existing: { files: 2, rows: 5 },
  deleted: { files: 0, rows: 0 },
}

const entry = (changes: Partial<ManifestEntry>): ManifestEntry => ({
  status: ENTRY.added,
  snapshotId: null,
  sequenceNumber: null,
  fileSequenceNumber: null,
  file,
  ...changes,
})

t.test('what a manifest leaves out comes from its list', async (t) => {
  const kept = entry({
    status: ENTRY.existing,
    snapshotId: 4n,
    sequenceNumber: 5n,
    fileSequenceNumber: 5n,
  })
  const bytes = writeManifest([entry({}), kept], schema, spec)
  t.same(readManifest(bytes, info), [
    entry({ snapshotId: info.addedSnapshotId, sequenceNumber: 7n, fileSequenceNumber: 7n }),
    kept,
  ])
})

t.test('a manifest list is read back as it was, ids of 64 bits included', async (t) => {
  const bytes = writeManifestList([info, { ...info, path: 'file:///other' }], {
    id: info.addedSnapshotId,
    parentId: null,
    sequenceNumber: 7n,
  })
  t.same(readManifestList(bytes), [info, { ...info, path: 'file:///other' }])
  t.match(readAvro(bytes).metadata, {
    'snapshot-id': '9007199254740993',
    'parent-snapshot-id': 'null',
    'format-version': '2',
  })
})

t.test('the header of a manifest says what its readers need', async (t) => {
  const { metadata } = readAvro(writeManifest([entry({})], schema, spec))
  t.same(JSON.parse(metadata['schema'] ?? ''), schema)
  t.match(metadata, {
    'partition-spec': '[]',
    'partition-spec-id': '0',
    'format-version': '2',
    content: 'data',
  })
})

/** Every field of a schema by its id, with its name; in the specification an id stands for one field. */
function fieldIds(schema: unknown, found: Map<number, string> = new Map()): Map<number, string> {
  if (Array.isArray(schema)) for (const item of schema) fieldIds(item, found)
  else if (typeof schema === 'object' && schema !== null) {
    const node = schema as Readonly<Record<string, unknown>>
    if (typeof node['field-id'] === 'number') {
      if (found.has(node['field-id'])) throw new Error(`id ${node['field-id']} is there twice`)
      found.set(node['field-id'], String(node['name']))
    }
    for (const value of Object.values(node)) fieldIds(value, found)
  }
  return found
}

t.test('fields have the ids of the specification, in the files too', async (t) => {
  const list = fieldIds(MANIFEST_LIST_SCHEMA)
  t.equal(list.get(500), 'manifest_path')
  t.equal(list.get(503), 'added_snapshot_id')
  t.equal(list.get(517), 'content')
  t.equal(list.get(516), 'min_sequence_number')
  const entries = fieldIds(manifestSchema([]))
  t.equal(entries.get(134), 'content')
  t.equal(entries.get(100), 'file_path')
  t.equal(entries.get(103), 'record_count')
  t.equal(entries.get(125), 'lower_bounds')
  t.equal(entries.get(132), 'split_offsets')
  const bytes = writeManifest([entry({})], schema, spec)
  const from = bytes.indexOf('{"type":"record"')
  const text = bytes.subarray(from).toString('latin1')
  t.match(text, /"name":"file_path","type":"string","field-id":100/)
})

t.test('partitions of all types are read back, from manifests and their lists', async (t) => {
  const types: readonly (readonly [string, PartitionValue])[] = [
    ['boolean', 1n],
    ['int', -7n],
    ['long', 9_007_199_254_740_993n],
    ['date', -1n],
    ['timestamp', 1_510_871_468_000_001n],
    ['string', 'a=b/ü'],
    ['decimal(9, 2)', -128n],
    ['decimal(38,0)', 10n ** 37n],
    ['uuid', 'f79c3e09677c4bbda4793f349cb785e7'],
    ['binary', '00ff'],
    ['double', '0.25'],
  ]
  const fields = types.map(([type], i) => ({ id: i + 1, name: `c ${i}`, required: false, type }))
  const wide = { ...schema, fields }
  const identity = {
    'spec-id': 3,
    fields: fields.map(({ id, name }) => ({
      ...{ 'source-id': id, 'field-id': 999 + id, name, transform: 'identity' },
    })),
  }
  const full = { ...file, partition: types.map(([, value]) => value) }
  const empty = { ...file, partition: types.map(() => null) }
  const entries = [full, empty].map((one) => entry({ file: one }))
  const found = readManifest(writeManifest(entries, wide, identity), info)
  t.same(
    found.map(({ file: { partition } }) => partition),
    [full.partition, empty.partition],
  )
  const partitions = types.map(([type, value]) => summaryOf(type, [value, null]))
  t.match(partitions[1], { containsNull: true, lower: Buffer.from([0xf9, 0xff, 0xff, 0xff]) })
  t.same(summaryOf('string', ['b', 'ab', 'ü']), {
    ...{ containsNull: false, containsNan: false },
    ...{ lower: Buffer.from('ab'), upper: Buffer.from('ü') },
  })
  const snapshot = { id: 1n, parentId: null, sequenceNumber: 1n }
  const list = readManifestList(writeManifestList([{ ...info, partitions }], snapshot))
  t.same(list[0]?.partitions, partitions)
})

t.test('files of many blocks are read back, damaged ones are refused', async (t) => {
  const recordSchema = { type: 'record', name: 'r', fields: [{ name: 'n', type: 'long' }] }
  const records = Array.from({ length: 2500 }, (_, i) => ({ n: BigInt(i) * 1_000_000_007n }))
  const bytes = writeAvro(recordSchema, records, {})
  t.same(
    readAvro(bytes).records.map((r) => ({ ...(r as object) })),
    records,
  )
  t.throws(() => readAvro(bytes.subarray(0, bytes.length - 5)), /damaged/)
  t.throws(() => readAvro(Buffer.from('PAR1')), /no Avro file/)
  t.same(readAvro(writeAvro(recordSchema, [], {})).records, [])
})
