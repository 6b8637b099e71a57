import t from 'tap'
import { parseType } from '../sql/type-text.ts'
import { typeText } from '../sql/sql-types.ts'
import {
  currentSchema,
  currentSnapshot,
  formatMetadata,
  newMetadata,
  parseMetadata,
  type TableMetadata,
} from './metadata.ts'
import { isForgetful, SNAPSHOTS_KEPT, SNAPSHOTS_MAX, withSnapshot } from './snapshot.ts'
import { FieldIds, sqlTypeOf, storableType } from './types.ts'

const column = (
  name: string,
  type: string,
): { name: string; type: ReturnType<typeof parseType> } => ({
  name,
  type: parseType(type),
})

const empty = (): TableMetadata =>
  newMetadata({
    uuid: 'd7a5cf1a-6d3f-4a55-9d52-5a8f6c33a1f0',
    location: 'file:///w/t',
    columns: [
      column('a', 'BIGINT'),
      column('n', 'STRUCT(x INTEGER, l DECIMAL(12,2)[])'),
      column('m', 'MAP(VARCHAR, DATE)'),
    ],
    ids: new FieldIds(),
    nowMs: 1000,
  })

const append = (metadata: TableMetadata, id: bigint, rows = 1): TableMetadata =>
  withSnapshot(metadata, {
    id,
    operation: 'append',
    manifestList: `file:///w/t/metadata/snap-${id}.avro`,
    added: { files: 1, rows, bytes: 10 },
    removed: { files: 0, rows: 0, bytes: 0 },
    nowMs: 2000,
    previousFile: `file:///w/t/metadata/before-${id}.json`,
  })

t.test('fields are numbered before what is inside them', async (t) => {
  const metadata = empty()
  t.match(currentSchema(metadata).fields, [
    { id: 1, name: 'a', type: 'long', required: false },
    { id: 2, type: { fields: [{ id: 4 }, { id: 5, type: { 'element-id': 6 } }] } },
    { id: 3, type: { 'key-id': 7, 'value-id': 8, key: 'string', value: 'date' } },
  ])
  t.equal(metadata['last-column-id'], 8)
  t.same(
    currentSchema(metadata).fields.map((field) => typeText(sqlTypeOf(field.type))),
    ['BIGINT', 'STRUCT("x" INTEGER, "l" DECIMAL(12,2)[])', 'MAP(VARCHAR, DATE)'],
  )
})

t.test('types that Iceberg has not are kept as wider ones, or refused by the column', async (t) => {
  const stored = (type: string): string => typeText(storableType(parseType(type), 'c'))
  t.same(['SMALLINT', 'UINTEGER', 'UBIGINT', 'HUGEINT', 'TINYINT[]', 'VARCHAR'].map(stored), [
    'INTEGER',
    'BIGINT',
    'DECIMAL(20,0)',
    'DECIMAL(38,0)',
    'INTEGER[]',
    'VARCHAR',
  ])
  t.throws(() => storableType(parseType('INTERVAL'), 'c'), {
    error: 'feature_not_supported',
    message: 'column "c" has the type INTERVAL, which an Iceberg table cannot hold',
  })
})

t.test('metadata is read back, with ids of 64 bits and what is not known of it', async (t) => {
  const id = 9_007_199_254_740_993n
  const metadata = append(append(empty(), 1n), id)
  const text = formatMetadata({ ...metadata, novelty: { kept: true } } as TableMetadata)
  t.match(text, '"current-snapshot-id":9007199254740993,')
  t.same(parseMetadata(text), { ...metadata, novelty: { kept: true } })
  t.equal(currentSnapshot(parseMetadata(text))?.['parent-snapshot-id'], 1n)
  t.equal(currentSnapshot(empty()), undefined)
  t.equal(currentSnapshot(parseMetadata(formatMetadata(empty()))), undefined)
})

t.test('a text inside the metadata that looks like an id stays a text', async (t) => {
  const comment = '"snapshot-id":"5", "snapshot-id": 7'
  const metadata = { ...empty(), properties: { comment, 'x-snapshot-id': '9' } }
  t.same(parseMetadata(formatMetadata(metadata)).properties, metadata.properties)
})

t.test('other versions, and files that lack what they must have, are refused', async (t) => {
  t.throws(() => parseMetadata('{"format-version":3}'), /format version is 3/)
  t.throws(() => parseMetadata('{"format-version":2}'), /no "table-uuid"/)
})

t.test('totals of a snapshot are those of the one before and its own changes', async (t) => {
  const two = append(append(empty(), 1n, 5), 2n, 7)
  t.match(currentSnapshot(two), {
    'sequence-number': 2,
    summary: {
      operation: 'append',
      'added-records': '7',
      'total-records': '12',
      'total-data-files': '2',
    },
  })
})

t.test('a table that asks for more snapshots keeps so many, and not all', async (t) => {
  const properties = { 'history.expire.min-snapshots-to-keep': '80' }
  let metadata: TableMetadata = { ...empty(), properties }
  for (let i = 1n; i <= 300n; i++) {
    metadata = append(metadata, i)
    const count = metadata.snapshots?.length ?? 0
    t.ok(count >= Math.min(80, Number(i)) && count <= 130, `${count} after ${i}`)
  }
  t.equal(currentSnapshot(metadata)?.['snapshot-id'], 300n)
})

t.test('what the metadata remembers does not grow with the number of commits', async (t) => {
  let metadata = empty()
  let forgotten = 0
  for (let i = 1n; i <= 250n; i++) {
    const next = append(metadata, i)
    if (isForgetful(metadata, next)) forgotten++
    metadata = next
    t.ok((metadata.snapshots?.length ?? 0) <= SNAPSHOTS_MAX)
    t.ok(i < SNAPSHOTS_KEPT || (metadata.snapshots?.length ?? 0) >= SNAPSHOTS_KEPT)
  }
  t.equal(metadata.snapshots?.length, 97)
  t.equal(metadata['snapshot-log']?.length, 97)
  t.equal(metadata['metadata-log']?.length, 97)
  t.equal(forgotten, 3, 'many are forgotten at once')
  t.equal(currentSnapshot(metadata)?.['snapshot-id'], 250n)
  t.match(currentSnapshot(metadata)?.summary, { 'total-records': '250' })
})
