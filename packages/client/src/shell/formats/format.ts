import type { TypeOptions } from '../../sdk/arrow/converters.ts'
import type { ColumnBatch } from '../../sdk/batch-decoder.ts'
import type { Column } from '../../protocol/messages.ts'
import type { Outcome, QueryStream } from '../../sdk/query-stream.ts'
import type { Output } from '../output.ts'
import { arrowFormat } from './arrow.ts'
import { csvFormat } from './csv.ts'
import { jsonFormat, jsonLinesFormat } from './json.ts'
import { tableFormat } from './table.ts'
import { verticalFormat } from './vertical.ts'

/** Writes one result. Calls come in the order begin, rows*, end; begin only for a statement that has columns. */
export interface ResultWriter {
  begin(columns: readonly Column[]): Promise<void>
  rows(batch: ColumnBatch): Promise<void>
  end(outcome: Outcome): Promise<void>
}

export interface FormatOptions {
  readonly color: boolean
}

export interface Format {
  /** How the values are wanted. */
  readonly types: TypeOptions
  /** True where people read it: command tags are shown too. */
  readonly forPeople: boolean
  writer(output: Output, options: FormatOptions): ResultWriter
  /** Takes the result as bytes instead of rows. */
  readonly pipe?: (stream: QueryStream, output: Output) => Promise<void>
}

export const FORMATS = {
  table: tableFormat,
  csv: csvFormat,
  json: jsonFormat,
  jsonl: jsonLinesFormat,
  vertical: verticalFormat,
  arrow: arrowFormat,
} as const satisfies Readonly<Record<string, Format>>

export type FormatName = keyof typeof FORMATS

export const isFormatName = (name: string): name is FormatName => Object.hasOwn(FORMATS, name)

/** Runs a result through its format. Resolves with the outcome once all is written and proved complete. */
export async function writeResult(
  stream: QueryStream,
  format: Format,
  output: Output,
  options: FormatOptions,
): Promise<Outcome> {
  if (format.pipe !== undefined) {
    await format.pipe(stream, output)
    return stream.finished
  }
  const writer = format.writer(output, options)
  let begun = false
  for await (const batch of stream.columnBatches()) {
    if (!begun) await writer.begin(await stream.columns)
    begun = true
    await writer.rows(batch)
  }
  const [columns, outcome] = await Promise.all([stream.columns, stream.finished])
  if (!begun && columns.length > 0) {
    await writer.begin(columns)
    begun = true
  }
  if (begun) await writer.end(outcome)
  else if (format.forPeople) await output.write(`${commandTag(outcome)}\n`)
  return outcome
}

/** `INSERT 12` where rows were changed, else the bare command. */
export function commandTag({ command, rowCount }: Outcome): string {
  return /^(?:INSERT|UPDATE|DELETE|MERGE|COPY|CREATE TABLE AS)\b/.test(command)
    ? `${command} ${rowCount}`
    : command
}
