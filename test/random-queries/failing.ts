import type { Prng } from '@nyala/client/base'
import { type GeneratedQuery, type Item, plainQuery, type Source } from './query.ts'

/** What cannot be computed of some row of `events AS t`: too large a number, a text that is none, two rows for one. */
const FAILURES = [
  't.k + 2147483647',
  't.big * 2',
  'CAST(t.g AS TINYINT) * CAST(127 AS TINYINT)',
  'CAST(t.big AS INTEGER)',
  'CAST(t.id + 99990 AS DECIMAL(6,2))',
  'CAST(t.name AS INTEGER)',
  'CAST(t.name AS DATE)',
  'make_date(2020, t.k, 1)',
  'ln(t.id)',
  'sqrt(t.id - 5)',
  '(SELECT p.k FROM people AS p WHERE p.g = t.g)',
]
/** Sums of so many of the largest numbers leave their range in every task. */
const SUM = 'sum(CAST(repeat(CAST(9 AS VARCHAR), 38) AS DECIMAL(38,0)) + t.g - t.g)'

/** A query whose every answer needs a value that cannot be computed: it has to fail, in fragments too. */
export function queryFailing(random: Prng): GeneratedQuery {
  const failure = random.pick(FAILURES)
  const from = random.chance(0.4) ? joined(random) : EVENTS
  const group = { style: 'expressions' as const, keys: [], extra: [failure] }
  const keys = { style: 'expressions' as const, keys: [0], extra: [] }
  return random.pick([
    () => plainQuery({ from, items: items(failure, 't.id') }),
    () => plainQuery({ from, items: items(failure), distinct: true }),
    () => plainQuery({ from, items: items('count(*)'), group }),
    () => plainQuery({ from, items: items('t.g', `max(${failure})`), group: keys }),
    () => plainQuery({ from, items: items('t.g', SUM), group: keys }),
    () => plainQuery({ from, items: items(SUM, 'count(*)') }),
    () => plainQuery({ from, items: items('t.id', `max(${failure}) OVER (PARTITION BY t.g)`) }),
    () => plainQuery({ from, items: items('t.id'), order: [{ sql: failure, suffix: 'DESC' }] }),
    () =>
      plainQuery({
        from: inner(from, failure),
        items: items('s.g', 'count(DISTINCT s.x)'),
        group: keys,
      }),
  ])()
}

const EVENTS: Source = { kind: 'table', name: 'events', alias: 't', columnAliases: [] }

/** All rows of `events` are left, some more than once. */
const joined = (random: Prng): Source => ({
  kind: 'join',
  type: 'left',
  form: 'on',
  left: EVENTS,
  right: { kind: 'table', name: random.pick(['dims', 'sales']), alias: 'd', columnAliases: [] },
  on: ['t.k = d.k'],
  using: [],
})

const inner = (from: Source, failure: string): Source => ({
  kind: 'subquery',
  query: plainQuery({
    from,
    items: [
      { id: 0, sql: failure, kind: 'other', alias: 'x' },
      { id: 1, sql: 't.g', kind: 'int', alias: 'g' },
    ],
  }),
  alias: 's',
  lateral: false,
})

const items = (...texts: readonly string[]): readonly Item[] =>
  texts.map((sql, id) => ({ id, sql, kind: 'other' }))
