import duckdb, { type LogicalType } from '@duckdb/node-bindings'
import { wireTypeOf } from './wire-type.ts'

const { Type } = duckdb

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Prints types of one kernel, which alone knows its keywords. */
export class TypeNames {
  readonly #keywords: ReadonlySet<string>

  /** `keywords`: the words that the kernel quotes where they are names. */
  constructor(keywords: ReadonlySet<string>) {
    this.#keywords = keywords
  }

  /** The type as the kernel prints it, for example `DECIMAL(15,2)` or `STRUCT(a INTEGER, "b c" VARCHAR[])`. */
  nameOf(type: LogicalType): string {
    // JSON is a VARCHAR by another name.
    return duckdb.logical_type_get_alias(type) || this.#name(type, (child) => this.nameOf(child))
  }

  /** The type to cast to so that the wire can carry it: every leaf that it cannot carry becomes VARCHAR. */
  castTypeOf(type: LogicalType): string {
    if (wireTypeOf(type) !== undefined) return this.nameOf(type)
    const id = duckdb.get_type_id(type)
    if (!NESTED.has(id)) return id === Type.SQLNULL ? 'INTEGER' : 'VARCHAR'
    return this.#name(type, (child) => this.castTypeOf(child))
  }

  #name(type: LogicalType, nameOf: (child: LogicalType) => string): string {
    const id: number = duckdb.get_type_id(type)
    switch (id) {
      case Type.DECIMAL:
        return `DECIMAL(${duckdb.decimal_width(type)},${duckdb.decimal_scale(type)})`
      case Type.ENUM:
        return `ENUM(${enumValues(type).map(quoteText).join(', ')})`
      case Type.LIST:
        return `${nameOf(duckdb.list_type_child_type(type))}[]`
      case Type.ARRAY:
        return `${nameOf(duckdb.array_type_child_type(type))}[${duckdb.array_type_array_size(type)}]`
      case Type.MAP: {
        const key = nameOf(duckdb.map_type_key_type(type))
        return `MAP(${key}, ${nameOf(duckdb.map_type_value_type(type))})`
      }
      case Type.STRUCT:
        return `STRUCT(${structFields(type)
          .map((f) => this.#field(f, nameOf))
          .join(', ')})`
      case Type.UNION:
        return `UNION(${unionMembers(type)
          .map((f) => this.#field(f, nameOf))
          .join(', ')})`
      default:
        return SCALAR_NAMES.get(id) ?? 'VARCHAR'
    }
  }

  #field(field: Field, nameOf: (child: LogicalType) => string): string {
    return `${this.#quoteName(field.name)} ${nameOf(field.type)}`
  }

  #quoteName(name: string): string {
    if (PLAIN_NAME.test(name) && !this.#keywords.has(name.toLowerCase())) return name
    return `"${name.replaceAll('"', '""')}"`
  }
}

interface Field {
  readonly name: string
  readonly type: LogicalType
}

const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`

function enumValues(type: LogicalType): string[] {
  return Array.from({ length: duckdb.enum_dictionary_size(type) }, (_, i) =>
    duckdb.enum_dictionary_value(type, i),
  )
}

function structFields(type: LogicalType): Field[] {
  return Array.from({ length: duckdb.struct_type_child_count(type) }, (_, i) => ({
    name: duckdb.struct_type_child_name(type, i),
    type: duckdb.struct_type_child_type(type, i),
  }))
}

function unionMembers(type: LogicalType): Field[] {
  return Array.from({ length: duckdb.union_type_member_count(type) }, (_, i) => ({
    name: duckdb.union_type_member_name(type, i),
    type: duckdb.union_type_member_type(type, i),
  }))
}

const NESTED: ReadonlySet<number> = new Set([Type.LIST, Type.ARRAY, Type.MAP, Type.STRUCT])

const SCALAR_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [Type.BOOLEAN, 'BOOLEAN'],
  [Type.TINYINT, 'TINYINT'],
  [Type.SMALLINT, 'SMALLINT'],
  [Type.INTEGER, 'INTEGER'],
  [Type.BIGINT, 'BIGINT'],
  [Type.HUGEINT, 'HUGEINT'],
  [Type.UTINYINT, 'UTINYINT'],
  [Type.USMALLINT, 'USMALLINT'],
  [Type.UINTEGER, 'UINTEGER'],
  [Type.UBIGINT, 'UBIGINT'],
  [Type.UHUGEINT, 'UHUGEINT'],
  [Type.FLOAT, 'FLOAT'],
  [Type.DOUBLE, 'DOUBLE'],
  [Type.DATE, 'DATE'],
  [Type.TIME, 'TIME'],
  [Type.TIME_NS, 'TIME_NS'],
  [Type.TIME_TZ, 'TIME WITH TIME ZONE'],
  [Type.TIMESTAMP, 'TIMESTAMP'],
  [Type.TIMESTAMP_S, 'TIMESTAMP_S'],
  [Type.TIMESTAMP_MS, 'TIMESTAMP_MS'],
  [Type.TIMESTAMP_NS, 'TIMESTAMP_NS'],
  [Type.TIMESTAMP_TZ, 'TIMESTAMP WITH TIME ZONE'],
  [Type.INTERVAL, 'INTERVAL'],
  [Type.VARCHAR, 'VARCHAR'],
  [Type.BLOB, 'BLOB'],
  [Type.BIT, 'BIT'],
  [Type.UUID, 'UUID'],
  [Type.BIGNUM, 'BIGNUM'],
  [Type.SQLNULL, '"NULL"'],
  [Type.VARIANT, 'VARIANT'],
  [Type.GEOMETRY, 'GEOMETRY'],
])
