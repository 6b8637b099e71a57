/** A type of a column as far as values are made for it: what is in it, down to the types that have nothing in them. */
export type NestedType =
  | { readonly kind: 'list'; readonly element: NestedType }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, NestedType> }
  | { readonly kind: 'map'; readonly key: NestedType; readonly value: NestedType }
  | { readonly kind: 'scalar'; readonly name: string }

/** Whether values of a type, as results name it, have values in them. Pure. */
export const isNestedType = (type: string): boolean => /\]$|^(?:STRUCT|MAP)\(/.test(type)

/** Reads a type as results name it: `STRUCT(a INTEGER, "b c" DECIMAL(9,2)[])`. What is none is taken for a name. Pure. */
export const nestedTypeOf = (text: string): NestedType => new TypeReader(text).type()

class TypeReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  type(): NestedType {
    let type = this.#base()
    while (this.#take(/\[\d*\]/y) !== undefined) type = { kind: 'list', element: type }
    return type
  }

  #base(): NestedType {
    if (this.#take(/STRUCT\(/y) !== undefined) return this.#struct()
    if (this.#take(/MAP\(/y) === undefined) {
      return {
        kind: 'scalar',
        name: this.#take(/[^,()[\]]*(?:\((?:'(?:[^']|'')*'|[^')])*\))?/y) ?? '',
      }
    }
    const key = this.type()
    this.#take(/, ?/y)
    const value = this.type()
    this.#take(/\)/y)
    return { kind: 'map', key, value }
  }

  #struct(): NestedType {
    const fields = new Map<string, NestedType>()
    do {
      const name = this.#take(/"(?:[^"]|"")*"|[^ ]+/y) ?? ''
      this.#take(/ /y)
      fields.set(name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name, this.type())
    } while (this.#take(/, ?/y) !== undefined)
    this.#take(/\)/y)
    return { kind: 'struct', fields }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    this.#at += found?.length ?? 0
    return found
  }
}
