import { quoteIdentifier, quoteLiteral } from './escape.ts'

/** Types without parameters, by the names DuckDB prints. `"NULL"` is the type of a bare NULL. */
export const SIMPLE_TYPES = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'HUGEINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'UHUGEINT',
  'FLOAT',
  'DOUBLE',
  'VARCHAR',
  'BLOB',
  'BIT',
  'DATE',
  'TIME',
  'TIME_NS',
  'TIME WITH TIME ZONE',
  'TIMESTAMP',
  'TIMESTAMP_S',
  'TIMESTAMP_MS',
  'TIMESTAMP_NS',
  'TIMESTAMP WITH TIME ZONE',
  'INTERVAL',
  'UUID',
  'BIGNUM',
  'VARIANT',
  'NULL',
] as const

export type SimpleTypeName = (typeof SIMPLE_TYPES)[number]

export interface SimpleType {
  readonly kind: 'simple'
  readonly name: SimpleTypeName
}

export interface DecimalType {
  readonly kind: 'decimal'
  /** Digits in all, 1 to 38. */
  readonly width: number
  /** Digits after the point, 0 to `width`. */
  readonly scale: number
}

export interface ListType {
  readonly kind: 'list'
  readonly element: SqlType
}

/** A list of fixed size. */
export interface ArrayType {
  readonly kind: 'array'
  readonly element: SqlType
  readonly size: number
}

export interface StructField {
  readonly name: string
  readonly type: SqlType
}

export interface StructType {
  readonly kind: 'struct'
  readonly fields: readonly StructField[]
}

export interface MapType {
  readonly kind: 'map'
  readonly key: SqlType
  readonly value: SqlType
}

export interface UnionType {
  readonly kind: 'union'
  readonly members: readonly StructField[]
}

/** A name that only the kernel's catalog can resolve (JSON, or ENUM with its values as modifiers). */
export interface NamedType {
  readonly kind: 'named'
  readonly name: string
  readonly schema: string | undefined
  readonly modifiers: readonly (string | number)[]
}

export type SqlType =
  SimpleType | DecimalType | ListType | ArrayType | StructType | MapType | UnionType | NamedType

export const simpleType = (name: SimpleTypeName): SimpleType => ({ kind: 'simple', name })
export const decimalType = (width: number, scale: number): DecimalType => ({
  kind: 'decimal',
  width,
  scale,
})

/** The type as DuckDB reads it back: `DECIMAL(12,2)`, `STRUCT("a" INTEGER)[]`. */
export function typeText(type: SqlType): string {
  switch (type.kind) {
    case 'simple':
      return type.name === 'NULL' ? '"NULL"' : type.name
    case 'decimal':
      return `DECIMAL(${type.width},${type.scale})`
    case 'list':
      return `${typeText(type.element)}[]`
    case 'array':
      return `${typeText(type.element)}[${type.size}]`
    case 'struct':
      return `STRUCT(${fieldsText(type.fields)})`
    case 'map':
      return `MAP(${typeText(type.key)}, ${typeText(type.value)})`
    case 'union':
      return `UNION(${fieldsText(type.members)})`
    case 'named': {
      const schema = type.schema === undefined ? '' : `${quoteIdentifier(type.schema)}.`
      const name = `${schema}${quoteIdentifier(type.name)}`
      if (type.modifiers.length === 0) return name
      const texts = type.modifiers.map((m) => (typeof m === 'number' ? String(m) : quoteLiteral(m)))
      return `${name}(${texts.join(', ')})`
    }
  }
}

const fieldsText = (fields: readonly StructField[]): string =>
  fields.map((f) => `${quoteIdentifier(f.name)} ${typeText(f.type)}`).join(', ')

export const sameType = (a: SqlType, b: SqlType): boolean => typeText(a) === typeText(b)
