import type { Prng } from '@nyala/client/base'

/** Tables of these columns each, from many rows to few. */
export const RANDOM_TABLES = ['huge', 'large', 'medium', 'small', 'tiny'] as const
export const RANDOM_COLUMNS = 'k BIGINT, a INTEGER, b BIGINT, s VARCHAR, d DATE, n DECIMAL(9,2)'

const SET_OPERATORS = ['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL'] as const
const JOINS = ['JOIN', 'JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'SEMI JOIN', 'ANTI JOIN']
const AGGREGATES = ['count(*)', 'sum(X)', 'avg(X)', 'count(DISTINCT X)', 'median(X)', 'max(X)']

/** Texts of queries of every shape that plans tell apart; what they compute means nothing. */
export class RandomSql {
  readonly #random: Prng
  #names = 0

  constructor(random: Prng) {
    this.#random = random
  }

  query(): string {
    const random = this.#random
    const body = this.#body(2)
    if (random.chance(0.2)) {
      const other = this.#name()
      const text = `WITH w AS (${this.#select(1)}) SELECT w.x, ${other}.y FROM w JOIN w AS ${other} ON w.x = ${other}.y`
      return random.chance(0.5) ? text : `${text} WHERE w.x IN (SELECT x FROM (${body}) AS q)`
    }
    const whole = `SELECT x, y FROM (${body}) AS ${this.#name()}`
    if (random.chance(0.3)) return `${whole} ORDER BY x LIMIT 10`
    return random.chance(0.2) ? `${whole} LIMIT 5` : body
  }

  /** Columns `x` and `y`, both whole numbers. */
  #body(depth: number): string {
    const random = this.#random
    if (depth > 0 && random.chance(0.2)) {
      const operator = pick(random, SET_OPERATORS)
      return `SELECT * FROM ((${this.#select(depth - 1)}) ${operator} (${this.#select(depth - 1)})) AS ${this.#name()}`
    }
    return this.#select(depth)
  }

  #select(depth: number): string {
    const random = this.#random
    const { from, names } = this.#from(depth)
    const column = (): string => `${pick(random, names)}.${pick(random, ['x', 'y'])}`
    const where = random.chance(0.5) ? ` WHERE ${this.#condition(column, depth)}` : ''
    const kind = random.below(10)
    if (kind < 4) {
      const aggregate = pick(random, AGGREGATES).replace('X', column())
      const key = random.chance(0.3) ? `${column()} % 7` : column()
      const by = random.chance(0.15) ? `ROLLUP (${key})` : key
      return `SELECT ${key} AS x, CAST(${aggregate} AS BIGINT) AS y FROM ${from}${where} GROUP BY ${by}`
    }
    if (kind === 4) return `SELECT DISTINCT ${column()} AS x, ${column()} AS y FROM ${from}${where}`
    if (kind === 5) {
      const key = column()
      return `SELECT DISTINCT ON (${key}) ${key} AS x, ${column()} AS y FROM ${from}${where} ORDER BY ${key}, ${column()}`
    }
    if (kind === 6) {
      const over = random.chance(0.7) ? `PARTITION BY ${column()} ` : ''
      return `SELECT ${column()} AS x, rank() OVER (${over}ORDER BY ${column()}) AS y FROM ${from}${where}`
    }
    const limit = kind === 7 ? ` ORDER BY ${column()} LIMIT 20` : ''
    return `SELECT ${column()} AS x, ${column()} AS y FROM ${from}${where}${limit}`
  }

  #from(depth: number): { readonly from: string; readonly names: readonly string[] } {
    const random = this.#random
    const first = this.#leaf(depth)
    let from = first.text
    const names = [first.name]
    for (let joins = random.below(4); joins > 0; joins--) {
      const next = this.#leaf(depth)
      const join = pick(random, JOINS)
      const own = `${pick(random, names)}.${pick(random, ['x', 'y'])}`
      const more = random.chance(0.3) ? ` AND ${pick(random, names)}.y = ${next.name}.y` : ''
      const operator = pick(random, ['=', '=', '=', 'IS NOT DISTINCT FROM'])
      from = `${from} ${join} ${next.text} ON ${own} ${operator} ${next.name}.x${more}`
      if (join !== 'SEMI JOIN' && join !== 'ANTI JOIN') names.push(next.name)
    }
    return { from, names }
  }

  #leaf(depth: number): { readonly text: string; readonly name: string } {
    const random = this.#random
    const name = this.#name()
    if (depth > 0 && random.chance(0.3))
      return { text: `(${this.#body(depth - 1)}) AS ${name}`, name }
    const [x, y] = [pick(random, ['k', 'b', 'a']), pick(random, ['k', 'b', 'a'])]
    const table = pick(random, RANDOM_TABLES)
    const where = random.chance(0.4)
      ? ` WHERE ${pick(random, ["s = 'p'", 'a < 3', 'b IS NULL', 'n > 5'])}`
      : ''
    return {
      text: `(SELECT CAST(${x} AS BIGINT) AS x, CAST(${y} AS BIGINT) AS y FROM ${table}${where}) AS ${name}`,
      name,
    }
  }

  #condition(column: () => string, depth: number): string {
    const random = this.#random
    const inner = pick(random, RANDOM_TABLES)
    switch (random.below(depth > 0 ? 7 : 1)) {
      case 1:
        return `${column()} IN (SELECT b FROM ${inner} WHERE a = 1)`
      case 2:
        return `${column()} NOT IN (SELECT b FROM ${inner})`
      case 3:
        return `EXISTS (SELECT 1 FROM ${inner} AS i WHERE i.k = ${column()} AND i.b <> 3)`
      case 4:
        return `${column()} > (SELECT avg(i.b) FROM ${inner} AS i WHERE i.k = ${column()})`
      case 5:
        return `${column()} < (SELECT max(b) FROM ${inner})`
      case 6:
        return `${column()} < (SELECT count(i.b) FROM ${inner} AS i WHERE i.k > ${column()})`
      default:
        return `${column()} < ${random.below(1000)}`
    }
  }

  #name(): string {
    return `t${this.#names++}`
  }
}

const pick = <T>(random: Prng, from: readonly T[]): T => {
  const found = from[random.below(from.length)]
  if (found === undefined) throw new Error('there is something to pick from')
  return found
}
