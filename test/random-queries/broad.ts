import type { Prng } from '@nyala/client/base'
import { type GeneratedQuery, type Item, plainQuery, type Source } from './query.ts'

/** A query that carries all columns of the table with a thousand of them. */
export function queryBroad(random: Prng): GeneratedQuery {
  const from: Source = random.chance(0.4) ? joined(random) : BROAD
  const some = (): string => number(random.below(200))
  const where = random.chance(0.5) ? [`${some()} <> ${some()} OR t.k > 1`] : []
  const all: Item = { id: 1, sql: 't.*', kind: 'other' }
  const id: Item = { id: 0, sql: 't.id', kind: 'int', alias: 'first_id' }
  const order = [{ item: 0, style: 'ordinal' as const, suffix: random.pick(['', 'DESC']) }]
  return random.pick([
    () => plainQuery({ from, where, items: [id, all], order }),
    () => plainQuery({ from, where, items: [all], distinct: true }),
    () =>
      plainQuery({
        from: BROAD,
        where,
        items: [all],
        set: {
          operator: random.pick(['UNION ALL', 'EXCEPT', 'INTERSECT ALL', 'UNION']),
          right: plainQuery({ from: BROAD, items: [all] }),
        },
      }),
    () => {
      const sums = Array.from({ length: 200 }, (_, i) => `sum(${number(i)})`)
      const items = ['t.k', ...sums].map((sql, i): Item => ({ id: i, sql, kind: 'other' }))
      const group = { style: 'expressions' as const, keys: [0], extra: [] }
      return plainQuery({ from, where, items, group })
    },
  ])()
}

/** Every fourth column is a number. */
const number = (i: number): string => `t.c${i * 4 + 3}`

const BROAD: Source = { kind: 'table', name: 'broad', alias: 't', columnAliases: [] }

const joined = (random: Prng): Source => ({
  kind: 'join',
  type: random.pick(['inner', 'left']),
  form: 'on',
  left: BROAD,
  right: { kind: 'table', name: random.pick(['dims', 'broad']), alias: 'd', columnAliases: [] },
  on: ['t.k = d.k'],
  using: [],
})
