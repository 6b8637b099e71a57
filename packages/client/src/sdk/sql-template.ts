import { SqlError } from '../protocol/errors.ts'
import type { ParameterValue } from './parameters.ts'

/** SQL text that is put in as it stands. Made by `sql.raw` and `sql.id`; never from input. */
export class SqlText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A part of a statement with its own parameters; may stand inside another template. */
export class SqlFragment {
  readonly strings: readonly string[]
  readonly values: readonly TemplateValue[]

  constructor(strings: readonly string[], values: readonly TemplateValue[]) {
    this.strings = strings
    this.values = values
  }
}

export type TemplateValue = ParameterValue | SqlText | SqlFragment

export interface BoundStatement {
  readonly sql: string
  readonly params: readonly ParameterValue[]
}

/** Writes out a template: values become `$1`, `$2`, … in order, fragments and texts go into the statement itself. */
export function compileTemplate(fragment: SqlFragment): BoundStatement {
  const params: ParameterValue[] = []
  const write = ({ strings, values }: SqlFragment): string =>
    strings
      .map((text, i) => (i < values.length ? text + writeValue(values[i] as TemplateValue) : text))
      .join('')
  const writeValue = (value: TemplateValue): string => {
    if (value instanceof SqlText) return value.text
    if (value instanceof SqlFragment) return write(value)
    params.push(value)
    return `$${params.length}`
  }
  return { sql: write(fragment), params }
}

/** An identifier of one or more parts, quoted: `id('sales', 'orders')` is `"sales"."orders"`. */
export function sqlId(...parts: readonly string[]): SqlText {
  if (parts.length === 0) {
    throw new SqlError('invalid_parameter_value', 'sql.id needs a name')
  }
  for (const part of parts) {
    if (part === '' || part.includes('\0')) {
      throw new SqlError('invalid_parameter_value', `${JSON.stringify(part)} is not an identifier`)
    }
  }
  return new SqlText(parts.map((part) => `"${part.replaceAll('"', '""')}"`).join('.'))
}

export const sqlRaw = (text: string): SqlText => new SqlText(text)

/** Values or fragments with a separator between them, for lists: `where id in (${sql.join(ids)})`. */
export function sqlJoin(items: readonly TemplateValue[], separator = ', '): SqlFragment {
  if (items.length === 0) {
    throw new SqlError('invalid_parameter_value', 'sql.join got an empty list', {
      hint: 'leave the whole clause out where there is nothing to list',
    })
  }
  const between = items.slice(1).map(() => separator)
  return new SqlFragment(['', ...between, ''], items)
}
