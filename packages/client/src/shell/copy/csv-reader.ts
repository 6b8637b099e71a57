import { SqlError } from '../../protocol/errors.ts'

export interface CsvField {
  readonly text: string
  readonly isQuoted: boolean
}

export interface CsvRecord {
  /** Of its first character, from 1. */
  readonly line: number
  readonly fields: readonly CsvField[]
}

/** A record that does not end is most often one of which a quote is missing. */
const RECORD_CHARACTERS_MAX = 16 * 1024 * 1024

/** Reads CSV as RFC 4180 has it, piece by piece; lines end in LF or CRLF. Fails with `bad_copy_file_format` and the line. */
export class CsvReader {
  readonly #delimiter: string
  #text = ''
  #line = 1
  /** Of the text that is there now. */
  #delimiterAt = -1

  constructor(delimiter: string) {
    this.#delimiter = delimiter
  }

  /** The records that are complete now. */
  push(text: string): readonly CsvRecord[] {
    this.#text += text
    return this.#read(false)
  }

  end(): readonly CsvRecord[] {
    return this.#read(true)
  }

  #read(isAll: boolean): readonly CsvRecord[] {
    const records: CsvRecord[] = []
    let at = 0
    this.#delimiterAt = -1
    while (at < this.#text.length) {
      const found = this.#record(at, isAll)
      if (found === undefined) break
      records.push({ line: this.#line, fields: found.fields })
      this.#line += found.lines
      at = found.end
    }
    this.#text = this.#text.slice(at)
    if (this.#text.length > RECORD_CHARACTERS_MAX) {
      throw badFile(this.#line, 'the row does not end', 'a closing quote may be missing')
    }
    return records
  }

  /** Found once, though the last field of each line asks for one behind it. */
  #nextDelimiter(at: number): number {
    if (this.#delimiterAt < at) {
      const found = this.#text.indexOf(this.#delimiter, at)
      this.#delimiterAt = found < 0 ? this.#text.length : found
    }
    return this.#delimiterAt
  }

  /** The record at a place; undefined where it may go on in the next piece. */
  #record(
    start: number,
    isAll: boolean,
  ): { readonly fields: CsvField[]; readonly end: number; readonly lines: number } | undefined {
    const text = this.#text
    const fields: CsvField[] = []
    let lines = 1
    let newline = text.indexOf('\n', start)
    for (let at = start; ;) {
      if (text[at] === '"') {
        const field = this.#quoted(at, isAll)
        if (field === undefined) return undefined
        fields.push({ text: field.text, isQuoted: true })
        lines += count(field.text)
        newline = text.indexOf('\n', field.end)
        at = field.end
        if (newline < 0 && !isAll) return undefined
      } else {
        if (newline < 0 && !isAll) return undefined
        const lineEnd = newline < 0 ? text.length : newline
        const delimiter = this.#nextDelimiter(at)
        const isLast = delimiter >= lineEnd
        const end = isLast ? contentEnd(text, at, lineEnd) : delimiter
        fields.push({ text: text.slice(at, end), isQuoted: false })
        at = isLast ? lineEnd : delimiter
      }
      if (text[at] === this.#delimiter) {
        at++
        continue
      }
      const lineEnd = newline < 0 ? text.length : newline
      if (at !== lineEnd && contentEnd(text, at, lineEnd) !== at) {
        const what = `field ${fields.length} goes on behind its closing quote`
        throw badFile(this.#line, what, 'a quote in a quoted field is written twice')
      }
      return { fields, end: newline < 0 ? text.length : newline + 1, lines }
    }
  }

  /** The field of the quote at a place, and the place behind its other quote. */
  #quoted(
    start: number,
    isAll: boolean,
  ): { readonly text: string; readonly end: number } | undefined {
    const text = this.#text
    for (let at = start + 1; ;) {
      const quote = text.indexOf('"', at)
      if (quote < 0) {
        if (!isAll) return undefined
        throw badFile(this.#line, 'a quoted field does not end', 'a closing quote is missing')
      }
      if (text[quote + 1] === '"') {
        at = quote + 2
        continue
      }
      // Its second half may be in the next piece.
      if (quote + 1 === text.length && !isAll) return undefined
      return { text: text.slice(start + 1, quote).replaceAll('""', '"'), end: quote + 1 }
    }
  }
}

/** Where a line's content ends: before a CR. */
const contentEnd = (text: string, start: number, end: number): number =>
  end > start && text[end - 1] === '\r' ? end - 1 : end

function count(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  return lines
}

/** What is wrong with a file, and in which of its lines. */
export const badFile = (line: number, what: string, hint?: string): SqlError =>
  new SqlError('bad_copy_file_format', `line ${line}: ${what}`, { hint })
