import { notSupported } from '../errors.ts'
import type { Cursor } from '../cursor.ts'
import {
  decimalType,
  simpleType,
  type SimpleTypeName,
  type SqlType,
  type StructField,
} from '../sql-types.ts'

/** Names of Impala and DuckDB for types without parameters. */
const NAMES: ReadonlyMap<string, SimpleTypeName> = new Map([
  ['BOOLEAN', 'BOOLEAN'],
  ['BOOL', 'BOOLEAN'],
  ['LOGICAL', 'BOOLEAN'],
  ['TINYINT', 'TINYINT'],
  ['INT1', 'TINYINT'],
  ['SMALLINT', 'SMALLINT'],
  ['INT2', 'SMALLINT'],
  ['SHORT', 'SMALLINT'],
  ['INT', 'INTEGER'],
  ['INTEGER', 'INTEGER'],
  ['INT4', 'INTEGER'],
  ['SIGNED', 'INTEGER'],
  ['BIGINT', 'BIGINT'],
  ['INT8', 'BIGINT'],
  ['LONG', 'BIGINT'],
  ['HUGEINT', 'HUGEINT'],
  ['UTINYINT', 'UTINYINT'],
  ['USMALLINT', 'USMALLINT'],
  ['UINTEGER', 'UINTEGER'],
  ['UBIGINT', 'UBIGINT'],
  ['UHUGEINT', 'UHUGEINT'],
  ['FLOAT', 'FLOAT'],
  ['FLOAT4', 'FLOAT'],
  // As in CAST, which DuckDB reads; Impala's REAL is a DOUBLE.
  ['REAL', 'FLOAT'],
  ['DOUBLE', 'DOUBLE'],
  ['FLOAT8', 'DOUBLE'],
  ['STRING', 'VARCHAR'],
  ['VARCHAR', 'VARCHAR'],
  ['CHAR', 'VARCHAR'],
  ['BPCHAR', 'VARCHAR'],
  ['TEXT', 'VARCHAR'],
  ['BINARY', 'BLOB'],
  ['VARBINARY', 'BLOB'],
  ['BLOB', 'BLOB'],
  ['BYTEA', 'BLOB'],
  ['DATE', 'DATE'],
  ['TIME', 'TIME'],
  ['TIMESTAMP', 'TIMESTAMP'],
  ['DATETIME', 'TIMESTAMP'],
  ['TIMESTAMP_S', 'TIMESTAMP_S'],
  ['TIMESTAMP_MS', 'TIMESTAMP_MS'],
  ['TIMESTAMP_NS', 'TIMESTAMP_NS'],
  ['TIMESTAMPTZ', 'TIMESTAMP WITH TIME ZONE'],
  ['TIMETZ', 'TIME WITH TIME ZONE'],
  ['TIME_NS', 'TIME_NS'],
  ['UUID', 'UUID'],
  ['BIT', 'BIT'],
  ['BIGNUM', 'BIGNUM'],
  ['VARIANT', 'VARIANT'],
  ['INTERVAL', 'INTERVAL'],
])

const TYPE_HINT =
  'types are those of Impala and DuckDB, for example BIGINT, DECIMAL(12,2), STRING, ARRAY<INT>'

/** A type in a column list: Impala's spelling or DuckDB's, the same to the kernel. */
export function parseColumnType(cursor: Cursor): SqlType {
  let type = parseBaseType(cursor)
  while (cursor.takeSymbol('[')) {
    if (cursor.takeSymbol(']')) {
      type = { kind: 'list', element: type }
      continue
    }
    type = { kind: 'array', element: type, size: cursor.integer('a size') }
    cursor.expectSymbol(']')
  }
  return type
}

function parseBaseType(cursor: Cursor): SqlType {
  const at = cursor.at
  const token = cursor.peek()
  if (token?.kind === 'quoted' && token.value === 'NULL') {
    cursor.next()
    return simpleType('NULL')
  }
  const word = cursor.word()
  if (word === undefined) throw cursor.error('expected a type')
  cursor.next()
  switch (word) {
    case 'DECIMAL':
    case 'NUMERIC':
    case 'DEC':
      return parseDecimal(cursor, at)
    case 'ARRAY':
      return { kind: 'list', element: angled(cursor, () => parseColumnType(cursor)) }
    case 'MAP':
      return parseMap(cursor)
    case 'STRUCT':
    case 'ROW':
      return { kind: 'struct', fields: parseFields(cursor) }
    case 'UNION':
      return { kind: 'union', members: parseFields(cursor) }
    default:
      return parseSimple(cursor, word, at)
  }
}

function parseSimple(cursor: Cursor, word: string, at: number): SqlType {
  const name = NAMES.get(word)
  if (name === undefined) {
    throw notSupported(
      cursor.script,
      at,
      `the column type "${word.toLowerCase()}" is not supported`,
      TYPE_HINT,
    )
  }
  if (word === 'DOUBLE') cursor.takeWords('PRECISION')
  // CHAR(n) and VARCHAR(n) bound nothing in Parquet files; the length is read and forgotten.
  if (/^(?:VAR|BP)?CHAR$/.test(word) && cursor.takeSymbol('(')) {
    cursor.integer('a length')
    cursor.expectSymbol(')')
  }
  if ((word === 'TIMESTAMP' || word === 'TIME') && cursor.takeWords('WITH', 'TIME', 'ZONE')) {
    return simpleType(`${word} WITH TIME ZONE`)
  }
  return simpleType(name)
}

/** Impala's default is DECIMAL(9,0); DuckDB's, DECIMAL(18,3), is no answer for a file's column. */
function parseDecimal(cursor: Cursor, at: number): SqlType {
  if (!cursor.takeSymbol('(')) return decimalType(9, 0)
  const width = cursor.integer('a precision')
  const scale = cursor.takeSymbol(',') ? cursor.integer('a scale') : 0
  cursor.expectSymbol(')')
  if (width < 1 || width > 38 || scale > width) {
    throw notSupported(
      cursor.script,
      at,
      `DECIMAL(${width},${scale}) is not supported`,
      'the precision is 1 to 38, the scale at most the precision',
    )
  }
  return decimalType(width, scale)
}

/** `<…>` as in Impala or `(…)` as in DuckDB. `>>` closes two. */
function angled<T>(cursor: Cursor, inner: () => T): T {
  const isAngle = cursor.takeSymbol('<')
  if (!isAngle) cursor.expectSymbol('(')
  const value = inner()
  refuseNotNull(cursor)
  if (isAngle) cursor.expectClosingAngle()
  else cursor.expectSymbol(')')
  return value
}

/** What is in a value may be NULL. */
function refuseNotNull(cursor: Cursor): void {
  if (!cursor.isWord('NOT', 'NULL')) return
  const hint = 'leave it out there, or write it behind the type of the whole column'
  throw notSupported(cursor.script, cursor.at, 'NOT NULL within a type is not supported', hint)
}

function parseMap(cursor: Cursor): SqlType {
  return angled(cursor, () => {
    const key = parseColumnType(cursor)
    cursor.expectSymbol(',')
    return { kind: 'map', key, value: parseColumnType(cursor) }
  })
}

/** `STRUCT<a: INT, b: STRING COMMENT 'x'>` or `STRUCT(a INT, b VARCHAR)`. */
function parseFields(cursor: Cursor): readonly StructField[] {
  return angled(cursor, () => {
    const fields: StructField[] = []
    do {
      const name = cursor.name('a field name')
      cursor.takeSymbol(':')
      const type = parseColumnType(cursor)
      refuseNotNull(cursor)
      if (cursor.takeWords('COMMENT')) cursor.string('a comment')
      fields.push({ name, type })
    } while (cursor.takeSymbol(','))
    return fields
  })
}
