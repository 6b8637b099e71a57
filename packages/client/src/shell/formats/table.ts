import type { Column } from '../../protocol/messages.ts'
import type { ColumnBatch } from '../../sdk/batch-decoder.ts'
import type { Outcome } from '../../sdk/query-stream.ts'
import type { Output } from '../output.ts'
import { cellText, isNumericType, TEXT_TYPES } from '../values.ts'
import { displayWidth, visible } from './display-width.ts'
import type { Format, FormatOptions, ResultWriter } from './format.ts'

/** Column widths are taken from so many rows; later ones that are wider stick out. */
const WIDTH_SAMPLE_ROWS = 5_000
const DIM = '\u001b[2m'
const BOLD = '\u001b[1m'
const PLAIN = '\u001b[0m'

/**
 * A box with right-aligned numbers, NULL spelt out, and the number of rows below. A text of several lines takes as many;
 * `↵` stands where it goes on, as in psql.
 */
export const tableFormat: Format = {
  types: TEXT_TYPES,
  forPeople: true,
  writer: (output, options) => new TableWriter(output, options),
}

/** The lines of a value; undefined for NULL. */
type Cell = readonly string[] | undefined

const NULL: readonly string[] = ['NULL']

class TableWriter implements ResultWriter {
  readonly #output: Output
  readonly #color: boolean
  #columns: readonly Column[] = []
  #sample: Cell[][] | undefined = []
  #widths: readonly number[] = []

  constructor(output: Output, options: FormatOptions) {
    this.#output = output
    this.#color = options.color
  }

  async begin(columns: readonly Column[]): Promise<void> {
    this.#columns = columns
  }

  async rows(batch: ColumnBatch): Promise<void> {
    for (let row = 0; row < batch.length; row++) {
      const cells = this.#columns.map(({ type }, i) => {
        const text = cellText(batch.columns[i]?.[row], type)
        return text?.split('\n').map(visible)
      })
      if (this.#sample === undefined) {
        await this.#writeRow(cells)
      } else {
        this.#sample.push(cells)
        if (this.#sample.length >= WIDTH_SAMPLE_ROWS) await this.#writeSample()
      }
    }
  }

  async end(outcome: Outcome): Promise<void> {
    await this.#writeSample()
    await this.#output.write(`${this.#rule('└', '┴', '┘')}(${countedRows(outcome.rowCount)})\n`)
  }

  async #writeSample(): Promise<void> {
    const sample = this.#sample
    if (sample === undefined) return
    this.#sample = undefined
    const names = this.#columns.map((column) => visible(column.name))
    this.#widths = names.map((name, i) =>
      sample.reduce(
        (width, cells) => Math.max(width, ...(cells[i] ?? NULL).map(displayWidth)),
        displayWidth(name),
      ),
    )
    const header = names.map((name, i) => this.#pad(name, i, { style: BOLD, goesOn: false }))
    await this.#output.write(
      `${this.#rule('┌', '┬', '┐')}│${header.join('│')}│\n${this.#rule('├', '┼', '┤')}`,
    )
    for (const cells of sample) await this.#writeRow(cells)
  }

  async #writeRow(cells: readonly Cell[]): Promise<void> {
    const height = Math.max(1, ...cells.map((lines) => lines?.length ?? 1))
    for (let line = 0; line < height; line++) {
      const padded = cells.map((lines, i) =>
        this.#pad((lines ?? NULL)[line] ?? '', i, {
          style: lines === undefined ? DIM : '',
          goesOn: line + 1 < (lines?.length ?? 1),
        }),
      )
      await this.#output.write(`│${padded.join('│')}│\n`)
    }
  }

  #pad(
    text: string,
    column: number,
    { style, goesOn }: { readonly style: string; readonly goesOn: boolean },
  ): string {
    const blanks = ' '.repeat(Math.max(0, (this.#widths[column] ?? 0) - displayWidth(text)))
    const styled = this.#color && style !== '' ? `${style}${text}${PLAIN}` : text
    const right = isNumericType(this.#columns[column]?.type ?? '')
    const edge = goesOn ? '↵' : ' '
    return right ? ` ${blanks}${styled}${edge}` : ` ${styled}${blanks}${edge}`
  }

  #rule(left: string, middle: string, right: string): string {
    const lines = this.#widths.map((width) => '─'.repeat(width + 2))
    return `${left}${lines.join(middle)}${right}\n`
  }
}

export const countedRows = (count: number): string => `${count} ${count === 1 ? 'row' : 'rows'}`
