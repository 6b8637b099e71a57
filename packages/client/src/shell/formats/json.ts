import type { Column } from '../../protocol/messages.ts'
import { type ColumnBatch, uniqueNames } from '../../sdk/batch-decoder.ts'
import { JSON_TYPES, jsonText } from '../json-values.ts'
import type { Format } from './format.ts'

/** Writes the text of one row as a JSON object. */
type RowText = (batch: ColumnBatch, row: number) => string

function rowText(columns: readonly Column[]): RowText {
  const names = uniqueNames(columns.map((column) => column.name))
  const keys = names.map((name, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`)
  return (batch, row) => {
    let text = ''
    for (let i = 0; i < keys.length; i++) {
      const type = columns[i]?.type ?? ''
      text += `${keys[i]}${jsonText(batch.columns[i]?.[row], type)}`
    }
    return `${text === '' ? '{' : text}}`
  }
}

/** One object a line. */
export const jsonLinesFormat: Format = {
  types: JSON_TYPES,
  forPeople: false,
  writer(output) {
    let text: RowText = () => '{}'
    return {
      async begin(columns) {
        text = rowText(columns)
      },
      async rows(batch) {
        for (let row = 0; row < batch.length; row++) await output.write(`${text(batch, row)}\n`)
      },
      async end() {},
    }
  },
}

/** One array of objects, closed only when the result is complete. */
export const jsonFormat: Format = {
  types: JSON_TYPES,
  forPeople: false,
  writer(output) {
    let text: RowText = () => '{}'
    let separator = '['
    return {
      async begin(columns) {
        text = rowText(columns)
      },
      async rows(batch) {
        for (let row = 0; row < batch.length; row++) {
          await output.write(`${separator}${text(batch, row)}`)
          separator = ',\n'
        }
      },
      async end() {
        await output.write(separator === '[' ? '[]\n' : ']\n')
      },
    }
  },
}
