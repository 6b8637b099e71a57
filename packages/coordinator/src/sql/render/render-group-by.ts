import { assert } from '@nyala/client/base'
import type { Expression, GroupBy } from '../ir.ts'

/**
 * What follows GROUP BY. The parser spells ROLLUP and CUBE out; they are written as such again where
 * the sets are exactly theirs, else as GROUPING SETS.
 */
export function groupByText(groupBy: GroupBy, text: (e: Expression) => string): string {
  if (groupBy.all) return 'ALL'
  const { expressions, sets } = groupBy
  const texts = expressions.map(text)
  const [first] = sets
  assert(first !== undefined, 'GROUP BY has a grouping set')
  if (sets.length === 1)
    return first.length === 0 ? '()' : first.map((i) => at(texts, i)).join(', ')
  const key = JSON.stringify(sets)
  const list = texts.join(', ')
  if (key === JSON.stringify(rollup(expressions.length))) return `ROLLUP (${list})`
  if (expressions.length <= CUBE_MAX && key === JSON.stringify(cube(expressions.length))) {
    return `CUBE (${list})`
  }
  const groups = sets.map((set) => `(${set.map((i) => at(texts, i)).join(', ')})`)
  return `GROUPING SETS (${groups.join(', ')})`
}

function at(texts: readonly string[], index: number): string {
  const text = texts[index]
  assert(text !== undefined, 'a grouping set refers to an expression')
  return text
}

/** A CUBE of n expressions has 2^n sets; longer lists are not worth comparing. */
const CUBE_MAX = 6

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** In the order of the parser: from nothing to all. */
const rollup = (n: number): readonly (readonly number[])[] => range(n + 1).map((i) => range(i))

function cube(n: number): readonly (readonly number[])[] {
  const build = (from: number, prefix: readonly number[]): readonly (readonly number[])[] => [
    prefix,
    ...range(n)
      .slice(from)
      .flatMap((i) => build(i + 1, [...prefix, i])),
  ]
  return build(0, [])
}
