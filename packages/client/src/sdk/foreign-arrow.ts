import type { Data, DataType, Field, Table, Vector } from 'apache-arrow'
import type { ArrowRows } from './insert.ts'

type Arrow = typeof import('apache-arrow')

/** Classes that are not named as the number of their type is. */
const CLASSES: Readonly<Record<string, string>> = { Date: 'Date_', Map: 'Map_' }

/**
 * Rows as a table of this copy of the library. There may be several in one process, as one for `require` and one for
 * `import`, or another version. They know each other's tables, but not the types of their columns, of which the writer
 * then wrote a schema without any. Buffers are shared.
 */
export function ownTable(arrow: Arrow, rows: ArrowRows): Table {
  const table = 'batches' in rows ? (rows as unknown as Table) : new arrow.Table([rows as never])
  if (table.schema.fields.every(({ type }) => type instanceof arrow.DataType)) return table
  const schema = new arrow.Schema(table.schema.fields.map((field) => ownField(arrow, field)))
  const type = new arrow.Struct(schema.fields)
  // The one batch of a table without rows is a placeholder, whose parts are none of data.
  const filled = table.batches.filter(({ numRows }) => numRows > 0)
  const batches = filled.map(({ data }) => {
    const children = data.children.map((child) => ownData(arrow, child))
    const { offset, length } = data
    const values = arrow.makeData({ type, offset, length, nullCount: 0, children })
    return new arrow.RecordBatch(schema, values)
  })
  return new arrow.Table(schema, batches)
}

const ownField = (arrow: Arrow, { name, type, nullable, metadata }: Field): Field =>
  new arrow.Field(name, ownType(arrow, type), nullable, new Map(metadata))

function ownType(arrow: Arrow, type: DataType): DataType {
  const name = arrow.Type[type.typeId] ?? ''
  const made = (arrow as unknown as Record<string, { readonly prototype: object } | undefined>)[
    CLASSES[name] ?? name
  ]
  if (made === undefined) throw new TypeError(`the Arrow type ${String(type)} is not known`)
  const { children, dictionary, indices } = type as {
    readonly children?: readonly Field[] | null
    readonly dictionary?: DataType
    readonly indices?: DataType
  }
  return Object.assign(Object.create(made.prototype) as DataType, type, {
    ...(children && { children: children.map((field) => ownField(arrow, field)) }),
    ...(dictionary && { dictionary: ownType(arrow, dictionary) }),
    ...(indices && { indices: ownType(arrow, indices) }),
  })
}

function ownData(arrow: Arrow, data: Data): Data {
  const { type, offset, length, nullCount, buffers, children, dictionary } = data
  const inner = children.map((child) => ownData(arrow, child))
  return new arrow.Data(
    ...([ownType(arrow, type), offset, length, nullCount, buffers, inner] as const),
    dictionary === undefined ? undefined : ownVector(arrow, dictionary),
  )
}

const ownVector = (arrow: Arrow, vector: Vector): Vector =>
  new arrow.Vector(vector.data.map((data) => ownData(arrow, data)))
