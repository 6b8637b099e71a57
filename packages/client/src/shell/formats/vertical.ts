import type { Column } from '../../protocol/messages.ts'
import { cellText, TEXT_TYPES } from '../values.ts'
import { displayWidth, visible } from './display-width.ts'
import type { Format } from './format.ts'
import { countedRows } from './table.ts'

/** One line a value, for rows too wide for a table. */
export const verticalFormat: Format = {
  types: TEXT_TYPES,
  forPeople: true,
  writer(output) {
    let columns: readonly Column[] = []
    let names: readonly string[] = []
    let number = 0
    return {
      async begin(given) {
        columns = given
        const shown = given.map((column) => visible(column.name))
        const width = Math.max(0, ...shown.map(displayWidth))
        names = shown.map((name) => `${' '.repeat(width - displayWidth(name))}${name}`)
      },
      async rows(batch) {
        for (let row = 0; row < batch.length; row++) {
          await output.write(`─── row ${++number} ───\n`)
          for (const [i, column] of columns.entries()) {
            const text = cellText(batch.columns[i]?.[row], column.type)
            await output.write(`${names[i]}: ${text === undefined ? 'NULL' : visible(text)}\n`)
          }
        }
      },
      async end(outcome) {
        await output.write(`(${countedRows(outcome.rowCount)})\n`)
      },
    }
  },
}
