import type { Prng } from '@nyala/client/base'
import type { Expressions } from './expressions.ts'
import type { ScopeColumn } from './query.ts'
import type { ItemKind, Kind } from './tables.ts'

type Scope = readonly ScopeColumn[]

export interface Aggregate {
  readonly sql: string
  readonly kind: ItemKind
}

const NUMERIC: readonly Kind[] = ['int', 'int', 'big', 'decimal', 'wide', 'double']

/** Random aggregates whose values do not depend on the order of rows. */
export class Aggregates {
  readonly #random: Prng
  readonly #expressions: Expressions

  constructor(random: Prng, expressions: Expressions) {
    this.#random = random
    this.#expressions = expressions
  }

  one(scope: Scope): Aggregate {
    const random = this.#random
    const e = this.#expressions
    const filter = random.chance(0.2) ? ` FILTER (WHERE ${e.bool(scope, 1)})` : ''
    const distinct = random.chance(0.2) ? 'DISTINCT ' : ''
    const kind = e.kind()
    const numeric = (): string => e.of(random.pick(NUMERIC), scope, 1)
    switch (random.below(11)) {
      case 0:
        return { sql: `count(*)${filter}`, kind: 'int' }
      case 1:
        return { sql: `count(${distinct}${e.of(kind, scope, 1)})${filter}`, kind: 'int' }
      case 2:
        return {
          sql: `${random.pick(['min', 'max'])}(${distinct}${e.of(kind, scope, 1)})${filter}`,
          kind,
        }
      case 3:
        return this.#other(`${random.pick(['max', 'min'])}(${e.anyColumn(scope).sql})`, filter)
      case 4:
      case 5:
        return this.#other(`sum(${distinct}${numeric()})`, filter)
      case 6:
        return this.#other(`avg(${distinct}${numeric()})`, filter)
      case 7:
        return this.#other(`count(DISTINCT ${e.anyColumn(scope).sql})`, filter)
      case 8:
        return this.#other(this.#ordered(scope), filter)
      default:
        return this.#other(this.#rare(scope), filter)
    }
  }

  /** A number. */
  int(scope: Scope): Aggregate {
    const text = this.#random.pick([
      'count(*)',
      `count(${this.#expressions.anyColumn(scope).sql})`,
      `count(DISTINCT ${this.#expressions.of('int', scope, 1)})`,
      `max(${this.#expressions.of('int', scope, 1)})`,
    ])
    return { sql: text, kind: 'int' }
  }

  #other(sql: string, filter: string): Aggregate {
    return { sql: `${sql}${filter}`, kind: 'other' }
  }

  /** Those that need their rows in order. */
  #ordered(scope: Scope): string {
    const e = this.#expressions
    const random = this.#random
    const value = e.of(random.pick(['int', 'text', 'date', 'decimal'] as const), scope, 0)
    const text = e.of('text', scope, 0)
    return random.pick([
      `string_agg(${text}, ',' ORDER BY ${text})`,
      `string_agg(DISTINCT ${text}, ',' ORDER BY ${text} DESC)`,
      `list(${value} ORDER BY ${value} NULLS LAST)`,
      `list(DISTINCT ${value} ORDER BY ${value})`,
      `first(${value} ORDER BY ${value} DESC)`,
      `last(${value} ORDER BY ${value} NULLS FIRST)`,
      `arg_max(${value}, ${value})`,
      `max(${value}, 2)`,
    ])
  }

  #rare(scope: Scope): string {
    const e = this.#expressions
    const random = this.#random
    const int = e.of('int', scope, 0)
    return random.pick([
      () => `${random.pick(['bool_and', 'bool_or'])}(${e.bool(scope, 1)})`,
      () => `${random.pick(['bit_and', 'bit_or', 'bit_xor'])}(${e.column('int', scope) ?? '5'})`,
      () => `count_if(${e.bool(scope, 1)})`,
      () => `${random.pick(['min', 'max'])}(${e.exotic(scope)})`,
      () => `${random.pick(['stddev', 'median', 'approx_count_distinct', 'var_pop'])}(${int})`,
      () => `quantile_cont(${int}, 0.25)`,
      () => `avg(${e.of(random.pick(['date', 'timestamp'] as const), scope, 0)})`,
      () => `histogram(${int})`,
      () => `count(DISTINCT (${int}, ${e.of('text', scope, 0)}))`,
      () => `any_value(${e.literal('int')})`,
    ])()
  }
}
