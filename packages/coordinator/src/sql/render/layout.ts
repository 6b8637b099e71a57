import type { Expression, Query } from '../ir.ts'

/**
 * Where lines break. Compact text is one line; readable text breaks at clauses and indents by two.
 * The same functions write both, so they cannot differ in meaning. It also carries the two recursions
 * of the grammar, so that the files of the renderer need not import each other.
 */
export class Layout {
  readonly isReadable: boolean
  readonly #depth: number
  readonly #renderers: Renderers

  constructor(isReadable: boolean, renderers: Renderers, depth = 0) {
    this.isReadable = isReadable
    this.#depth = depth
    this.#renderers = renderers
  }

  /** A line break with the indent of this depth, or a space. */
  get line(): string {
    return this.isReadable ? `\n${'  '.repeat(this.#depth)}` : ' '
  }

  deeper(): Layout {
    return this.isReadable ? new Layout(true, this.#renderers, this.#depth + 1) : this
  }

  expression(expression: Expression): string {
    return this.#renderers.expression(expression, this)
  }

  expressions(expressions: readonly Expression[]): string {
    return expressions.map((e) => this.expression(e)).join(', ')
  }

  /** The query in parentheses, on lines of its own where it is readable. */
  subquery(query: Query): string {
    const inner = this.deeper()
    const text = this.#renderers.query(query, inner)
    return this.isReadable ? `(${inner.line}${text}${this.line})` : `(${text})`
  }
}

export interface Renderers {
  readonly expression: (expression: Expression, layout: Layout) => string
  readonly query: (query: Query, layout: Layout) => string
}
