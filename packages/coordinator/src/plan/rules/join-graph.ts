import { assert } from '@nyala/client/base'
import type { Expression } from '../../sql/ir.ts'
import type { Estimate } from '../fragment/cost.ts'
import { columnName, columnNames, comparison, keyOf, MIRRORED } from '../logical/expressions.ts'
import { hasOneRowAtMost } from '../logical/properties.ts'
import { columnsOf, type JoinCondition, type Relation } from '../logical/relation.ts'
import { filtered } from './filter-relation.ts'

/** So many relations are joined in the best of all orders; three to the power of this many pairs are looked at. */
const EXACT_MAX = 12

/** A set of relations, joined. */
interface Plan {
  readonly set: number
  readonly relation: Relation
  readonly rows: number
  /** Rows that all joins within make or keep in a hash table. */
  readonly cost: number
}

/** A condition and the relations that it reads. */
interface Edge {
  readonly condition: Expression
  readonly set: number
  /** Of a comparison, what its sides read. */
  readonly left: number
  readonly right: number
  /** True for an equality: rows can be brought together by it. */
  readonly isEquality: boolean
}

/** More than this many relations have no bit each in a number. */
export const RELATIONS_MAX = 30

/** Relations, and the conditions that tie them to each other. */
export class JoinGraph {
  readonly #leaves: readonly Relation[]
  readonly #edges: readonly Edge[]
  readonly #classes: readonly (readonly (string | undefined)[])[]
  readonly #estimate: Estimate
  readonly #oneRow: number
  readonly #rows = new Map<number, number>()

  constructor(leaves: readonly Relation[], conditions: readonly Expression[], estimate: Estimate) {
    assert(leaves.length <= RELATIONS_MAX, 'each relation has a bit')
    this.#leaves = leaves
    this.#estimate = estimate
    const owner = new Map<string, number>()
    for (const [i, leaf] of leaves.entries()) {
      for (const { name } of columnsOf(leaf)) owner.set(name, i)
    }
    const { classes, others } = equalityClasses(conditions, owner)
    this.#classes = classes
    this.#edges = others.map((condition) => edgeOf(condition, owner))
    this.#oneRow = leaves.reduce((set, leaf, i) => (hasOneRowAtMost(leaf) ? set | bit(i) : set), 0)
  }

  join(): Relation {
    const parts = this.#components().map((set) =>
      count(set) <= EXACT_MAX ? this.#best(set) : this.#greedy(this.#singles(set)),
    )
    // What nothing ties is multiplied, the smallest first.
    const whole = this.#greedy(parts, 'cross')
    const loose = this.#edges.filter((edge) => edge.set === 0).map((edge) => edge.condition)
    return filtered(whole.relation, loose)
  }

  #singles(set: number): readonly Plan[] {
    return this.#leaves.flatMap((relation, i) =>
      (set & bit(i)) === 0 ? [] : [this.#single(relation, i)],
    )
  }

  #single(leaf: Relation, i: number): Plan {
    const own = this.#edges.filter((edge) => edge.set === bit(i)).map((edge) => edge.condition)
    const relation = filtered(leaf, own)
    return { set: bit(i), relation, rows: this.#estimate(relation).rows, cost: 0 }
  }

  /** Sets of relations that are tied to each other. */
  #components(): readonly number[] {
    const found: number[] = []
    let seen = 0
    for (const i of this.#leaves.keys()) {
      if ((seen & bit(i)) !== 0) continue
      let set = bit(i)
      for (let before = 0; before !== set;) {
        before = set
        for (const j of this.#leaves.keys()) {
          if ((set & bit(j)) === 0 && this.#isTied(set, bit(j))) set |= bit(j)
        }
      }
      found.push(set)
      seen |= set
    }
    return found
  }

  /** True when a join of the two sets is no cross product: an equality, or anything to do with a single row. */
  #isTied(a: number, b: number): boolean {
    const isBetween = (edge: Edge): boolean =>
      (edge.left & ~a) === 0 && (edge.right & ~b) === 0 && edge.left !== 0 && edge.right !== 0
    const isMirrored = (edge: Edge): boolean =>
      (edge.left & ~b) === 0 && (edge.right & ~a) === 0 && edge.left !== 0 && edge.right !== 0
    return (
      this.#classes.some((members) => hasMember(members, a) && hasMember(members, b)) ||
      this.#edges.some(
        (edge) =>
          (edge.isEquality || (edge.set & this.#oneRow) !== 0) &&
          (isBetween(edge) || isMirrored(edge)),
      )
    )
  }

  /** The cheapest of all orders without a cross product. */
  #best(all: number): Plan {
    const plans = new Map<number, Plan>()
    for (const plan of this.#singles(all)) plans.set(plan.set, plan)
    // Every part of a set is a smaller number than the set.
    for (let set = all & -all; set !== 0 && set <= all; set = next(set, all)) {
      if ((set & (set - 1)) === 0) continue
      const lowest = set & -set
      for (let part = (set - 1) & set; part > 0; part = (part - 1) & set) {
        if ((part & lowest) === 0) continue
        const a = plans.get(part)
        const b = plans.get(set ^ part)
        if (a === undefined || b === undefined || !this.#isTied(part, set ^ part)) continue
        const known = plans.get(set)
        const atLeast = a.cost + b.cost
        if (known !== undefined && atLeast >= known.cost) continue
        const plan = this.#joined(a, b)
        if (known === undefined || plan.cost < known.cost) plans.set(set, plan)
      }
    }
    // A set that is tied only through a condition over three relations or more has no plan of its own.
    return plans.get(all) ?? this.#greedy(this.#singles(all))
  }

  /** Always the pair next that makes the fewest rows, of those that are tied while there are such. */
  #greedy(singles: readonly Plan[], which: 'tied' | 'cross' = 'tied'): Plan {
    let plans = [...singles]
    while (plans.length > 1) {
      let best: Plan | undefined
      for (const [i, a] of plans.entries()) {
        for (const b of plans.slice(i + 1)) {
          if (which === 'tied' && !this.#isTied(a.set, b.set)) continue
          const plan = this.#joined(a, b)
          if (best === undefined || plan.rows < best.rows) best = plan
        }
      }
      if (best === undefined) return this.#greedy(plans, 'cross')
      const { set } = best
      plans = [...plans.filter((plan) => (plan.set & set) === 0), best]
    }
    const [plan] = plans
    assert(plan !== undefined, 'a cluster has a relation at least')
    return plan
  }

  #joined(a: Plan, b: Plan): Plan {
    const set = a.set | b.set
    const isSmaller = this.#bytes(a) < this.#bytes(b)
    const [left, right] = isSmaller ? [b, a] : [a, b]
    const relation = this.#join(left, right)
    // How many rows a set of relations has does not depend on the order in which they are joined.
    const rows = this.#rows.get(set) ?? this.#estimate(relation).rows
    this.#rows.set(set, rows)
    return { set, relation, rows, cost: a.cost + b.cost + rows + 2 * right.rows + left.rows }
  }

  #bytes(plan: Plan): number {
    return this.#estimate(plan.relation).bytes
  }

  #join(left: Plan, right: Plan): Relation {
    const conditions: JoinCondition[] = []
    const residual: Expression[] = []
    for (const members of this.#classes) {
      const a = memberOf(members, left.set)
      const b = memberOf(members, right.set)
      if (a !== undefined && b !== undefined)
        conditions.push({ operator: '=', left: reference(a), right: reference(b) })
    }
    const set = left.set | right.set
    for (const edge of this.#edges) {
      const isNew = (edge.set & ~set) === 0 && count(edge.set) > 1
      if (!isNew || (edge.set & ~left.set) === 0 || (edge.set & ~right.set) === 0) continue
      const condition = edge.isEquality ? asCondition(edge, left.set, right.set) : undefined
      if (condition === undefined) residual.push(edge.condition)
      else conditions.push(condition)
    }
    return {
      kind: 'join',
      type: 'inner',
      left: left.relation,
      right: right.relation,
      conditions,
      residual,
    }
  }
}

const bit = (i: number): number => 1 << i

function count(set: number): number {
  let bits = 0
  for (let rest = set; rest !== 0; rest &= rest - 1) bits++
  return bits
}

/** The next larger part of a set, or 0 behind the whole. */
const next = (part: number, all: number): number => (part - all) & all

const reference = (name: string): Expression => ({ kind: 'column', path: [name] })

const hasMember = (members: readonly (string | undefined)[], set: number): boolean =>
  memberOf(members, set) !== undefined

const memberOf = (members: readonly (string | undefined)[], set: number): string | undefined =>
  members.find((name, i) => name !== undefined && (set & bit(i)) !== 0)

function asCondition(edge: Edge, left: number, right: number): JoinCondition | undefined {
  const e = edge.condition
  if (e.kind !== 'comparison') return undefined
  if ((edge.left & ~left) === 0 && (edge.right & ~right) === 0)
    return { operator: e.operator, left: e.left, right: e.right }
  if ((edge.left & ~right) === 0 && (edge.right & ~left) === 0)
    return { operator: MIRRORED[e.operator], left: e.right, right: e.left }
  return undefined
}

function edgeOf(condition: Expression, owner: ReadonlyMap<string, number>): Edge {
  const set = setOf(condition, owner)
  if (condition.kind !== 'comparison')
    return { condition, set, left: 0, right: 0, isEquality: false }
  const left = setOf(condition.left, owner)
  const right = setOf(condition.right, owner)
  const isEqual = condition.operator === '=' || condition.operator === 'is not distinct from'
  const isEquality = isEqual && left !== 0 && right !== 0 && (left & right) === 0
  return { condition, set, left, right, isEquality }
}

function setOf(e: Expression, owner: ReadonlyMap<string, number>): number {
  let set = 0
  for (const name of columnNames(e)) set |= bit(owner.get(name) ?? 0)
  return set
}

/**
 * Columns that are all equal, by the relation that each is of. Of a = b and b = c any two are a condition, so that any
 * two of the relations may be joined first. Not where two columns of one relation are among them.
 */
function equalityClasses(
  conditions: readonly Expression[],
  owner: ReadonlyMap<string, number>,
): {
  readonly classes: readonly (readonly (string | undefined)[])[]
  readonly others: readonly Expression[]
} {
  let sets: { readonly names: ReadonlySet<string>; readonly from: readonly Expression[] }[] = []
  const others: Expression[] = []
  for (const e of conditions) {
    const names =
      e.kind === 'comparison' && e.operator === '=' ? [columnName(e.left), columnName(e.right)] : []
    const [a, b] = names
    if (a === undefined || b === undefined || owner.get(a) === owner.get(b)) {
      others.push(e)
      continue
    }
    const touched = sets.filter((set) => set.names.has(a) || set.names.has(b))
    const joined = {
      names: new Set([...touched.flatMap((set) => [...set.names]), a, b]),
      from: [...touched.flatMap((set) => set.from), e],
    }
    sets = [...sets.filter((set) => !touched.includes(set)), joined]
  }
  const classes: (readonly (string | undefined)[])[] = []
  for (const { names, from } of sets) {
    const members: (string | undefined)[] = []
    for (const name of names) {
      const i = owner.get(name) ?? 0
      if (members[i] === undefined) members[i] = name
      else members.length = 0
      if (members.length === 0) break
    }
    if (members.length === 0) others.push(...from)
    else classes.push(members)
  }
  return { classes, others: withoutTwins(others) }
}

function withoutTwins(list: readonly Expression[]): readonly Expression[] {
  const seen = new Set<string>()
  return list.filter((e) => {
    const key = keyOf(e)
    const twin =
      e.kind === 'comparison' ? keyOf(comparison(e.right, MIRRORED[e.operator], e.left)) : key
    if (seen.has(key) || seen.has(twin)) return false
    seen.add(key)
    return true
  })
}
