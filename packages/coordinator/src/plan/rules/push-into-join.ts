/**
 * What a join hands on to its sides.
 *
 * A side is *kept* when its rows appear in the output without a partner. A condition from above may go to a side when
 * the other is not kept; a condition of the join itself may go to a side that is not kept. A mark join keeps its left
 * side and looks at every right row, since a comparison with NULL makes its mark NULL: nothing goes to its right.
 */
import type { Expression } from '../../sql/ir.ts'
import {
  columnName,
  columnNames,
  comparison,
  distinctExpressions,
  keyOf,
  MIRRORED,
  readsOnly,
  substitute,
} from '../logical/expressions.ts'
import { conditionsRejecting, factsOf } from '../logical/properties.ts'
import type { JoinCondition, JoinRelation, JoinType, Relation } from '../logical/relation.ts'
import { rejectedNulls } from '../logical/safety.ts'
import { factored, impliedBy } from './factor-disjunctions.ts'
import { type Demand, type DemandTaker, namesOf, NO_COLUMNS, union } from './demand.ts'
import { filtered } from './filter-relation.ts'
import { isExactType } from '../logical/types.ts'

/** Where conditions may go. */
interface Ways {
  /** From above to the left and to the right side. */
  readonly aboveLeft: boolean
  readonly aboveRight: boolean
  /** From the join's own condition to its sides. */
  readonly onLeft: boolean
  readonly onRight: boolean
}

const WAYS: Readonly<Record<JoinType, Ways>> = {
  inner: { aboveLeft: true, aboveRight: true, onLeft: true, onRight: true },
  left: { aboveLeft: true, aboveRight: false, onLeft: false, onRight: true },
  right: { aboveLeft: false, aboveRight: true, onLeft: true, onRight: false },
  full: { aboveLeft: false, aboveRight: false, onLeft: false, onRight: false },
  semi: { aboveLeft: true, aboveRight: false, onLeft: true, onRight: true },
  anti: { aboveLeft: true, aboveRight: false, onLeft: false, onRight: true },
  mark: { aboveLeft: true, aboveRight: false, onLeft: false, onRight: false },
  single: { aboveLeft: true, aboveRight: false, onLeft: false, onRight: true },
}

export function pushIntoJoin(pusher: DemandTaker, join: JoinRelation, demand: Demand): Relation {
  return new JoinPusher(pusher, join, demand).push()
}

class JoinPusher {
  readonly #pusher: DemandTaker
  readonly #join: JoinRelation
  readonly #demand: Demand
  readonly #type: JoinType
  readonly #ways: Ways
  readonly #leftColumns: ReadonlySet<string>
  readonly #rightColumns: ReadonlySet<string>
  readonly #left: Expression[] = []
  readonly #right: Expression[] = []
  readonly #above: Expression[] = []
  readonly #residual: Expression[] = []
  readonly #conditions: JoinCondition[]

  constructor(pusher: DemandTaker, join: JoinRelation, demand: Demand) {
    this.#pusher = pusher
    this.#join = join
    this.#demand = demand
    this.#leftColumns = namesOf(join.left)
    this.#rightColumns = namesOf(join.right)
    const rejected = union(demand.rejected, demand.conjuncts.flatMap(rejectedNulls))
    this.#type = this.#withoutUselessRows(join.type, rejected)
    this.#ways = WAYS[this.#type]
    this.#conditions = [...join.conditions]
  }

  push(): Relation {
    for (const e of this.#demand.conjuncts) this.#fromAbove(e)
    for (const e of this.#join.residual.flatMap((r) => factored(r, this.#pusher.types)))
      this.#fromCondition(e)
    this.#transfer()
    const demands = this.#demands()
    const left = this.#pusher.push(this.#join.left, demands.left)
    const right = this.#pusher.push(this.#join.right, demands.right)
    const residual = distinctExpressions(this.#residual)
    return filtered(this.#changed(left, right, residual), this.#above)
  }

  #changed(left: Relation, right: Relation, residual: readonly Expression[]): JoinRelation {
    const join = this.#join
    const isSame =
      left === join.left &&
      right === join.right &&
      this.#type === join.type &&
      this.#conditions.length === join.conditions.length &&
      residual.length === join.residual.length &&
      residual.every((e, i) => e === join.residual[i])
    if (isSame) return join
    return { ...join, type: this.#type, left, right, conditions: this.#conditions, residual }
  }

  /** The type of join that makes only the rows that are of use above. */
  #withoutUselessRows(type: JoinType, rejected: ReadonlySet<string>): JoinType {
    const rejects = (columns: ReadonlySet<string>): boolean => {
      for (const name of rejected) if (columns.has(name)) return true
      return false
    }
    switch (type) {
      case 'left':
        return rejects(this.#rightColumns) ? 'inner' : type
      case 'right':
        return rejects(this.#leftColumns) ? 'inner' : type
      case 'full': {
        const left = rejects(this.#leftColumns)
        if (rejects(this.#rightColumns)) return left ? 'inner' : 'right'
        return left ? 'left' : type
      }
      default:
        return type
    }
  }

  #fromAbove(e: Expression): void {
    const { aboveLeft, aboveRight } = this.#ways
    // A condition without columns stays: there is nothing to be won below.
    if (!this.#pusher.isSafe(e) || columnNames(e).size === 0) this.#above.push(e)
    else if (readsOnly(e, this.#leftColumns)) (aboveLeft ? this.#left : this.#above).push(e)
    else if (readsOnly(e, this.#rightColumns)) (aboveRight ? this.#right : this.#above).push(e)
    else {
      if (this.#type === 'inner') this.#addCondition(e)
      else this.#above.push(e)
      if (aboveLeft) this.#imply(e, this.#leftColumns, this.#left)
      if (aboveRight) this.#imply(e, this.#rightColumns, this.#right)
    }
  }

  #fromCondition(e: Expression): void {
    const { onLeft, onRight } = this.#ways
    if (!this.#pusher.isSafe(e) || columnNames(e).size === 0) this.#residual.push(e)
    else if (readsOnly(e, this.#leftColumns)) (onLeft ? this.#left : this.#residual).push(e)
    else if (readsOnly(e, this.#rightColumns)) (onRight ? this.#right : this.#residual).push(e)
    else {
      this.#addCondition(e)
      if (onLeft) this.#imply(e, this.#leftColumns, this.#left)
      if (onRight) this.#imply(e, this.#rightColumns, this.#right)
    }
  }

  #imply(e: Expression, columns: ReadonlySet<string>, to: Expression[]): void {
    const implied = impliedBy(e, columns)
    if (implied !== undefined) to.push(implied)
  }

  /** An equality of the two sides is a condition that rows can be brought together by; all else is looked at for pairs. */
  #addCondition(e: Expression): void {
    const condition = this.#equality(e)
    if (condition === undefined) this.#residual.push(e)
    else if (!this.#conditions.some((c) => conditionKey(c) === conditionKey(condition)))
      this.#conditions.push(condition)
  }

  #equality(e: Expression): JoinCondition | undefined {
    if (e.kind !== 'comparison') return undefined
    const { operator, left, right } = e
    if (operator !== '=' && operator !== 'is not distinct from') return undefined
    if (columnNames(left).size === 0 || columnNames(right).size === 0) return undefined
    if (readsOnly(left, this.#leftColumns) && readsOnly(right, this.#rightColumns))
      return { operator, left, right }
    if (readsOnly(left, this.#rightColumns) && readsOnly(right, this.#leftColumns))
      return { operator: MIRRORED[operator], left: right, right: left }
    return undefined
  }

  /**
   * What holds for a column holds for the one that it is equal to on the other side: rows for which it does not have no
   * partner. Only of types whose equal values are the same value, and not −0.0 and 0.0, or one month and 30 days.
   */
  #transfer(): void {
    const { onLeft, onRight } = this.#ways
    if (!onLeft && !onRight) return
    const before = this.#left.length + this.#right.length
    for (const condition of this.#conditions) {
      const left = columnName(condition.left)
      const right = columnName(condition.right)
      if (left === undefined || right === undefined || condition.operator !== '=') continue
      if (!isExactType(this.#pusher.types.get(left))) continue
      const ofLeft = [...this.#left, ...factsOf(this.#join.left)]
      const ofRight = [...this.#right, ...factsOf(this.#join.right)]
      if (onRight) this.#right.push(...this.#about(left, ofLeft, condition.right))
      if (onLeft) this.#left.push(...this.#about(right, ofRight, condition.left))
    }
    const asked = this.#left.length + this.#right.length
    this.#withoutKnown(this.#left, this.#join.left)
    this.#withoutKnown(this.#right, this.#join.right)
    const isNew = this.#left.length + this.#right.length > before
    if (asked > before && isNew) this.#pusher.noteTransfer()
  }

  /** What is known of one column alone, said of another. */
  #about(column: string, known: readonly Expression[], other: Expression): readonly Expression[] {
    return known.flatMap((fact) => {
      const columns = columnNames(fact)
      if (columns.size !== 1 || !columns.has(column) || fact.kind === 'isNull') return []
      return this.#pusher.isSafe(fact) ? [substitute(fact, new Map([[column, other]]))] : []
    })
  }

  /** What is known already need not be asked again. */
  #withoutKnown(list: Expression[], side: Relation): void {
    if (list.length === 0) return
    const known = new Set(factsOf(side).map(keyOf))
    if (known.size === 0) return
    const kept = list.filter((e) => !known.has(keyOf(e)))
    list.splice(0, list.length, ...kept)
  }

  #demands(): { readonly left: Demand; readonly right: Demand } {
    const { onLeft, onRight, aboveLeft, aboveRight } = this.#ways
    const { rejected } = this.#demand
    const above = union(rejected, this.#above.flatMap(rejectedNulls))
    const own = conditionsRejecting({
      ...this.#join,
      conditions: this.#conditions,
      residual: this.#residual,
    })
    const side = (
      columns: ReadonlySet<string>,
      conjuncts: readonly Expression[],
      uses: { readonly on: boolean; readonly above: boolean },
    ): Demand => {
      const all = [
        ...(uses.above ? above : NO_COLUMNS),
        ...(uses.on ? own : []),
        ...conjuncts.flatMap(rejectedNulls),
      ]
      return { conjuncts, rejected: new Set(all.filter((name) => columns.has(name))) }
    }
    return {
      left: side(this.#leftColumns, this.#left, { on: onLeft, above: aboveLeft }),
      right: side(this.#rightColumns, this.#right, { on: onRight, above: aboveRight }),
    }
  }
}

const conditionKey = ({ operator, left, right }: JoinCondition): string =>
  keyOf(comparison(left, operator, right))
