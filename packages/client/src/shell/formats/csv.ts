import type { Column } from '../../protocol/messages.ts'
import { cellText, TEXT_TYPES } from '../values.ts'
import type { Format } from './format.ts'

/** RFC 4180 with a header line, save that lines end as the system ends them; NULL is an empty field, an empty text `""`. */
export const csvFormat: Format = {
  types: TEXT_TYPES,
  forPeople: false,
  writer(output) {
    let columns: readonly Column[] = []
    return {
      async begin(given) {
        columns = given
        await output.write(`${given.map((column) => csvField(column.name)).join(',')}\n`)
      },
      async rows(batch) {
        for (let row = 0; row < batch.length; row++) {
          let line = ''
          for (let i = 0; i < columns.length; i++) {
            const text = cellText(batch.columns[i]?.[row], columns[i]?.type ?? '')
            line += `${i === 0 ? '' : ','}${csvField(text)}`
          }
          await output.write(`${line}\n`)
        }
      },
      async end() {},
    }
  },
}

function csvField(text: string | undefined): string {
  if (text === undefined) return ''
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
