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

/** A box with right-aligned numbers, NULL spelt out, and the number of rows below. */
export const tableFormat: Format = {
  types: TEXT_TYPES,
  forPeople: true,
  writer: (output, options) => new TableWriter(output, options),
}

type Cell = string | undefined

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
        return text === undefined ? undefined : visible(text)
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
        (width, cells) => Math.max(width, displayWidth(cells[i] ?? 'NULL')),
        displayWidth(name),
      ),
    )
    const header = names.map((name, i) => this.#pad(name, i, BOLD))
    await this.#output.write(
      `${this.#rule('┌', '┬', '┐')}│${header.join('│')}│\n${this.#rule('├', '┼', '┤')}`,
    )
    for (const cells of sample) await this.#writeRow(cells)
  }

  async #writeRow(cells: readonly Cell[]): Promise<void> {
    const padded = cells.map((text, i) =>
      this.#pad(text ?? 'NULL', i, text === undefined ? DIM : ''),
    )
    await this.#output.write(`│${padded.join('│')}│\n`)
  }

  #pad(text: string, column: number, style: string): string {
    const blanks = ' '.repeat(Math.max(0, (this.#widths[column] ?? 0) - displayWidth(text)))
    const styled = this.#color && style !== '' ? `${style}${text}${PLAIN}` : text
    const right = isNumericType(this.#columns[column]?.type ?? '')
    return right ? ` ${blanks}${styled} ` : ` ${styled}${blanks} `
  }

  #rule(left: string, middle: string, right: string): string {
    const lines = this.#widths.map((width) => '─'.repeat(width + 2))
    return `${left}${lines.join(middle)}${right}\n`
  }
}

export const countedRows = (count: number): string => `${count} ${count === 1 ? 'row' : 'rows'}`
