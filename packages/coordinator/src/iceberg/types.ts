import { SqlError } from '@nyala/client/protocol'
import { decimalType, simpleType, type SimpleTypeName, type SqlType } from '../sql/sql-types.ts'

/** A type as Iceberg's metadata has it: a primitive's name, or a nested type whose parts have ids. */
export type IcebergType = string | IcebergStruct | IcebergList | IcebergMap

export interface IcebergStruct {
  readonly type: 'struct'
  readonly fields: readonly IcebergField[]
}

export interface IcebergList {
  readonly type: 'list'
  readonly 'element-id': number
  readonly 'element-required': boolean
  readonly element: IcebergType
}

export interface IcebergMap {
  readonly type: 'map'
  readonly 'key-id': number
  readonly key: IcebergType
  readonly 'value-id': number
  readonly 'value-required': boolean
  readonly value: IcebergType
}

export interface IcebergField {
  readonly id: number
  readonly name: string
  readonly required: boolean
  readonly type: IcebergType
  readonly doc?: string
}

export interface IcebergSchema extends IcebergStruct {
  readonly 'schema-id': number
  readonly 'identifier-field-ids'?: readonly number[]
}

export interface NewColumn {
  readonly name: string
  readonly type: SqlType
  readonly comment?: string | undefined
  readonly notNull?: boolean | undefined
}

const PRIMITIVES: ReadonlyMap<SimpleTypeName, string> = new Map<SimpleTypeName, string>([
  ['BOOLEAN', 'boolean'],
  ['INTEGER', 'int'],
  ['BIGINT', 'long'],
  ['FLOAT', 'float'],
  ['DOUBLE', 'double'],
  ['DATE', 'date'],
  ['TIME', 'time'],
  ['TIMESTAMP', 'timestamp'],
  ['TIMESTAMP WITH TIME ZONE', 'timestamptz'],
  ['VARCHAR', 'string'],
  ['UUID', 'uuid'],
  ['BLOB', 'binary'],
])

/** The narrowest type that Iceberg has and that holds every value of the other. */
const WIDER: ReadonlyMap<SimpleTypeName, SqlType> = new Map<SimpleTypeName, SqlType>([
  ['TINYINT', simpleType('INTEGER')],
  ['SMALLINT', simpleType('INTEGER')],
  ['UTINYINT', simpleType('INTEGER')],
  ['USMALLINT', simpleType('INTEGER')],
  ['UINTEGER', simpleType('BIGINT')],
  ['UBIGINT', decimalType(20, 0)],
  ['HUGEINT', decimalType(38, 0)],
  ['TIMESTAMP_S', simpleType('TIMESTAMP')],
  ['TIMESTAMP_MS', simpleType('TIMESTAMP')],
  ['NULL', simpleType('INTEGER')],
])

/**
 * The type that a table keeps values of `type` in: the same, or a wider one where Iceberg has no such type. HUGEINT
 * becomes DECIMAL(38,0), which has all that a sum of BIGINT can be. Fails with `feature_not_supported` and the column.
 */
export function storableType(type: SqlType, column: string): SqlType {
  switch (type.kind) {
    case 'simple': {
      if (PRIMITIVES.has(type.name)) return type
      const wider = WIDER.get(type.name)
      if (wider !== undefined) return wider
      throw unstorable(type.name, column)
    }
    case 'decimal':
      return type
    case 'list':
      return { ...type, element: storableType(type.element, column) }
    case 'array':
      return { kind: 'list', element: storableType(type.element, column) }
    case 'struct':
      return {
        ...type,
        fields: type.fields.map((f) => ({ ...f, type: storableType(f.type, column) })),
      }
    case 'map':
      return {
        ...type,
        key: storableType(type.key, column),
        value: storableType(type.value, column),
      }
    case 'union':
      throw unstorable('UNION', column)
    case 'named':
      if (type.name.toUpperCase() === 'JSON') return simpleType('VARCHAR')
      throw unstorable(type.name, column)
  }
}

function unstorable(type: string, column: string): SqlError {
  return new SqlError(
    'feature_not_supported',
    `column "${column}" has the type ${type}, which an Iceberg table cannot hold`,
    { hint: 'cast it to a type such as VARCHAR, BIGINT, DECIMAL or TIMESTAMP' },
  )
}

/** Gives out field ids from `first` on: those of the columns before those inside them, as other writers do. */
export class FieldIds {
  #last: number

  constructor(last = 0) {
    this.#last = last
  }

  /** The highest id given out. */
  get last(): number {
    return this.#last
  }

  next(): number {
    return ++this.#last
  }
}

/** Columns as fields of a schema. Their types must be such as {@link storableType} gives. */
export function fieldsOf(columns: readonly NewColumn[], ids: FieldIds): readonly IcebergField[] {
  const numbered = columns.map((column) => ({ column, id: ids.next() }))
  return numbered.map(({ column, id }) => ({
    id,
    name: column.name,
    required: column.notNull === true,
    type: icebergTypeOf(column.type, ids),
    ...(column.comment === undefined ? {} : { doc: column.comment }),
  }))
}

export function icebergTypeOf(type: SqlType, ids: FieldIds): IcebergType {
  switch (type.kind) {
    case 'simple': {
      const primitive = PRIMITIVES.get(type.name)
      if (primitive === undefined) throw unstorable(type.name, '')
      return primitive
    }
    case 'decimal':
      return `decimal(${type.width}, ${type.scale})`
    case 'list': {
      const id = ids.next()
      const element = icebergTypeOf(type.element, ids)
      return { type: 'list', 'element-id': id, 'element-required': false, element }
    }
    case 'struct':
      return { type: 'struct', fields: fieldsOf(type.fields, ids) }
    case 'map': {
      const [keyId, valueId] = [ids.next(), ids.next()]
      return {
        type: 'map',
        'key-id': keyId,
        key: icebergTypeOf(type.key, ids),
        'value-id': valueId,
        'value-required': false,
        value: icebergTypeOf(type.value, ids),
      }
    }
    case 'array':
    case 'union':
    case 'named':
      throw unstorable(type.kind.toUpperCase(), '')
  }
}

const SIMPLE_OF = new Map([...PRIMITIVES].map(([sql, iceberg]) => [iceberg, sql]))

/** The SQL type that values of an Iceberg type are read as. Fails with `feature_not_supported`. */
export function sqlTypeOf(type: IcebergType): SqlType {
  if (typeof type !== 'string') return nestedSqlType(type)
  const simple = SIMPLE_OF.get(type)
  if (simple !== undefined) return simpleType(simple)
  const decimal = /^decimal\((\d+),\s*(\d+)\)$/.exec(type)
  if (decimal !== null) return decimalType(Number(decimal[1]), Number(decimal[2]))
  if (/^fixed\[\d+\]$/.test(type)) return simpleType('BLOB')
  throw new SqlError('feature_not_supported', `the Iceberg type "${type}" is not known`)
}

function nestedSqlType(type: Exclude<IcebergType, string>): SqlType {
  switch (type.type) {
    case 'struct':
      return {
        kind: 'struct',
        fields: type.fields.map(({ name, type: inner }) => ({ name, type: sqlTypeOf(inner) })),
      }
    case 'list':
      return { kind: 'list', element: sqlTypeOf(type.element) }
    case 'map':
      return { kind: 'map', key: sqlTypeOf(type.key), value: sqlTypeOf(type.value) }
  }
}
