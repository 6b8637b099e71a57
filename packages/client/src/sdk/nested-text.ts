import { type ErrorName, SqlError } from '../protocol/errors.ts'
import type { NestedType } from './nested-type.ts'
import { Interval } from './arrow/temporal-text.ts'
import { blobText, quotedItem } from './parameters.ts'
import { decimalOf, numberOf, textOf } from './value-text.ts'

/** What is wrong with a value, or with one in it. */
export class WrongValue extends Error {
  readonly error: ErrorName
  /** From the value to the one in it that is wrong: `.a[2]`; empty: itself. */
  readonly path: string
  readonly hint: string | undefined

  constructor(
    message: string,
    {
      error,
      path,
      hint,
    }: { readonly error: ErrorName; readonly path: string; readonly hint?: string },
  ) {
    super(message)
    this.error = error
    this.path = path
    this.hint = hint
  }
}

/**
 * The text of a value that has values in it, from which the kernel casts it to the type: of arrays, objects, and maps. Each
 * value in it is a text in quotes, those that have values in them, too: the kernel takes brackets in an inner text for its
 * own. A string is a text already. Pure. Fails with {@link WrongValue}.
 */
export const nestedText = (value: unknown, type: NestedType): string => bare(value, type, '')

function bare(value: unknown, type: NestedType, path: string): string {
  const item = (inner: unknown, of: NestedType, step: string): string =>
    inner === null || inner === undefined ? 'NULL' : quotedItem(bare(inner, of, path + step))
  if (typeof value === 'string' && (type.kind !== 'scalar' || !isChecked(type.name))) return value
  switch (type.kind) {
    case 'list':
      if (!Array.isArray(value)) throw noValue(value, type, path)
      return `[${value.map((one, i) => item(one, type.element, `[${i + 1}]`)).join(', ')}]`
    case 'map': {
      if (!isRecord(value) && !(value instanceof Map)) throw noValue(value, type, path)
      const entries = value instanceof Map ? [...value] : Object.entries(value)
      const texts = entries.map(([key, one], i) => {
        const step = `[${typeof key === 'string' ? `'${key}'` : i + 1}]`
        return `${item(key, type.key, step)}=${item(one, type.value, step)}`
      })
      return `{${texts.join(', ')}}`
    }
    case 'struct':
      if (!isRecord(value)) throw noValue(value, type, path)
      checkFields(value, type.fields, path)
      return `{${[...type.fields]
        .map(([name, of]) => `${quotedItem(name)}: ${item(value[name], of, `.${name}`)}`)
        .join(', ')}}`
    case 'scalar':
      return scalarText(value, type.name, path)
  }
}

function checkFields(
  value: Readonly<Record<string, unknown>>,
  fields: ReadonlyMap<string, NestedType>,
  path: string,
): void {
  for (const name in value) {
    if (fields.has(name)) continue
    const names = [...fields.keys()].map((known) => `"${known}"`).join(', ')
    const hint = `the fields there are ${names}; one that is left out is NULL`
    throw new WrongValue(`there is no field "${name}"`, { error: 'datatype_mismatch', path, hint })
  }
}

const INTEGER = /^U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?$/
const WHOLE = /^\s*[-+]?\d+\s*$/

/** Whether a string is looked at here; others the kernel reads, as `NaN` or `yes`. */
const isChecked = (type: string): boolean => INTEGER.test(type) || type.startsWith('DECIMAL(')

/** As a column of this type takes it. */
function scalarText(value: unknown, type: string, path: string): string {
  const text = textOfScalar(value, type)
  if (text === undefined) throw noValue(value, { kind: 'scalar', name: type }, path)
  return text
}

function textOfScalar(value: unknown, type: string): string | undefined {
  if (INTEGER.test(type)) {
    const isWhole =
      typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'bigint'
    const isText = typeof value === 'string' && WHOLE.test(value)
    return isWhole || isText ? String(value).trim() : undefined
  }
  if (type === 'BOOLEAN') return typeof value === 'boolean' ? String(value) : undefined
  if (type.startsWith('DECIMAL(')) return decimalOf(value)
  if (type === 'FLOAT' || type === 'DOUBLE') {
    const isNumber = typeof value === 'bigint' || numberOf(value) !== undefined
    return isNumber ? textOf(value) : undefined
  }
  try {
    const text = textOf(value)
    return value instanceof Uint8Array && text !== undefined ? blobText(text) : text
  } catch (error) {
    if (error instanceof SqlError) return undefined
    throw error
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Map || value instanceof Date || value instanceof Interval) &&
  !ArrayBuffer.isView(value)

const noValue = (value: unknown, type: NestedType, path: string): WrongValue =>
  new WrongValue(`${shownValue(value)} is no ${typeName(type)}`, {
    ...{ error: 'invalid_text_representation', path },
  })

function typeName(type: NestedType): string {
  if (type.kind === 'scalar') return type.name
  return type.kind.toUpperCase()
}

/** A value in the text of an error. Pure. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : String(value)
}
