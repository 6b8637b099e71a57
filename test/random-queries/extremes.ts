import type { Prng } from '@nyala/client/base'
import { type GeneratedQuery, type Item, plainQuery, type Source } from './query.ts'

const TABLES = ['events', 'skew', 'dims', 'events_in_order', 'skew_in_order'] as const
const CONDITIONS = ['?.g > 1', '?.id % 3 <> 1', "?.name LIKE 'a%'", '?.k < 17', '?.g IS NOT NULL']
const TIES = ['k', 'k', 'k', 'g']
const VALUES = ['id', 'g', 'k', 'name']

/**
 * Rows that are compared with the least or greatest of their like: an aggregate of the relations that the query joins
 * anyhow, by a key that it shares with them. Often nearly so: another condition, another key, another aggregate.
 */
export function queryOfExtremes(random: Prng): GeneratedQuery {
  const names = { a: random.pick(TABLES), b: random.pick(TABLES), c: 'dims' }
  const has = { b: random.chance(0.5), c: random.chance(0.5) }
  const tie = random.pick(TIES)
  const conditions = CONDITIONS.filter(() => random.chance(0.2))
  const on = (first: string, second: string): string => `${first}.${tie} = ${second}.${tie}`
  const of = (alias: string): readonly string[] => conditions.map((e) => e.replace('?', alias))
  let from = table(names.a, 'a')
  if (has.b) from = joined(from, table(names.b, 'b'), on('a', 'b'))
  if (has.c) from = joined(from, table(names.c, 'c'), `c.${random.pick(['k', 'k', 'g'])} = a.k`)
  const where = [...of('a'), ...(has.b && random.chance(0.2) ? of('b') : [])]
  const value = random.pick(VALUES)
  const aggregate = random.pick(['min', 'max', 'min', 'max', 'count'])
  const alike = random.chance(0.85) ? of('x') : of('x').slice(1)
  const inner = [
    `x.${random.pick(['k', 'k', 'k', 'g'])} = ${has.c && random.chance(0.5) ? 'c' : 'a'}.k`,
    ...(random.chance(0.15) ? [`x.g = a.g`] : []),
    ...alike,
  ]
  const tables = has.b
    ? `${names.a} AS x JOIN ${names.b} AS y ON ${on('x', 'y')}`
    : `${names.a} AS x`
  const extreme = `(SELECT ${aggregate}(x.${value}) FROM ${tables} WHERE ${inner.join(' AND ')})`
  const operator = random.pick(['=', '=', '=', '<', '>=', '<>', 'IS NOT DISTINCT FROM'])
  where.push(
    aggregate === 'count' ? `a.g ${operator} ${extreme}` : `a.${value} ${operator} ${extreme}`,
  )
  return plainQuery({ from, where, items: items('a.id', 'a.k', has.b ? 'b.g' : 'a.g') })
}

const table = (name: string, alias: string): Source => ({
  kind: 'table',
  name,
  alias,
  columnAliases: [],
})

const joined = (left: Source, right: Source, on: string): Source => ({
  kind: 'join',
  type: 'inner',
  form: 'on',
  left,
  right,
  on: [on],
  using: [],
})

const items = (...texts: readonly string[]): readonly Item[] =>
  texts.map((sql, id) => ({ id, sql, kind: 'other' }))
