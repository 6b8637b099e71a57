import type { Expression } from '../../sql/ir.ts'
import {
  columnsOf,
  type DependentRelation,
  type JoinCondition,
  type JoinRelation,
  type JoinType,
  inputsOf,
  type Relation,
  withInputs,
} from '../logical/relation.ts'
import { equalIr } from '../../sql/ir/equal.ts'
import { allNames, joinNeeds } from './columns.ts'
import { formatBytes, formatNs } from '../format.ts'
import { READ_VALUE_NS, STAGE_NS } from './cost.ts'
import { NotDistributable } from './drafts.ts'
import { elapsedOf, type Side, type Sides, slotsOf } from './join-sides.ts'
import { withFewerGroups } from './group-filter.ts'
import { bucketPairs, filteredByKeys, type KeyFilter, keyFilter } from './key-filter.ts'
import type { Fragmenter } from './fragmenter.ts'
import {
  bucketKeys,
  type Branch,
  SINGLE,
  singleBranch,
  type Source,
  type Stream,
  streamOf,
  withKeys,
} from './stream.ts'

/** Joins whose rows are those of the left side, so that any part of the left may meet the whole right side. */
const RIGHT_WHOLE: ReadonlySet<JoinType> = new Set([
  'inner',
  'left',
  'semi',
  'anti',
  'mark',
  'single',
])
const LEFT_WHOLE: ReadonlySet<JoinType> = new Set(['inner', 'right'])

/** Groups are filtered by the other side's keys where that takes less than this part of the time. */
const FEWER_GROUPS_MAX = 0.9

/** One way to run a join. */
interface Way {
  readonly kind: 'whole' | 'apart' | 'buckets'
  /** Nanoseconds until it is done, the work below both sides included: ways differ in how often it is done. */
  readonly ns: number
  /** `why` says for people what made it the best. */
  readonly make: (why: string) => Stream
}

/** A join of two relations: one side whole in every task, or both in buckets by what they are equal in. */
export function joinStream(
  by: Fragmenter,
  join: JoinRelation,
  needed: ReadonlySet<string>,
): Stream {
  if (join.dependent !== undefined) return dependentStream(by, join, needed)
  const sides = sidesOf(by, join, needed)
  const plain = bestWay(sides)
  const fewer = unlessImpossible(() =>
    withFewerGroups(sides, (other) => bestWay(sidesOf(by, other, needed))),
  )
  if (fewer === undefined) return plain
  if (by.options.filterGroupsAlways === true) return fewer
  return elapsedOf(sides, fewer) < elapsedOf(sides, plain) * FEWER_GROUPS_MAX ? fewer : plain
}

/** What `make` returns, or nothing where it would exchange what cannot be exchanged. */
function unlessImpossible<T>(make: () => T | undefined): T | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof NotDistributable) return undefined
    throw error
  }
}

function sidesOf(by: Fragmenter, join: JoinRelation, needed: ReadonlySet<string>): Sides {
  const needs = joinNeeds(join, needed)
  const left = by.stream(join.left, needs.left)
  const right = by.stream(join.right, needs.right)
  return { by, join, left, right, needs }
}

function bestWay(sides: Sides): Stream {
  const { join } = sides
  const ways = [
    ...(RIGHT_WHOLE.has(join.type) ? wholeWays(sides, 'right') : []),
    ...(LEFT_WHOLE.has(join.type) ? wholeWays(sides, 'left') : []),
    ...apartWays(sides),
    ...bucketWays(sides),
  ]
  const best = ways.toSorted((a, b) => a.ns - b.ns)[0]
  if (best === undefined) return together(sides)
  return best.make(reasonFor(best, ways))
}

/** The times by which a way was chosen, for people. */
function reasonFor(best: Way, ways: readonly Way[]): string {
  const other = ways.filter((way) => way.kind !== best.kind).toSorted((a, b) => a.ns - b.ns)[0]
  if (other === undefined) return ''
  const rival = {
    whole: 'with one side whole',
    apart: 'where both lie',
    buckets: 'in buckets',
  }[other.kind]
  return `, ${formatNs(best.ns)} where ${rival} it takes ${formatNs(other.ns)}`
}

/**
 * A correlated subquery that no rule has made a plain join of: the left side is written once, and the right side reads
 * the distinct values that it depends on from what was written.
 */
function dependentStream(by: Fragmenter, join: JoinRelation, needed: ReadonlySet<string>): Stream {
  const { dependent, ...plain } = join
  const all = allNames(join.left)
  const stream = by.stream(join.left, all)
  const why = 'outer rows of a correlated subquery'
  const left = by.drafts.add({ stream, of: join.left, needed: all, why })
  by.drafts.standsFor(left, join.left)
  const replaced = (part: Relation): Relation => {
    const made =
      part.kind === 'dependent' && part.id === dependent?.id
        ? valuesOf(part, dependent.columns, left)
        : withInputs(part, inputsOf(part).map(replaced))
    if (made !== part) by.drafts.standsFor(made, part)
    return made
  }
  const right = replaced(join.right)
  return joinStream(by, { ...plain, left, right }, needed)
}

/** The distinct values that a dependent relation stands for, out of the outer rows. */
function valuesOf(
  { columns }: DependentRelation,
  expressions: readonly Expression[],
  outer: Relation,
): Relation {
  const items = columns.map((column, i) => {
    const expression = expressions[i]
    if (expression === undefined)
      throw new Error('a dependent relation has the columns of its join')
    return { column, expression }
  })
  return { kind: 'distinct', input: { kind: 'project', input: outer, items }, orderBy: [] }
}

/** Every task gets all of one side: reads it by itself, or what has been written once for all. */
function wholeWays(sides: Sides, side: Side): readonly Way[] {
  const { by, join, needs } = sides
  const { costs, options } = by
  const [kept, whole] = side === 'right' ? [sides.left, sides.right] : [sides.right, sides.left]
  const relation = side === 'right' ? join.right : join.left
  const other = side === 'right' ? join.left : join.right
  const size = by.drafts.madeSize(relation, needs[side]) ?? costs.sizeOf(relation, needs[side])
  const isAlone = singleBranch(kept) !== undefined
  // A single task may hold what it must; many that hold the same are the cluster's memory many times.
  if (!isAlone && size.bytes > options.broadcastMaxBytes) return []
  const parallel = slotsOf(sides, kept)
  const share = costs.size(other).rows / parallel
  const [left, right] = side === 'right' ? [share, size.rows] : [size.rows, share]
  const common = costs.joining(join.type, left, right) + elapsedOf(sides, kept)
  const width = costs.width(relation, needs[side])
  const inline: Way = {
    kind: 'whole',
    ns: common + costs.work(relation),
    make: () => withWhole(sides, kept, side, by.whole(relation)),
  }
  const there: Way = {
    kind: 'whole',
    ns: common + size.rows * Math.max(1, width) * READ_VALUE_NS,
    make: () => {
      const exchange = by.drafts.madeRows(relation, needs[side])
      if (exchange === undefined) throw new Error('what has been written can be read')
      // The tasks may divide the same exchange on the other side.
      return withWhole(sides, kept, side, by.whole(exchange))
    },
  }
  const written: Way = {
    kind: 'whole',
    ns:
      common +
      elapsedOf(sides, whole) +
      costs.write(relation, width, false) / slotsOf(sides, whole) +
      costs.read(relation, width),
    make: (reason) => {
      const most = isAlone ? '' : ` ≤ ${broadcastMax(sides)}`
      const why = `${side} side of a join, whole for every task: ${formatBytes(size.bytes)}${most}${reason}`
      const exchange = by.drafts.add({ stream: whole, of: relation, needed: needs[side], why })
      return withWhole(sides, kept, side, exchange)
    },
  }
  return [inline, by.drafts.madeSize(relation, needs[side]) === undefined ? written : there]
}

const broadcastMax = ({ by }: Sides): string =>
  `broadcast_max_bytes ${formatBytes(by.options.broadcastMaxBytes)}`

function withWhole({ join }: Sides, kept: Stream, side: Side, whole: Relation): Stream {
  const branches = kept.branches.map(({ relation, source }): Branch => ({
    relation:
      side === 'right'
        ? { ...join, left: relation, right: whole }
        : { ...join, left: whole, right: relation },
    source,
  }))
  return { branches }
}

/** Both sides as their tables lie, where these can be divided by what is compared for equality. */
function apartWays(sides: Sides): readonly Way[] {
  const { by, join, left, right } = sides
  for (const pair of bucketPairs(join)) {
    const scans = by.apartTogether([left, right], pair)
    const [l, r] = [left.branches[0], right.branches[0]]
    if (scans === undefined || l === undefined || r === undefined) continue
    const stream = streamOf(
      { ...join, left: l.relation, right: r.relation },
      { kind: 'apart', scans },
    )
    return [{ kind: 'apart', ns: elapsedOf(sides, stream), make: () => stream }]
  }
  return []
}

/** Both sides in buckets by the hash of what is compared for equality; a side that is in such buckets stays. */
function bucketWays(sides: Sides): readonly Way[] {
  const { by, join, left, right, needs } = sides
  const { costs } = by
  const pairs = bucketPairs(join)
  if (pairs.length === 0) return []
  const lefts = pairs.map((p) => p.left)
  const rights = pairs.map((p) => p.right)
  const slots = Math.max(1, by.options.slots)
  const joining =
    costs.joining(join.type, costs.size(join.left).rows, costs.size(join.right).rows) / slots
  const moving = (side: Side): number => {
    const stream = sides[side]
    const keys = side === 'left' ? lefts : rights
    if (by.drafts.isMade({ of: join[side], needed: needs[side], keys })) return 0
    const width = costs.width(join[side], needs[side])
    return (
      elapsedOf(sides, stream) +
      costs.write(join[side], width, true) / slotsOf(sides, stream) +
      costs.read(join[side], width) / slots
    )
  }
  const ways: Way[] = []
  // Buckets by some of the keys are enough, as long as the other side is written by the same ones, in their order.
  const leftKeys = bucketKeys(left).find((list) => indexesIn(list, lefts) !== undefined)
  const rightKeys = bucketKeys(right).find((list) => indexesIn(list, rights) !== undefined)
  if (leftKeys !== undefined) {
    const keys = (indexesIn(leftKeys, lefts) ?? []).flatMap((i) => rights[i] ?? [])
    ways.push({
      ns: joining + elapsedOf(sides, left) + moving('right'),
      kind: 'buckets',
      make: (why) =>
        bucketed({ ...sides, right: shuffled(sides, 'right', { keys, why }) }, leftKeys, keys),
    })
  }
  if (rightKeys !== undefined) {
    const keys = (indexesIn(rightKeys, rights) ?? []).flatMap((i) => lefts[i] ?? [])
    ways.push({
      ns: joining + elapsedOf(sides, right) + moving('left'),
      kind: 'buckets',
      make: (why) =>
        bucketed({ ...sides, left: shuffled(sides, 'left', { keys, why }) }, keys, rightKeys),
    })
  }
  if (leftKeys !== undefined && rightKeys !== undefined) {
    const same = equalIr(indexesIn(leftKeys, lefts), indexesIn(rightKeys, rights))
    if (same)
      ways.push({
        // One stage makes both sides and joins them.
        ns: joining + elapsedOf(sides, left) + elapsedOf(sides, right) - STAGE_NS,
        kind: 'buckets',
        make: () => bucketed(sides, leftKeys, rightKeys),
      })
  }
  const saved = (['left', 'right'] as const).map((s) => keyFilter(sides, s, pairs)?.savedNs ?? 0)
  ways.push({
    ns: joining + STAGE_NS + moving('left') + moving('right') - Math.max(...saved),
    kind: 'buckets',
    make: (why) => bothShuffled(sides, pairs, why),
  })
  return ways
}

/**
 * Both sides in buckets by their keys. What the one that is written first turns out to be can change how the other is
 * run, and its keys can be a filter of the other: the build side, unless the other makes the better filter.
 */
function bothShuffled(sides: Sides, pairs: readonly JoinCondition[], why: string): Stream {
  const filters = {
    left: keyFilter(sides, 'left', pairs),
    right: keyFilter(sides, 'right', pairs),
  }
  const saved = (side: Side): number => filters[side]?.savedNs ?? 0
  const second = saved('right') > saved('left') ? 'right' : 'left'
  const first = second === 'right' ? 'left' : 'right'
  const keys = { left: pairs.map((p) => p.left), right: pairs.map((p) => p.right) }
  const other = shuffled(sides, first, { keys: keys[first], why })
  const filter = filters[second]
  const stream =
    filter === undefined ? sides[second] : filteredByKeys(sides, second, { other, pairs })
  const last = shuffled({ ...sides, [second]: stream }, second, {
    keys: keys[second],
    why,
    filter,
  })
  const [left, right] = second === 'left' ? [last, other] : [other, last]
  return bucketed({ ...sides, left, right }, keys.left, keys.right)
}

/** Where each expression of `list` stands in `all`; undefined where one does not. */
function indexesIn(
  list: readonly Expression[],
  all: readonly Expression[],
): readonly number[] | undefined {
  if (list.length === 0) return undefined
  const found = list.map((e) => all.findIndex((other) => equalIr(e, other)))
  return found.includes(-1) ? undefined : found
}

function shuffled(
  sides: Sides,
  side: Side,
  of: {
    readonly keys: readonly Expression[]
    readonly why: string
    readonly filter?: KeyFilter | undefined
  },
): Stream {
  const { by, join, needs } = sides
  const { keys, why: times, filter } = of
  const sizes = (['left', 'right'] as const).map(
    (s) => `${s} ${formatBytes(by.costs.sizeOf(join[s], needs[s]).bytes)}`,
  )
  const limit = times === '' ? noWhole(sides) : times
  const filtered = filter === undefined ? '' : ', only rows whose keys the other side has'
  const why = `${side} side of a join, by its keys: ${sizes.join(', ')}${limit}${filtered}`
  return by.drafts.shuffle({
    stream: sides[side],
    of: join[side],
    needed: needs[side],
    keys,
    why,
    expected: filter?.size,
  })
}

/** Why no side is given whole to every task. */
function noWhole(sides: Sides): string {
  const { type } = sides.join
  const which = [
    ...(LEFT_WHOLE.has(type) ? ['left'] : []),
    ...(RIGHT_WHOLE.has(type) ? ['right'] : []),
  ]
  if (which.length === 0) return `, of a ${type} join no side may be whole`
  return `, ${which.join(' and ')} > ${broadcastMax(sides)}`
}

function bucketed(
  { join, left, right }: Sides,
  leftKeys: readonly Expression[],
  rightKeys: readonly Expression[],
): Stream {
  const [l, r] = [left.branches[0], right.branches[0]]
  if (l?.source.kind !== 'buckets' || r?.source.kind !== 'buckets')
    throw new Error('both sides of the join are in buckets')
  const source: Source = {
    kind: 'buckets',
    exchanges: [...new Set([...l.source.exchanges, ...r.source.exchanges])],
    keys: [],
  }
  const keys = {
    // Rows without a match have NULL in the other side's keys, wherever they are.
    inner: [leftKeys, rightKeys],
    left: [leftKeys],
    semi: [leftKeys],
    anti: [leftKeys],
    mark: [leftKeys],
    single: [leftKeys],
    right: [rightKeys],
    full: [],
  }[join.type]
  const relation: Relation = { ...join, left: l.relation, right: r.relation }
  return withKeys(streamOf(relation, source), keys)
}

/** No part of one side can do without all of the other, and there is nothing they are equal in. */
function together({ by, join, left, right, needs }: Sides): Stream {
  const side = (which: 'left' | 'right', stream: Stream): Relation => {
    const why = `${which} side of a join that one task makes`
    const gathered = by.drafts.gather({ stream, of: join[which], needed: needs[which], why })
    const branch = singleBranch(gathered)
    if (branch === undefined) throw new Error('what is gathered is in one place')
    return branch.relation
  }
  const relation: Relation = { ...join, left: side('left', left), right: side('right', right) }
  if (columnsOf(relation).length === 0) throw new NotDistributable('a join without columns')
  return streamOf(relation, SINGLE)
}
