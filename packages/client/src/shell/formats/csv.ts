import type { Column } from '../../protocol/messages.ts'
import { cellText, isNumericType, TEXT_TYPES } from '../values.ts'
import type { Format } from './format.ts'

/** Rows are written by pieces of about this size: a call for each would cost more than making its text. */
const PIECE_CHARACTERS = 32 * 1024

/** RFC 4180 with a header line, save that lines end as the system ends them; NULL is an empty field, an empty text `""`. */
export const csvFormat: Format = {
  types: TEXT_TYPES,
  forPeople: false,
  writer(output) {
    let fields: readonly FieldText[] = []
    return {
      async begin(columns) {
        fields = columns.map(fieldText)
        await output.write(`${columns.map((column) => quoted(column.name)).join(',')}\n`)
      },
      async rows(batch) {
        const columns = fields.map((field, i) => ({ field, values: batch.columns[i] ?? [] }))
        let piece = ''
        for (let row = 0; row < batch.length; row++) {
          let separator = ''
          for (const { field, values } of columns) {
            piece += separator + field(values[row])
            separator = ','
          }
          piece += '\n'
          if (piece.length < PIECE_CHARACTERS) continue
          await output.write(piece)
          piece = ''
        }
        if (piece !== '') await output.write(piece)
      },
      async end() {},
    }
  },
}

type FieldText = (value: unknown) => string

/** What numbers and dates look like needs no quotes, whatever their value. */
const isPlain = (sqlType: string): boolean =>
  isNumericType(sqlType) || sqlType === 'DATE' || sqlType === 'BOOLEAN'

function fieldText({ type }: Column): FieldText {
  if (isPlain(type)) return (value) => cellText(value, type) ?? ''
  return (value) => {
    const text = cellText(value, type)
    return text === undefined ? '' : quoted(text)
  }
}

const quoted = (text: string): string =>
  text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
