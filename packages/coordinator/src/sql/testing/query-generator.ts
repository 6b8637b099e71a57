import type { Prng } from '@nyala/client/base'

/**
 * Random queries as text, with few parentheses, so that precedence and nesting are what is tested.
 * They need not have a meaning: names are not resolved by the reader.
 */
export class QueryGenerator {
  readonly #prng: Prng

  constructor(prng: Prng) {
    this.#prng = prng
  }

  query(depth: number): string {
    const roll = this.#prng.below(10)
    if (depth > 0 && roll === 0) return this.#setOperation(depth - 1)
    if (depth > 0 && roll === 1) return `${this.#with(depth - 1)} ${this.#select(depth - 1)}`
    return this.#select(depth)
  }

  expression(depth: number): string {
    if (depth <= 0) return this.#leaf()
    const shapes: readonly (() => string)[] = [
      () => this.#binary(depth),
      () => this.#binary(depth),
      () => this.#binary(depth),
      () => this.#unary(depth),
      () => `(${this.expression(depth - 1)})`,
      () => this.#predicate(depth),
      () => this.#call(depth),
      () => this.#special(depth),
    ]
    return this.#prng.pick(shapes)()
  }

  #leaf(): string {
    const leaves: readonly (() => string)[] = [
      () => this.#column(),
      () => this.#column(),
      () => String(this.#prng.below(100)),
      () =>
        this.#prng.pick([
          '1.50',
          '.5',
          '1e3',
          '2.5e-7',
          '9223372036854775808',
          '007',
          '-3',
          '-0.5',
          '-1e9',
        ]),
      () => this.#prng.pick(["'x'", "'it''s'", "''", "'é🎉'", "'a%_\\'", '$$q$$']),
      () =>
        this.#prng.pick([
          'true',
          'false',
          'null',
          "date '2024-01-01'",
          "interval '3' day",
          'interval 2 month',
        ]),
    ]
    return this.#prng.pick(leaves)()
  }

  #column(): string {
    return this.#prng.pick(['a', 'b', 'c', 't.a', 'u.b', '"Q q"', '`x`', 's.t.c', 'größe'])
  }

  #binary(depth: number): string {
    const operator = this.#prng.pick(
      'and or and or + - * / % // ** || & | << >> = <> < <= > >= -> ->>'.split(' '),
    )
    const isNonAssociative = /^[<=>]/.test(operator) && !/^(?:<<|>>)$/.test(operator)
    // `a < b < c` is no SQL; operands of a comparison that are comparisons get parentheses.
    const side = (): string =>
      isNonAssociative ? `(${this.expression(depth - 1)})` : this.expression(depth - 1)
    return `${side()} ${operator} ${side()}`
  }

  #unary(depth: number): string {
    const operator = this.#prng.pick(['-', '+', '~', 'not '])
    return operator === 'not '
      ? `(not ${this.expression(depth - 1)})`
      : `${operator} ${this.#primary(depth)}`
  }

  #primary(depth: number): string {
    return this.#prng.chance(0.5) ? this.#leaf() : `(${this.expression(depth - 1)})`
  }

  #predicate(depth: number): string {
    const a = this.#primary(depth)
    const b = this.#primary(depth)
    const not = this.#prng.chance(0.3) ? 'not ' : ''
    const shapes: readonly string[] = [
      `${a} ${not}like ${b}`,
      `${a} ${not}in (${b}, ${this.expression(depth - 1)})`,
      `${a} ${not}in (${this.query(depth - 2)})`,
      `${a} ${not}between ${b} and ${this.#primary(depth)}`,
      `${a} is ${not}null`,
      `${a} is ${not}distinct from ${b}`,
      `${a} is ${not}${this.#prng.pick(['true', 'false', 'unknown'])}`,
      `${not}exists (${this.query(depth - 2)})`,
      `${a} = any (${this.query(depth - 2)})`,
      `${a} > all (${this.query(depth - 2)})`,
    ]
    return `(${this.#prng.pick(shapes)})`
  }

  #call(depth: number): string {
    const e = this.expression(depth - 1)
    const shapes: readonly string[] = [
      `f(${e}, ${this.expression(depth - 1)})`,
      `sum(distinct ${e}) filter (where ${this.expression(depth - 1)})`,
      'count(*)',
      `string_agg(${e}, ',' order by ${this.#orderBy(depth - 1)})`,
      `coalesce(${e}, ${this.#leaf()})`,
      `extract(year from ${e})`,
      `substring(${e} from 1 for 2)`,
      `max(${e}) over (${this.#window(depth - 1)})`,
      `lag(${e}, 1, 0) over (${this.#window(depth - 1)})`,
      `list_transform(l, lambda x: ${e})`,
    ]
    return this.#prng.pick(shapes)
  }

  #window(depth: number): string {
    const partition = this.#prng.chance(0.5) ? `partition by ${this.expression(depth)} ` : ''
    const order = `order by ${this.#orderBy(depth)}`
    const frame = this.#prng.pick([
      '',
      ' rows between 1 preceding and current row',
      ' range between unbounded preceding and unbounded following',
      ' groups 2 preceding exclude ties',
      ' rows between current row and 3 following exclude group',
    ])
    return `${partition}${order}${frame}`
  }

  #special(depth: number): string {
    const e = this.expression(depth - 1)
    const shapes: readonly string[] = [
      `case when ${e} then ${this.#leaf()} else ${this.expression(depth - 1)} end`,
      `case ${this.#leaf()} when ${e} then ${this.#leaf()} end`,
      `cast(${e} as ${this.#prng.pick(['int', 'decimal(12, 2)', 'varchar[]', 'struct(x int)'])})`,
      `try_cast(${e} as date)`,
      `${this.#primary(depth)}::bigint`,
      `[${e}, ${this.#leaf()}][1]`,
      `{'k': ${e}}.k`,
      `(${e}).f`,
      `l[${e}:${this.#leaf()}]`,
      `(select ${e})`,
      `row(${e}, ${this.#leaf()})`,
      `(${e}) collate nocase`,
    ]
    return this.#prng.pick(shapes)
  }

  #orderBy(depth: number): string {
    const direction = this.#prng.pick(['', ' asc', ' desc'])
    const nulls = this.#prng.pick(['', '', ' nulls first', ' nulls last'])
    return `${this.expression(depth)}${direction}${nulls}`
  }

  #select(depth: number): string {
    const maybe = (chance: number, text: () => string): string =>
      this.#prng.chance(chance) ? ` ${text()}` : ''
    const e = (): string => this.expression(depth)
    return [
      `select${this.#prng.pick(['', '', ' distinct'])} ${this.#items(depth)}`,
      maybe(0.8, () => `from ${this.#tables(depth)}`),
      maybe(0.6, () => `where ${e()}`),
      maybe(0.3, () => `group by ${this.#groups(depth)}`),
      maybe(0.2, () => `having ${e()}`),
      maybe(0.1, () => `qualify ${e()}`),
      maybe(0.3, () => `order by ${this.#orderBy(depth)}, 1 desc`),
      maybe(0.3, () => `limit ${this.#prng.below(100)}${this.#prng.pick(['', ' offset 3', '%'])}`),
    ].join('')
  }

  #items(depth: number): string {
    const item = (): string =>
      this.#prng.pick([
        () => '*',
        () => 't.* exclude (a)',
        () => `* replace (${this.expression(depth - 1)} as a)`,
        () => `${this.expression(depth)} as n`,
        () => this.expression(depth),
        () => this.expression(depth),
      ])()
    return Array.from({ length: 1 + this.#prng.below(3) }, item).join(', ')
  }

  #groups(depth: number): string {
    const e = (): string => this.expression(depth - 1)
    return this.#prng.pick([
      () => `${e()}, ${e()}`,
      () => 'all',
      () => `rollup (a, b, ${this.#column()})`,
      () => 'cube (a, b)',
      () => `grouping sets ((a, b), (${e()}), ())`,
      () => 'a, rollup (b, c), cube (t.a)',
    ])()
  }

  #tables(depth: number): string {
    const tables = Array.from({ length: 1 + this.#prng.below(2) }, () => this.#joins(depth))
    return tables.join(', ')
  }

  #joins(depth: number): string {
    let text = this.#table(depth)
    for (let i = this.#prng.below(3); i > 0; i--) {
      const type = this.#prng.pick([
        'join',
        'left join',
        'right join',
        'full join',
        'semi join',
        'anti join',
      ])
      const right =
        depth > 0 && this.#prng.chance(0.2)
          ? `(${this.#joins(depth - 1)} cross join y)`
          : this.#table(depth)
      const condition = this.#prng.pick([
        () => `on ${this.expression(depth - 1)}`,
        () => 'using (a, b)',
      ])()
      text += this.#prng.pick([
        ` ${type} ${right} ${condition}`,
        ` cross join ${right}`,
        ` natural join ${right}`,
      ])
    }
    return text
  }

  #table(depth: number): string {
    const shapes: readonly (() => string)[] = [
      () => 't',
      () => 's.t as u',
      () => 'c.s.t v(a, b)',
      () => `(${this.query(depth - 1)}) q(x)`,
      () => `(values (1, ${this.#leaf()}), (2, 3)) w`,
      () => `range(${this.expression(depth - 2)}) r`,
      () => 't tablesample 10%',
    ]
    return this.#prng.pick(depth > 0 ? shapes : shapes.slice(0, 3))()
  }

  #setOperation(depth: number): string {
    const side = (): string =>
      this.#prng.chance(0.4) ? `(${this.query(depth)})` : `select ${this.expression(depth)}`
    const parts = [side()]
    for (let i = 1 + this.#prng.below(3); i > 0; i--) {
      parts.push(
        this.#prng.pick([
          'union',
          'union all',
          'except',
          'except all',
          'intersect',
          'union by name',
        ]),
        side(),
      )
    }
    return parts.join(' ')
  }

  #with(depth: number): string {
    return this.#prng.pick([
      () => `with p as (${this.query(depth)}), q(n) as (select ${this.expression(depth)})`,
      () =>
        `with recursive r(n) as (select 1 union all select n + 1 from r where ${this.expression(depth)})`,
    ])()
  }
}
