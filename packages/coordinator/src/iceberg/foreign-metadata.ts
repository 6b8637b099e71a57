import type { Snapshot, TableMetadata } from './metadata.ts'
import type { IcebergSchema } from './types.ts'

/** What metadata of version 1 may have in place of what version 2 has. */
interface VersionOne {
  readonly schema?: IcebergSchema
  readonly 'partition-spec'?: TableMetadata['partition-specs'][number]['fields']
  readonly snapshots?: readonly (Omit<Snapshot, 'sequence-number' | 'summary' | 'manifest-list'> & {
    readonly 'sequence-number'?: number
    readonly summary?: Snapshot['summary']
    readonly 'manifest-list'?: string
    readonly manifests?: readonly string[]
  })[]
}

/** What readers need not insist on: the specification lets writers of version 1 leave it out. */
const DEFAULTS = {
  'table-uuid': '00000000-0000-0000-0000-000000000000',
  'last-sequence-number': 0,
  'last-updated-ms': 0,
  'current-schema-id': 0,
  'default-spec-id': 0,
  'last-partition-id': 999,
  'sort-orders': [],
  'default-sort-order-id': 0,
} as const

/**
 * Metadata of another engine in the form of version 2, to be read only: what may be left out has its default, and what
 * rows depend on must be there. Pure. Throws an Error that says what is missing or not supported.
 */
export function foreignMetadata(
  value: Partial<TableMetadata> & Readonly<Record<string, unknown>>,
): TableMetadata {
  const version = value['format-version']
  if (version !== 1 && version !== 2) throw new Error(`its format version is ${String(version)}`)
  const old = value as unknown as VersionOne
  const { schema } = old
  const schemas =
    value.schemas ??
    (schema === undefined ? [] : [{ ...schema, 'schema-id': schema['schema-id'] ?? 0 }])
  const specs = value['partition-specs'] ?? [
    { 'spec-id': 0, fields: partitionOf(old['partition-spec'] ?? []) },
  ]
  const metadata = {
    ...DEFAULTS,
    ...value,
    schemas: schemas.map((one) => ({ ...one, 'schema-id': one['schema-id'] ?? 0 })),
    'partition-specs': specs,
    snapshots: (old.snapshots ?? []).map(snapshotOf),
  } as TableMetadata
  for (const key of ['location', 'last-column-id'] as const) {
    if (metadata[key] === undefined) throw new Error(`it has no "${key}"`)
  }
  const id = metadata['current-schema-id']
  if (!metadata.schemas.some((one) => one['schema-id'] === id)) {
    throw new Error(`it has no schema ${id}`)
  }
  return metadata
}

/** Version 1 numbered the fields of a partition by their place. */
const partitionOf = (
  fields: NonNullable<VersionOne['partition-spec']>,
): TableMetadata['partition-specs'][number]['fields'] =>
  fields.map((field, i) => ({ ...field, 'field-id': field['field-id'] ?? 1000 + i }))

function snapshotOf(snapshot: NonNullable<VersionOne['snapshots']>[number]): Snapshot {
  const list = snapshot['manifest-list']
  if (list === undefined) {
    throw new Error(`snapshot ${snapshot['snapshot-id']} has no manifest list`)
  }
  return {
    ...snapshot,
    'manifest-list': list,
    'sequence-number': snapshot['sequence-number'] ?? 0,
    summary: snapshot.summary ?? { operation: 'overwrite' },
  }
}

/** Whether all schemas that a table ever had are there: they are counted from 0, and writers may forget former ones. Pure. */
export const hasAllSchemas = ({
  schemas,
  'current-schema-id': current,
}: Pick<TableMetadata, 'schemas' | 'current-schema-id'>): boolean => schemas.length > current

/** Whether columns of a table were added, dropped, renamed or given another type since its first snapshot, or may have been. Pure. */
export function hasEvolved(metadata: TableMetadata): boolean {
  if (!hasAllSchemas(metadata)) return true
  const { schemas } = metadata
  const columns = schemas.map(({ fields }) =>
    JSON.stringify(fields.map(({ id, name, type }) => [id, name, type])),
  )
  return new Set(columns).size > 1
}
