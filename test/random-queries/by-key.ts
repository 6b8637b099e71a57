import type { Prng } from '@nyala/client/base'
import { type GeneratedQuery, type Item, type JoinType, plainQuery, type Source } from './query.ts'
import { IN_ORDER } from './tables.ts'

const JOIN_TYPES: readonly JoinType[] = ['inner', 'left', 'right', 'full', 'semi', 'anti']
const CONDITIONS = ['a.g > 2', 'a.id % 3 = 1', "a.name LIKE 'a%'", 'a.k BETWEEN 3 AND 17']
const AGGREGATES = ['count(*)', 'count(a.g)', 'max(a.id)', 'min(a.name)', 'count(DISTINCT a.g)']

/** Groups, windows, distinct rows and joins by the key that tables in order can be divided by. */
export function queryByKey(random: Prng): GeneratedQuery {
  const type = random.chance(0.75) ? random.pick(JOIN_TYPES) : undefined
  const left = tableInOrder(random, 'a')
  const from: Source =
    type === undefined
      ? left
      : {
          kind: 'join',
          type,
          form: 'on',
          left,
          right: tableInOrder(random, 'b'),
          on: random.chance(0.2) ? ['a.k = b.k', 'a.g <= b.g'] : ['a.k = b.k'],
          using: [],
        }
  const where = CONDITIONS.filter(() => random.chance(0.25))
  const shape = random.below(4)
  if (shape === 0) return plainQuery({ from, where, items: items('a.k', 'a.g'), distinct: true })
  if (shape === 1) {
    const rank = `rank() OVER (PARTITION BY a.k ORDER BY a.id ${random.pick(['', 'DESC'])})`
    return plainQuery({ from, where, items: items('a.k', 'a.id', rank) })
  }
  const group = { style: 'expressions' as const, keys: [0], extra: [] }
  const having = random.chance(0.3) ? ['count(*) > 4'] : []
  const chosen = random.shuffle(AGGREGATES).slice(0, 1 + random.below(3))
  return plainQuery({ from, where, group, having, items: items('a.k', ...chosen) })
}

function tableInOrder(random: Prng, alias: string): Source {
  const names = [...[...IN_ORDER.values()].map(({ name }) => name), 'dims']
  return { kind: 'table', name: random.pick(names), alias, columnAliases: [] }
}

const items = (...texts: readonly string[]): readonly Item[] =>
  texts.map((sql, id) => ({ id, sql, kind: 'other' }))
