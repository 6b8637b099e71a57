import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { TableRecord } from '@nyala/metastore'
import type { Test } from 'tap'
import { type Scan, scanSql, wholeFiles } from '../../plan/scan.ts'
import { readRegistered } from '../../server/register-iceberg.ts'
import { ManifestStore } from '../../table/manifest-store.ts'
import { columnsOf } from '../history.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestInfo,
  writeManifest,
  writeManifestList,
} from '../manifest-file.ts'
import type { PartitionSpec } from '../metadata.ts'
import type { IcebergSchema } from '../types.ts'

export const SCHEMA: IcebergSchema = {
  type: 'struct',
  'schema-id': 0,
  fields: [
    { id: 1, name: 'id', required: false, type: 'int' },
    { id: 2, name: 'name', required: true, type: 'string', doc: 'of it' },
  ],
}
export const SPEC: PartitionSpec = { 'spec-id': 0, fields: [] }

export interface ForeignWorld {
  readonly dir: string
  /** Writes a file of these rows; its path. `fieldIds`: as COPY takes them. */
  parquet(name: string, query: string, fieldIds?: string): Promise<string>
  /** Writes a manifest of these files, and tells it as a list does. */
  manifest(
    name: string,
    files: readonly DataFile[],
    content: 0 | 1,
    of?: { readonly sequence?: bigint; readonly spec?: PartitionSpec },
  ): Promise<ManifestInfo>
  list(infos: readonly ManifestInfo[]): Promise<string>
  /** The rows of the table that a metadata file is about. */
  rows(path: string): Promise<readonly unknown[]>
}

/** Tables made by hand, as other engines leave them, in a directory of the test. */
export async function openForeignWorld(t: Test): Promise<ForeignWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  t.teardown(async () => {
    connection.closeSync()
    instance.closeSync()
    await rm(dir, { recursive: true })
  })
  const parquet: ForeignWorld['parquet'] = async (name, query, fieldIds) => {
    const path = join(dir, name)
    const options = fieldIds === undefined ? '' : ` (FIELD_IDS ${fieldIds})`
    await connection.run(`COPY (${query}) TO '${path}'${options}`)
    return path
  }
  const manifest: ForeignWorld['manifest'] = async (name, files, content, of = {}) => {
    const { sequence = 1n, spec = SPEC } = of
    const entries = files.map((file) => ({
      ...{ status: ENTRY.added, snapshotId: 5n, sequenceNumber: null, fileSequenceNumber: null },
      file,
    }))
    const bytes = writeManifest(entries, SCHEMA, spec)
    const path = join(dir, name)
    await writeFile(path, bytes)
    const none = { files: 0, rows: 0 }
    return {
      ...{ path, bytes: bytes.length, specId: spec['spec-id'], content, addedSnapshotId: 5n },
      ...{
        sequenceNumber: sequence,
        minSequenceNumber: sequence,
        added: none,
        existing: none,
        deleted: none,
      },
    }
  }
  const list: ForeignWorld['list'] = async (infos) => {
    const path = join(dir, 'list.avro')
    await writeFile(path, writeManifestList(infos, { id: 5n, parentId: null, sequenceNumber: 1n }))
    return path
  }
  const rows: ForeignWorld['rows'] = async (path) => {
    const { pointer, metadata } = await readRegistered(path)
    const columns = columnsOf(metadata)
    const table = {
      ...{ kind: 'external', format: 'iceberg', database: 'd', name: 't', location: dir },
      ...{ columns, partitionColumns: [], manifest: pointer },
    } as unknown as TableRecord
    const read = await new ManifestStore(dir).read(table)
    const scan = { ...read, columns, id: 0 } as unknown as Scan
    const reader = await connection.runAndReadAll(
      `SELECT * FROM ${scanSql(scan, wholeFiles(read.files))} ORDER BY ALL`,
    )
    return reader.getRows()
  }
  return { dir, parquet, manifest, list, rows }
}

export const fileOf = (path: string, content: 0 | 1 | 2, format = 'PARQUET'): DataFile => ({
  ...{ content, path, format, partition: [], rows: 3, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})
