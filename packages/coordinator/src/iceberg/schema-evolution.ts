import { SqlError } from '@nyala/client/protocol'
import { foldName } from '@nyala/metastore'
import { type SqlType, typeText } from '../sql/sql-types.ts'
import { currentSchema, type TableMetadata } from './metadata.ts'
import { FieldIds, fieldsOf, type IcebergField, type NewColumn, sqlTypeOf } from './types.ts'

/** A change of a table's columns. Names are told apart without regard to case. */
export type SchemaChange =
  | { readonly kind: 'add'; readonly columns: readonly NewColumn[] }
  | { readonly kind: 'drop'; readonly column: string }
  | { readonly kind: 'rename'; readonly column: string; readonly to: string }
  | { readonly kind: 'retype'; readonly column: string; readonly type: SqlType }
  /** It may be NULL from now on; the other way is not allowed by the specification. */
  | { readonly kind: 'nullable'; readonly column: string }
  /** Undefined: no comment any more. */
  | { readonly kind: 'comment'; readonly column: string; readonly text: string | undefined }

/**
 * The metadata with these changes, one after the other, as its current schema. Pure. A column keeps its id whatever it is
 * called, and a new one gets an id that no column ever had: so rows that were written before are read as they are meant.
 * Fails with `undefined_column`, `duplicate_column` or `feature_not_supported`.
 */
export function evolveSchema(
  metadata: TableMetadata,
  changes: readonly SchemaChange[],
): TableMetadata {
  const schema = currentSchema(metadata)
  const ids = new FieldIds(metadata['last-column-id'])
  const fields = changes.reduce(
    (before, change) => changed(before, change, { ids, metadata }),
    schema.fields,
  )
  if (JSON.stringify(fields) === JSON.stringify(schema.fields)) return metadata
  const id = 1 + Math.max(...metadata.schemas.map((one) => one['schema-id']))
  return {
    ...metadata,
    'last-column-id': ids.last,
    schemas: [...metadata.schemas, { ...schema, 'schema-id': id, fields }],
    'current-schema-id': id,
  }
}

interface Context {
  readonly ids: FieldIds
  readonly metadata: TableMetadata
}

function changed(
  fields: readonly IcebergField[],
  change: SchemaChange,
  { ids, metadata }: Context,
): readonly IcebergField[] {
  if (change.kind === 'add') {
    const added: IcebergField[] = []
    for (const column of change.columns) {
      checkFree([...fields, ...added], column.name)
      added.push(...fieldsOf([column], ids))
    }
    return [...fields, ...added]
  }
  const field = columnOf(fields, change.column)
  const others = fields.filter((one) => one !== field)
  const replaced = (next: IcebergField): readonly IcebergField[] =>
    fields.map((one) => (one === field ? next : one))
  switch (change.kind) {
    case 'drop':
      checkUnused(field, metadata)
      if (others.length > 0) return others
      throw new SqlError('feature_not_supported', `"${field.name}" is the table's only column`, {
        hint: 'add another column first, or drop the table',
      })
    case 'rename':
      checkFree(others, change.to)
      return replaced({ ...field, name: change.to })
    case 'retype':
      return replaced({ ...field, type: promoted(field, change.type) })
    case 'nullable':
      return replaced({ ...field, required: false })
    case 'comment': {
      const { doc: _, ...rest } = field
      return replaced(change.text === undefined ? rest : { ...rest, doc: change.text })
    }
  }
}

/** The field of a column. Fails with `undefined_column`. */
export function columnOf(fields: readonly IcebergField[], name: string): IcebergField {
  const found = fields.find((field) => foldName(field.name) === foldName(name))
  if (found !== undefined) return found
  const names = fields.map((field) => `"${field.name}"`).join(', ')
  throw new SqlError('undefined_column', `column "${name}" does not exist`, {
    hint: `the table has ${names}`,
  })
}

function checkFree(fields: readonly IcebergField[], name: string): void {
  if (!fields.some((field) => foldName(field.name) === foldName(name))) return
  throw new SqlError('duplicate_column', `column "${name}" exists already`)
}

/** Files tell their partition, and their order, by the column. */
function checkUnused({ id, name }: IcebergField, metadata: TableMetadata): void {
  const isUsed = (
    list: readonly { readonly fields: readonly { 'source-id': number }[] }[],
  ): boolean => list.some(({ fields }) => fields.some((field) => field['source-id'] === id))
  if (!isUsed(metadata['partition-specs']) && !isUsed(metadata['sort-orders'])) return
  throw new SqlError(
    'feature_not_supported',
    `column "${name}" cannot be dropped: the table is partitioned or sorted by it`,
    { hint: 'make a new table with CREATE TABLE … AS SELECT' },
  )
}

/** The steps that the specification allows: every value stays what it is, and files need not be written anew. */
function promoted(field: IcebergField, type: SqlType): string {
  const from = field.type
  const wanted = typeText(type)
  const before = typeText(sqlTypeOf(from))
  if (typeof from === 'string') {
    if (wanted === before) return from
    if (from === 'int' && wanted === 'BIGINT') return 'long'
    if (from === 'float' && wanted === 'DOUBLE') return 'double'
    const decimal = /^decimal\((\d+),\s*(\d+)\)$/.exec(from)
    if (decimal !== null && type.kind === 'decimal') {
      const [, precision, scale] = decimal.map(Number)
      if (type.scale === scale && type.width >= (precision ?? 0)) {
        return `decimal(${type.width}, ${type.scale})`
      }
    }
  }
  throw new SqlError(
    'feature_not_supported',
    `column "${field.name}" of type ${before} cannot become ${wanted}`,
    {
      hint: 'INTEGER can become BIGINT, FLOAT DOUBLE, and a DECIMAL one of more digits and the same scale',
    },
  )
}
