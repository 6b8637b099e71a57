import type { Case } from './check.ts'
import type { GeneratedQuery, Source } from './query.ts'

/** Steps of shrinking; a query has far fewer parts. */
const STEPS_MAX = 600

/** The smallest case reached by dropping one part after another for as long as `isWrong` says that it still fails. */
export async function shrink(
  found: Case,
  isWrong: (candidate: Case) => Promise<boolean>,
): Promise<Case> {
  let best = found
  let steps = 0
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (const query of smaller(best.query)) {
      if (++steps > STEPS_MAX) return best
      const candidate = { ...best, query }
      if (!(await isWrong(candidate))) continue
      best = candidate
      isSmaller = true
      break
    }
  }
  return best
}

/** Every query that is this one without one of its parts. Those that make no sense are the reference's to refuse. */
function* smaller(query: GeneratedQuery): Generator<GeneratedQuery> {
  if (query.set !== undefined) {
    yield { ...query, set: undefined }
    for (const right of smaller(query.set.right)) yield { ...query, set: { ...query.set, right } }
  }
  for (const ctes of without(query.ctes)) yield { ...query, ctes }
  if (query.limit !== undefined) yield { ...query, limit: undefined, offset: undefined }
  if (query.offset !== undefined) yield { ...query, offset: undefined }
  if (query.limit === undefined && query.distinctOn === undefined)
    for (const order of without(query.order)) yield { ...query, order }
  for (const where of without(query.where)) yield { ...query, where }
  for (const [i, where] of query.where.entries())
    for (const text of shorter(where)) yield { ...query, where: query.where.with(i, text) }
  for (const having of without(query.having)) yield { ...query, having }
  for (const qualify of without(query.qualify)) yield { ...query, qualify }
  if (query.distinctOn !== undefined) yield { ...query, distinctOn: undefined }
  if (query.distinct) yield { ...query, distinct: false }
  if (query.from !== undefined) {
    for (const from of smallerSources(query.from)) yield { ...query, from }
  }
  yield* fewerItems(query)
  if (query.group !== undefined) {
    const { group } = query
    for (const extra of without(group.extra)) yield { ...query, group: { ...group, extra } }
    for (const keys of without(group.keys)) yield { ...query, group: { ...group, keys } }
    if (group.style !== 'expressions') yield { ...query, group: { ...group, style: 'expressions' } }
    if (group.keys.length + group.extra.length === 0) yield { ...query, group: undefined }
  }
  for (const [i, cte] of query.ctes.entries()) {
    for (const inner of smaller(cte.query)) {
      yield { ...query, ctes: query.ctes.with(i, { ...cte, query: inner }) }
    }
  }
}

function* fewerItems(query: GeneratedQuery): Generator<GeneratedQuery> {
  for (const item of query.items) {
    if (query.items.length > 1) {
      const { group } = query
      yield {
        ...query,
        items: query.items.filter((other) => other !== item),
        order: query.order.filter((term) => term.item !== item.id),
        group:
          group === undefined
            ? undefined
            : { ...group, keys: group.keys.filter((k) => k !== item.id) },
      }
    }
    for (const sql of shorter(item.sql)) {
      yield {
        ...query,
        items: query.items.map((other) => (other === item ? { ...item, sql } : other)),
      }
    }
    if (item.alias !== undefined) {
      const bare = { ...item, alias: undefined }
      yield { ...query, items: query.items.map((other) => (other === item ? bare : other)) }
    }
  }
}

function* smallerSources(source: Source): Generator<Source> {
  switch (source.kind) {
    case 'table':
      if (source.columnAliases.length > 0) yield { ...source, columnAliases: [] }
      return
    case 'rows':
      return
    case 'subquery':
      if (source.query.from !== undefined && !source.lateral) yield source.query.from
      for (const query of smaller(source.query)) yield { ...source, query }
      return
    case 'join':
      yield source.left
      yield source.right
      for (const on of without(source.on)) yield { ...source, on }
      for (const [i, on] of source.on.entries())
        for (const text of shorter(on)) yield { ...source, on: source.on.with(i, text) }
      for (const left of smallerSources(source.left)) yield { ...source, left }
      for (const right of smallerSources(source.right)) yield { ...source, right }
  }
}

/** The text with a part in parentheses alone, or with something simpler in its place. */
function* shorter(sql: string): Generator<string> {
  for (const [start, end] of parentheses(sql)) {
    const inner = sql.slice(start + 1, end)
    if (!/^SELECT/i.test(inner)) yield inner
    const [before, after] = [sql.slice(0, start), sql.slice(end + 1)]
    for (const simple of ['1', 'NULL', 'true']) {
      // The name of a function goes with its arguments.
      const short = before.replace(/[a-z_]+$/, '') + simple + after
      if (short.length < sql.length) yield short
    }
    const where = inner.lastIndexOf(' WHERE ')
    if (where > 0) yield `${before}(${inner.slice(0, where)})${after}`
  }
  for (const word of [' AND ', ' OR ', ' = ', ' || ']) {
    const at = sql.indexOf(word)
    if (at < 0) continue
    yield sql.slice(0, at)
    yield sql.slice(at + word.length)
  }
}

/** Where parentheses open and close, the outermost first. */
function parentheses(sql: string): readonly (readonly [number, number])[] {
  const open: number[] = []
  const found: (readonly [number, number])[] = []
  for (const [at, letter] of [...sql].entries()) {
    if (letter === '(') open.push(at)
    const start = letter === ')' ? open.pop() : undefined
    if (start !== undefined) found.push([start, at])
  }
  return found.toSorted(([a], [b]) => a - b)
}

function* without<T>(items: readonly T[]): Generator<readonly T[]> {
  for (const index of items.keys()) yield items.toSpliced(index, 1)
}
