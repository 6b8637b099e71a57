import { badFile } from './csv-reader.ts'

export interface JsonRecord {
  /** Of its first character, from 1. */
  readonly line: number
  readonly value: Readonly<Record<string, unknown>>
}

const OBJECT_CHARACTERS_MAX = 16 * 1024 * 1024
/** Longer numbers may have digits that a double does not hold. */
const LONG_NUMBER = /\d{16}|\d\.\d{15}/
const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g
const NUMBER_CHARACTERS_SAFE = 15
const MARK = /["{}]/g

/**
 * Reads objects from JSON, piece by piece: those of an array, or one behind the other, as in JSON Lines. Numbers of many
 * digits come as their text, so that none is lost. Fails with `bad_copy_file_format` and the line.
 */
export class JsonReader {
  #text = ''
  #line = 1
  #array: 'none' | 'open' | 'closed' = 'none'

  push(text: string): readonly JsonRecord[] {
    this.#text += text
    const records: JsonRecord[] = []
    let at = 0
    for (;;) {
      at = this.#passOver(at)
      if (at >= this.#text.length) break
      const end = this.#objectEnd(at)
      if (end === undefined) break
      const source = this.#text.slice(at, end)
      records.push({ line: this.#line, value: this.#parse(source) })
      this.#line += linesIn(source)
      at = end
    }
    this.#text = this.#text.slice(at)
    if (this.#text.length > OBJECT_CHARACTERS_MAX)
      throw badFile(this.#line, 'the object does not end')
    return records
  }

  end(): readonly JsonRecord[] {
    if (this.#text.length > 0) throw badFile(this.#line, 'the file ends within an object')
    if (this.#array === 'open') throw badFile(this.#line, 'the file ends before its array does')
    return []
  }

  /** To the next object. */
  #passOver(start: number): number {
    let at = start
    for (; at < this.#text.length; at++) {
      const character = this.#text[at] as string
      if (character === '{' && this.#array !== 'closed') break
      if (character === '\n') this.#line++
      else if (character === '[' && this.#array === 'none') this.#array = 'open'
      else if (character === ']' && this.#array === 'open') this.#array = 'closed'
      else if (!/\s/.test(character) && (character !== ',' || this.#array !== 'open')) {
        const seen = this.#text.slice(at, at + 20).split('\n')[0] ?? ''
        throw badFile(
          this.#line,
          `there is no object at ${JSON.stringify(seen)}`,
          'rows are objects, of an array or one a line',
        )
      }
    }
    return at
  }

  #objectEnd(start: number): number | undefined {
    const text = this.#text
    let depth = 0
    MARK.lastIndex = start
    for (let found = MARK.exec(text); found !== null; found = MARK.exec(text)) {
      if (found[0] === '{') depth++
      else if (found[0] === '}') {
        if (--depth === 0) return MARK.lastIndex
      } else {
        const end = textEnd(text, found.index + 1)
        if (end === undefined) return undefined
        MARK.lastIndex = end
      }
    }
    return undefined
  }

  #parse(source: string): JsonRecord['value'] {
    const text = LONG_NUMBER.test(source)
      ? source.replace(TEXT_OR_NUMBER, (token) =>
          token.startsWith('"') || token.length <= NUMBER_CHARACTERS_SAFE ? token : `"${token}"`,
        )
      : source
    try {
      return JSON.parse(text) as JsonRecord['value']
    } catch (error) {
      throw badFile(this.#line, (error as Error).message.replace(/\n[^]*/, ''))
    }
  }
}

/** Behind the quote that ends a text; undefined where it has not come. */
function textEnd(text: string, start: number): number | undefined {
  for (let at = start; ;) {
    const quote = text.indexOf('"', at)
    if (quote < 0) return undefined
    let slashes = 0
    while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return quote + 1
    at = quote + 1
  }
}

const linesIn = (text: string): number => text.split('\n').length - 1
