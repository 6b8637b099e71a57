/**
 * Runtime filters between fragments: rows of one side of a join whose keys the other side, which has been written before,
 * does not have, need not be written. A semi join with the other side's segments, so exact and of the same equality.
 */
import type { JoinCondition, JoinRelation, JoinType, Relation } from '../logical/relation.ts'
import { READ_VALUE_NS, type Size } from './cost.ts'
import { type Side, type Sides, slotsOf } from './join-sides.ts'
import { mapStream, type Stream } from './stream.ts'

/** Joins in which a row of the side does nothing if it has no match. */
export const DROPS: Readonly<Record<Side, ReadonlySet<JoinType>>> = {
  left: new Set<JoinType>(['inner', 'semi', 'right']),
  right: new Set<JoinType>(['inner', 'left', 'semi', 'anti', 'mark', 'single']),
}

export interface KeyFilter {
  /** What is expected to be left. */
  readonly size: Size
  /** Nanoseconds that it saves. */
  readonly savedNs: number
}

/**
 * What a filter does to a side, where it takes less to ask for each row whether the other side has its
 * keys than to write and read them all; undefined where it does not.
 */
export function keyFilter(
  sides: Sides,
  side: Side,
  pairs: readonly JoinCondition[],
): KeyFilter | undefined {
  const { by, join, needs } = sides
  const { costs, drafts, options } = by
  if (!DROPS[side].has(join.type)) return undefined
  // A side that is there already is not written again.
  const own = pairs.map((p) => p[side])
  if (drafts.isMade({ of: join[side], needed: needs[side], keys: own })) return undefined
  const other = side === 'left' ? 'right' : 'left'
  const keys = drafts.madeSize(join[other], needs[other]) ?? costs.sizeOf(join[other], needs[other])
  // Every task holds them.
  if (keys.bytes > options.broadcastMaxBytes) return undefined
  const before = costs.size(join[side]).rows
  const size = costs.sizeOf(keyJoin(join[side], join[other], seenFrom(pairs, side)), needs[side])
  const parallel = slotsOf(sides, sides[side])
  const width = costs.width(join[side], needs[side])
  const asking =
    keys.rows * Math.max(1, costs.width(join[other], needs[other])) * READ_VALUE_NS +
    costs.joining('semi', before / parallel, keys.rows)
  const moving =
    costs.write(join[side], width, true) / parallel +
    costs.read(join[side], width) / Math.max(1, options.slots)
  const dropped = 1 - Math.min(1, size.rows / Math.max(1, before))
  const savedNs = moving * dropped - asking
  return savedNs > 0 ? { size, savedNs } : undefined
}

/** A side, filtered by the keys that the exchange of the other side has. */
export function filteredByKeys(
  sides: Sides,
  side: Side,
  of: { readonly other: Stream; readonly pairs: readonly JoinCondition[] },
): Stream {
  const [branch] = of.other.branches
  if (branch?.relation.kind !== 'exchange') return sides[side]
  const right = branch.relation
  return mapStream(sides[side], (left) => keyJoin(left, right, seenFrom(of.pairs, side)))
}

/** The rows of the left side that have a partner. */
export const keyJoin = (
  left: Relation,
  right: Relation,
  conditions: readonly JoinCondition[],
): JoinRelation => ({ kind: 'join', type: 'semi', left, right, conditions, residual: [] })

/** Equalities with the side's own expressions on the left. */
export const seenFrom = (pairs: readonly JoinCondition[], side: Side): readonly JoinCondition[] =>
  side === 'left'
    ? pairs
    : pairs.map(({ operator, left, right }) => ({ operator, left: right, right: left }))

/** The conditions by which equal rows of both sides meet in one bucket. */
export function bucketPairs(join: JoinRelation): readonly JoinCondition[] {
  const isEqual = (c: JoinCondition): boolean =>
    c.operator === '=' || c.operator === 'is not distinct from'
  // Whether a mark is false or unknown depends on NULLs anywhere in the right side.
  const isKnown = join.conditions.every((c) => c.operator === 'is not distinct from')
  if (join.type === 'mark' && (!isKnown || join.residual.length > 0)) return []
  return join.conditions.filter(isEqual)
}
