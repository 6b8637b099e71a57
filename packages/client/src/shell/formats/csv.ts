import type { Column } from '../../protocol/messages.ts'
import { cellText, isNumericType, TEXT_TYPES } from '../values.ts'
import type { Output } from '../output.ts'
import type { Format, ResultWriter } from './format.ts'

/** Rows are written by pieces of about this size: a call for each would cost more than making its text. */
const PIECE_CHARACTERS = 32 * 1024

/** RFC 4180 with a header line, save that lines end as the system ends them; NULL is an empty field, an empty text `""`. */
export const csvFormat: Format = csvFormatOf({ header: true, delimiter: ',', nullText: '' })

export interface CsvDialect {
  readonly header: boolean
  /** One character. */
  readonly delimiter: string
  /** What stands for NULL; a text that is the same is put in quotes. */
  readonly nullText: string
}

export function csvFormatOf(dialect: CsvDialect): Format {
  const { header, delimiter, nullText } = dialect
  const quoted = (text: string): string =>
    text === '' || text === nullText || text.includes(delimiter) || /["\r\n]/.test(text)
      ? `"${text.replaceAll('"', '""')}"`
      : text
  /** What numbers and dates look like needs no quotes, whatever their value, where all that is CSV's own is usual. */
  const isUsual = delimiter === ',' && nullText === ''
  const fieldText = ({ type }: Column): FieldText => {
    if (isUsual && isPlain(type)) return (value) => cellText(value, type) ?? ''
    return (value) => {
      const text = cellText(value, type)
      return text === undefined ? nullText : quoted(text)
    }
  }
  return { types: TEXT_TYPES, forPeople: false, writer }

  function writer(output: Output): ResultWriter {
    let fields: readonly FieldText[] = []
    return {
      async begin(columns) {
        fields = columns.map(fieldText)
        const names = columns.map((column) => quoted(column.name))
        if (header) await output.write(`${names.join(delimiter)}\n`)
      },
      async rows(batch) {
        const columns = fields.map((field, i) => ({ field, values: batch.columns[i] ?? [] }))
        let piece = ''
        for (let row = 0; row < batch.length; row++) {
          let separator = ''
          for (const { field, values } of columns) {
            piece += separator + field(values[row])
            separator = delimiter
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
  }
}

type FieldText = (value: unknown) => string

const isPlain = (sqlType: string): boolean =>
  isNumericType(sqlType) || sqlType === 'DATE' || sqlType === 'BOOLEAN'
