import { assert } from '../base/assert.ts'
import { SqlError } from '../protocol/errors.ts'
import type { Column } from '../protocol/messages.ts'
import { objectBuilder, readColumns, readDictionary } from './arrow/columns.ts'
import type { Converters } from './arrow/converters.ts'
import { decodeMessage } from './arrow/message.ts'
import type { ArrowField, ArrowSchema } from './arrow/schema.ts'

export type Row = Record<string, unknown>

/** The decoded values of one record batch, by column. Rows are made of them one at a time, as they are asked for. */
export interface ColumnBatch {
  readonly length: number
  readonly columns: readonly (readonly unknown[])[]
}

/** Turns the frames of one result, in their order, into columns of JavaScript values. */
export class BatchDecoder {
  readonly #converters: Converters
  readonly #sqlTypes: readonly string[]
  readonly #dictionaries = new Map<bigint, readonly unknown[]>()
  #schema: ArrowSchema | undefined

  constructor(columns: readonly Column[], converters: Converters) {
    this.#converters = converters
    this.#sqlTypes = columns.map((column) => column.type)
  }

  /** The columns of a record batch; undefined for a schema or a dictionary, which are only remembered. */
  decode(payload: Uint8Array): ColumnBatch | undefined {
    const message = decodeMessage(payload)
    if (message.kind === 'schema') {
      this.#onSchema(message.schema)
      return undefined
    }
    const schema = this.#schema
    if (schema === undefined)
      throw new SqlError('protocol_violation', 'data came before its schema')
    const context = { converters: this.#converters, dictionaries: this.#dictionaries }
    if (message.kind === 'dictionary') {
      const field = fieldOfDictionary(schema.fields, message.id)
      const values = readDictionary(field, message.batch, context)
      const before = message.delta ? (this.#dictionaries.get(message.id) ?? []) : []
      this.#dictionaries.set(message.id, [...before, ...values])
      return undefined
    }
    const columns = readColumns(schema, message.batch, this.#sqlTypes, context)
    return { length: message.batch.length, columns }
  }

  #onSchema(schema: ArrowSchema): void {
    if (schema.fields.length !== this.#sqlTypes.length) {
      throw new SqlError(
        'protocol_violation',
        `the schema has ${schema.fields.length} columns, but ${this.#sqlTypes.length} were announced`,
      )
    }
    this.#schema = schema
  }
}

function fieldOfDictionary(fields: readonly ArrowField[], id: bigint): ArrowField {
  const found = findField(fields, id)
  if (found === undefined)
    throw new SqlError('protocol_violation', `no column has dictionary ${id}`)
  return found
}

function findField(fields: readonly ArrowField[], id: bigint): ArrowField | undefined {
  for (const field of fields) {
    if (field.dictionary?.id === id) return field
    const inner = findField(childrenOf(field), id)
    if (inner !== undefined) return inner
  }
  return undefined
}

function childrenOf({ type }: ArrowField): readonly ArrowField[] {
  switch (type.kind) {
    case 'list':
    case 'fixedList':
      return [type.item]
    case 'map':
      return [type.entries]
    case 'struct':
      return type.fields
    default:
      return []
  }
}

/** Names as keys of an object: a name that was there before gets a number, `a`, `a_1`, `a_2`. */
export function uniqueNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    let unique = name
    for (let n = 1; taken.has(unique); n++) unique = `${name}_${n}`
    taken.add(unique)
    return unique
  })
}

/** Makes the row objects of batches that have these columns. */
export function rowMaker(columns: readonly Column[]): (batch: ColumnBatch, row: number) => Row {
  const build = objectBuilder(uniqueNames(columns.map((column) => column.name)))
  return (batch, row) => {
    assert(row < batch.length, 'row beyond its batch')
    return build(batch.columns, row)
  }
}
