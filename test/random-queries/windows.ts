import type { Prng } from '@nyala/client/base'
import type { Expressions } from './expressions.ts'
import type { ScopeColumn } from './query.ts'

type Scope = readonly ScopeColumn[]

const DIRECTIONS = ['', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST']
/** Frames that hold all rows with one value of ORDER BY, or none. */
const PEER_FRAMES = [
  '',
  '',
  ' RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING',
  ' RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING',
  ' GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING',
  ' GROUPS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE GROUP',
]
const NUMBER_FRAMES = [
  ' RANGE BETWEEN 3 PRECEDING AND 2 FOLLOWING',
  ' RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING',
]
const ROW_FRAMES = [
  ' ROWS BETWEEN 2 PRECEDING AND CURRENT ROW',
  ' ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING',
  ' ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW',
]

/** Random calls of window functions whose values do not depend on the order of rows that ORDER BY leaves open. */
export class Windows {
  readonly #random: Prng
  readonly #expressions: Expressions

  constructor(random: Prng, expressions: Expressions) {
    this.#random = random
    this.#expressions = expressions
  }

  /** A call; `unique` is a list of columns that together tell all rows apart, if there is one. */
  call(scope: Scope, unique: readonly string[] | undefined): string {
    return unique !== undefined && this.#random.chance(0.5)
      ? this.#ofRows(scope, unique)
      : this.#ofPeers(scope)
  }

  /** A condition for QUALIFY. */
  test(scope: Scope, unique: readonly string[] | undefined): string {
    const random = this.#random
    return random.pick([
      () => `${this.call(scope, unique)} IS NOT NULL`,
      () =>
        `rank() OVER (${this.#partition(scope)}ORDER BY ${this.#key(scope)}) <= ${random.below(4)}`,
      () => `count(*) OVER (${this.#partition(scope).trim()}) > ${random.below(9)}`,
    ])()
  }

  #ofRows(scope: Scope, unique: readonly string[]): string {
    const e = this.#expressions
    const value = e.anyColumn(scope).sql
    const order = [`${this.#key(scope)}${this.#random.pick(DIRECTIONS)}`, ...unique].join(', ')
    const over = `(${this.#partition(scope)}ORDER BY ${order}`
    const int = e.of('int', scope, 0)
    return this.#random.pick([
      `row_number() OVER ${over})`,
      `lag(${value}, 2) OVER ${over})`,
      `lead(${value}) OVER ${over})`,
      `lag(${int}, 1, -1) OVER ${over})`,
      `ntile(3) OVER ${over})`,
      `first_value(${value} IGNORE NULLS) OVER ${over})`,
      `nth_value(${value}, 2) OVER ${over})`,
      `last_value(${value}) OVER ${over}${this.#random.pick(ROW_FRAMES)})`,
      `sum(${int}) OVER ${over}${this.#random.pick(ROW_FRAMES)})`,
      `count(${value}) OVER ${over}${this.#random.pick(ROW_FRAMES)})`,
      `list(${int}) OVER ${over}${this.#random.pick(ROW_FRAMES)})`,
    ])
  }

  #ofPeers(scope: Scope): string {
    const random = this.#random
    const e = this.#expressions
    const key = this.#key(scope)
    const direction = random.pick(DIRECTIONS)
    const partition = this.#partition(scope)
    const ordered = `${partition}ORDER BY ${key}${direction}`
    const roll = random.below(9)
    if (roll < 3) {
      const name = random.pick(['rank()', 'dense_rank()', 'percent_rank()', 'cume_dist()'])
      return `${name} OVER (${ordered})`
    }
    if (roll === 3) return `first_value(${key}) OVER (${ordered})`
    const filter = random.chance(0.15) ? ` FILTER (WHERE ${e.bool(scope, 0)})` : ''
    const aggregate = `${this.#aggregate(scope)}${filter}`
    if (roll < 6) return `${aggregate} OVER (${partition.trim()})`
    if (roll === 6) {
      const int = e.of('int', scope, 0)
      return `${aggregate} OVER (${partition}ORDER BY ${int}${random.pick(NUMBER_FRAMES)})`
    }
    return `${aggregate} OVER (${ordered}${random.pick(PEER_FRAMES)})`
  }

  #aggregate(scope: Scope): string {
    const e = this.#expressions
    return this.#random.pick([
      'count(*)',
      `count(${e.anyColumn(scope).sql})`,
      `count(DISTINCT ${e.of('int', scope, 0)})`,
      `sum(${e.of('int', scope, 0)})`,
      `sum(${e.of('decimal', scope, 0)})`,
      `avg(${e.of('int', scope, 0)})`,
      `min(${e.of('text', scope, 0)})`,
      `max(${e.of('date', scope, 0)})`,
      `bool_or(${e.bool(scope, 0)})`,
    ])
  }

  #key(scope: Scope): string {
    // A number alone would be one of a column.
    return scope.length === 0 ? "'none'" : this.#expressions.anyColumn(scope).sql
  }

  #partition(scope: Scope): string {
    const keys = Array.from({ length: this.#random.pick([0, 1, 1, 1, 2]) }, () => this.#key(scope))
    return keys.length === 0 ? '' : `PARTITION BY ${keys.join(', ')} `
  }
}
