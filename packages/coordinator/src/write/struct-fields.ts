import { type Position, SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import { quoteIdentifier } from '../sql/escape.ts'
import type { SqlType, StructField, StructType } from '../sql/sql-types.ts'
import { parseType } from '../sql/type-text.ts'
import { namedColumn } from './assigned-value.ts'

/** A field of a value that is none of the type which the value is cast to. */
interface UnknownField {
  /** Names of the fields around it, from the outermost on, and its own. */
  readonly path: readonly string[]
  /** The fields that are there. */
  readonly known: readonly string[]
}

/** Whether values of a type have fields, or values in them have. Pure. */
export const hasFields = ({ type }: Pick<ColumnRecord, 'type'>): boolean => /\bSTRUCT\(/.test(type)

/**
 * Fails with `datatype_mismatch` where values of type `source` have a field that the column does not have: the kernel's
 * cast, which goes by names, would drop it without a word. A field that is left out is NULL, as a column is. Pure.
 *
 * @param place what the message begins with, as `row 2, `
 */
export function checkFields(
  column: Pick<ColumnRecord, 'name' | 'type'>,
  source: string,
  { position, place = '' }: { readonly position?: Position; readonly place?: string },
): void {
  if (!hasFields(column) || source === column.type) return
  const [from, to] = [readType(source), readType(column.type)]
  const isUnread = from === undefined && /\bSTRUCT\(/.test(source)
  if (source === 'VARIANT' || isUnread) {
    const why = isUnread
      ? 'which fields it has is not known here'
      : 'its fields are known row by row'
    const message = `${place}${namedColumn(column)} takes no ${source}: ${why}`
    const hint = `CAST the value to ${column.type}`
    throw new SqlError('datatype_mismatch', message, { position, hint })
  }
  const unknown = from === undefined || to === undefined ? undefined : unknownField(from, to)
  if (unknown === undefined) return
  const { path, known } = unknown
  const name = path.map(quoteIdentifier).join('.')
  const names = known.map(quoteIdentifier).join(', ')
  const are = known.length === 1 ? 'field there is' : 'fields there are'
  throw new SqlError('datatype_mismatch', `${place}${namedColumn(column)} has no field ${name}`, {
    position,
    hint: `the ${are} ${names}; one that is left out is NULL`,
  })
}

/** Undefined where the type has a name in it that only the kernel knows. */
function readType(text: string): SqlType | undefined {
  try {
    // An ENUM is no type that tables have, but values may have it in them.
    return parseType(text.replaceAll(ENUM, 'VARCHAR').replaceAll(NO_NAME, quoteIdentifier(UNNAMED)))
  } catch (error) {
    if (error instanceof SqlError) return undefined
    throw error
  }
}

/** What stands for the name of a field of ROW(…), which has none: no reader of names takes an empty one. */
const UNNAMED = '\u0001'
const NO_NAME = /(?<=[(,] ?)""(?= )/g
const ENUM = /\bENUM\((?:'(?:[^']|'')*'(?:, )?)*\)/g

/** The first field of `from` that `to` does not have. */
function unknownField(from: SqlType, to: SqlType): UnknownField | undefined {
  const [source, target] = [innerType(from), innerType(to)]
  if (from.kind === 'map' && to.kind === 'map') {
    return unknownField(from.key, to.key) ?? unknownField(from.value, to.value)
  }
  if (source !== undefined && target !== undefined) return unknownField(source, target)
  return from.kind === 'struct' && to.kind === 'struct' ? unknownIn(from, to) : undefined
}

const innerType = (type: SqlType): SqlType | undefined =>
  type.kind === 'list' || type.kind === 'array' ? type.element : undefined

function unknownIn(from: StructType, to: StructType): UnknownField | undefined {
  for (const [place, field] of from.fields.entries()) {
    // ROW(…) has no names: its values are those of the fields in order, and the kernel counts them.
    const isNamed = field.name !== UNNAMED
    const same = isNamed ? fieldOf(to, field.name) : to.fields[place]
    if (same === undefined) {
      if (!isNamed) return undefined
      return { path: [field.name], known: to.fields.map(({ name }) => name) }
    }
    const inner = unknownField(field.type, same.type)
    if (inner !== undefined) return { ...inner, path: [same.name, ...inner.path] }
  }
  return undefined
}

const fieldOf = ({ fields }: StructType, name: string): StructField | undefined =>
  fields.find((field) => foldName(field.name) === foldName(name))
