import type { Prng } from '@nyala/client/base'
import type { Expressions } from './expressions.ts'
import { quoteName, type ScopeColumn } from './query.ts'
import type { Kind } from './tables.ts'

type Scope = readonly ScopeColumn[]

/** What a subquery inside an expression can be about. */
export interface Outside {
  /** A table to read: its text in FROM with an alias of its own, its columns, and one that tells its rows apart. */
  table(): {
    readonly text: string
    readonly scope: Scope
    readonly unique: string | undefined
  }
}

const COMPARED: readonly Kind[] = ['int', 'int', 'int', 'text', 'decimal', 'date', 'double']
const COMPARISONS = ['=', '<>', '<', '<=', '>', '>=']

/** Random subqueries in expressions: correlated or not, on several levels, with one answer only. */
export class Subqueries {
  readonly #random: Prng
  readonly #expressions: Expressions
  readonly #outside: Outside

  constructor(random: Prng, expressions: Expressions, outside: Outside) {
    this.#random = random
    this.#expressions = expressions
    this.#outside = outside
  }

  /** A condition. `depth` bounds how many levels of subqueries may stand in each other. */
  test(scope: Scope, depth: number): string {
    const random = this.#random
    const kind = random.pick(COMPARED)
    const value = this.#expressions.of(kind, scope, 0)
    const not = random.chance(0.4) ? 'NOT ' : ''
    switch (random.below(9)) {
      case 0:
      case 1:
        return `${not}EXISTS (${this.#rows(['1'], scope, depth)})`
      case 2:
      case 3:
        return `${value} ${not}IN (${this.#listOf(kind, scope, depth)})`
      case 4: {
        const word = random.pick(['ANY', 'ALL'])
        return `${value} ${random.pick(COMPARISONS)} ${word} (${this.#listOf(kind, scope, depth)})`
      }
      case 5:
        return this.#pairTest(scope, depth, not)
      case 6:
        return `${value} IS ${not}DISTINCT FROM ${this.#single(kind, scope, depth)}`
      default:
        return `${this.#expressions.of('int', scope, 0)} ${random.pick(COMPARISONS)} ${this.scalar(scope, depth)}`
    }
  }

  /** A number by a subquery with one row. */
  scalar(scope: Scope, depth: number): string {
    const random = this.#random
    if (random.chance(0.25)) return this.#single('int', scope, depth)
    const { text, scope: inner } = this.#outside.table()
    const int = this.#expressions.of('int', inner, 0)
    const value = random.pick([
      'count(*)',
      `count(${int})`,
      `count(DISTINCT ${int})`,
      `max(${int})`,
      `sum(${this.#expressions.of('decimal', inner, 0)})`,
      `coalesce(sum(${int}), -1)`,
      `min(${int}) + count(*)`,
    ])
    return `(SELECT ${value} FROM ${text}${this.#where(inner, scope, depth)})`
  }

  /** At most one row of a table, by a key or by being the first. */
  #single(kind: Kind, scope: Scope, depth: number): string {
    const { text, scope: inner, unique } = this.#outside.table()
    const value = this.#expressions.of(kind, inner, 0)
    const outer = this.#expressions.column('int', scope)
    if (unique !== undefined && outer !== undefined && this.#random.chance(0.5)) {
      return `(SELECT ${value} FROM ${text} WHERE ${unique} = ${outer})`
    }
    const where = this.#where(inner, scope, depth)
    return this.#random.chance(0.5)
      ? `(SELECT ${value} FROM ${text}${where} ORDER BY ${value}${this.#random.pick(['', ' DESC', ' NULLS FIRST'])} LIMIT 1)`
      : `(SELECT ${this.#random.pick(['min', 'max'])}(${value}) FROM ${text}${where})`
  }

  #pairTest(scope: Scope, depth: number, not: string): string {
    const { text, scope: inner } = this.#outside.table()
    const of = (kind: Kind, from: Scope): string => this.#expressions.of(kind, from, 0)
    const [a, b] = [this.#random.pick(COMPARED), this.#random.pick(COMPARED)]
    return `(${of(a, scope)}, ${of(b, scope)}) ${not}IN (SELECT ${of(a, inner)}, ${of(b, inner)} FROM ${text}${this.#where(inner, scope, depth)})`
  }

  /** A query with one column. */
  #listOf(kind: Kind, scope: Scope, depth: number): string {
    const random = this.#random
    const e = this.#expressions
    const { text, scope: inner } = this.#outside.table()
    const value = e.of(kind, inner, random.chance(0.2) ? 1 : 0)
    const where = this.#where(inner, scope, depth)
    const plain = `SELECT ${value} FROM ${text}${where}`
    switch (random.below(8)) {
      case 0:
        return `SELECT ${value} FROM ${text}${where} GROUP BY ${value} HAVING count(*) > ${random.below(4)}`
      case 1: {
        const { text: other, scope: more } = this.#outside.table()
        return `${plain} ${random.pick(['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT'])} SELECT ${e.of(kind, more, 0)} FROM ${other}`
      }
      case 2:
        return `VALUES (${e.literal(kind)}), (${e.literal(kind)})${random.chance(0.3) ? ', (NULL)' : ''}`
      case 3:
        return `SELECT DISTINCT ${value} FROM ${text}${where} ORDER BY 1 NULLS LAST LIMIT ${random.below(20)}`
      default:
        return plain
    }
  }

  #rows(items: readonly string[], scope: Scope, depth: number): string {
    const { text, scope: inner } = this.#outside.table()
    return `SELECT ${items.join(', ')} FROM ${text}${this.#where(inner, scope, depth)}`
  }

  /** Conditions over the subquery's own rows, with those of outside, or with a subquery of its own. */
  #where(inner: Scope, outer: Scope, depth: number): string {
    const random = this.#random
    const conditions: string[] = []
    if (random.chance(0.7)) conditions.push(...this.#correlation(inner, outer))
    if (random.chance(0.3)) conditions.push(this.#expressions.bool(inner, 0))
    if (depth > 0 && random.chance(0.35)) {
      const scope = random.chance(0.6) ? [...inner, ...outer] : inner
      conditions.push(this.test(scope, depth - 1))
    }
    if (conditions.length === 0) return ''
    return ` WHERE ${conditions.map((c) => `(${c})`).join(random.chance(0.1) ? ' OR ' : ' AND ')}`
  }

  #correlation(inner: Scope, outer: Scope): readonly string[] {
    const random = this.#random
    const of = (kind: Kind, scope: Scope): readonly ScopeColumn[] =>
      scope.filter((c) => c.kind === kind && c.source !== undefined)
    const kinds = COMPARED.filter((k) => of(k, inner).length > 0 && of(k, outer).length > 0)
    if (kinds.length === 0) return []
    const count = random.pick([1, 1, 1, 2])
    return Array.from({ length: count }, () => {
      const kind = random.pick(kinds)
      const [a, b] = [random.pick(of(kind, inner)), random.pick(of(kind, outer))]
      const operator = random.pick(['=', '=', '=', '=', '<', '<>', '>=', 'IS NOT DISTINCT FROM'])
      return `${a.source}.${quoteName(a.name)} ${operator} ${b.source}.${quoteName(b.name)}`
    })
  }
}
