/**
 * The order of inner joins by the estimated sizes of what they make.
 *
 * Inner joins that stand next to each other are a *cluster*: relations that may be joined in any order. For a dozen of
 * them every order is looked at, for more the pair that makes the fewest rows is joined first. Relations that nothing
 * ties to others come last, as a cross product; the smaller side stands right, where the hash table is built.
 *
 * Every other join stays where it is, and so does an inner join with a condition that might raise an error: in another
 * place it would meet other rows.
 */
import type { Estimate } from '../fragment/cost.ts'
import {
  columnRef,
  columnsOf,
  type JoinRelation,
  type PlanColumn,
  type Relation,
  withInputs,
  inputsOf,
} from '../logical/relation.ts'
import { isSafe } from '../logical/safety.ts'
import { type ColumnTypes, typesOfRelation } from '../logical/types.ts'
import { columnName, comparison, substitute } from '../logical/expressions.ts'
import type { Expression } from '../../sql/ir.ts'
import type { Scan } from '../scan.ts'
import { aggregateToWindow, type JoinSet } from './aggregate-to-window.ts'
import { JoinGraph, RELATIONS_MAX } from './join-graph.ts'
import { sameFiles } from './share-subtrees.ts'

export function orderJoins(root: Relation, estimate: Estimate, by: OrderBy = {}): Relation {
  return new JoinOrderer(estimate, { types: typesOfRelation(root), ...by }).order(root)
}

export interface OrderBy {
  readonly types?: ColumnTypes
  /** Absent: an aggregate is not looked for among what it is joined with. */
  readonly scans?: ReadonlyMap<number, Scan> | undefined
}

/** Relations to be joined, and what must hold for a row of all. */
interface Cluster {
  readonly leaves: Relation[]
  readonly conditions: Expression[]
  /** Columns that the cluster has under another name. */
  readonly renamed: Map<string, Expression>
}

class JoinOrderer {
  readonly #estimate: Estimate
  readonly #types: ColumnTypes
  readonly #scans: ReadonlyMap<number, Scan> | undefined

  constructor(estimate: Estimate, { types, scans }: OrderBy & { readonly types: ColumnTypes }) {
    this.#estimate = estimate
    this.#types = types
    this.#scans = scans
  }

  order(relation: Relation): Relation {
    if (this.#isFree(relation)) return this.#orderCluster(relation)
    const inputs = inputsOf(relation).map((input) => this.order(input))
    // Where every column counts, or its position, there must be the same ones.
    const isExact = (i: number): boolean =>
      relation.kind === 'set' ||
      (relation.kind === 'distinct' && relation.on === undefined) ||
      (relation.kind === 'with' && i === 0)
    const before = inputsOf(relation)
    return withInputs(
      relation,
      inputs.map((input, i) => {
        const old = before[i]
        return old !== undefined && isExact(i) ? withColumns(input, columnsOf(old)) : input
      }),
    )
  }

  /** True for an inner join whose place does not matter. */
  #isFree(relation: Relation): relation is JoinRelation {
    if (relation.kind !== 'join' || relation.type !== 'inner') return false
    return relation.dependent === undefined && conditionsOf(relation).every((e) => this.#isSafe(e))
  }

  #isSafe(e: Expression): boolean {
    return isSafe(e, this.#types)
  }

  #orderCluster(join: JoinRelation): Relation {
    const set = this.#flat(join)
    if (set.leaves.length > RELATIONS_MAX)
      return withInputs(join, [this.order(join.left), this.order(join.right)])
    const columns = columnsOf(join)
    return this.#windowed(set, columns) ?? withRenamed(this.#joined(set), columns, set)
  }

  #joined({ leaves, conditions }: JoinSet): Relation {
    const ordered = leaves.map((leaf) => this.order(leaf))
    return new JoinGraph(ordered, conditions, this.#estimate).join()
  }

  /** The join with a window in place of an aggregate of its own rows, where it has no more rows than the aggregate reads. */
  #windowed(set: JoinSet, columns: readonly PlanColumn[]): Relation | undefined {
    const scans = this.#scans
    if (scans === undefined) return undefined
    const found = aggregateToWindow(set, {
      flatten: (relation) => this.#flat(relation),
      sameScan: (a, b) => sameFiles(scans.get(a), scans.get(b)),
    })
    if (found === undefined) return undefined
    const joined = this.#joined(found.joined)
    if (this.#estimate(joined).rows > this.#estimate(found.instead).rows) return undefined
    return withRenamed(found.finish(joined), columns, found.joined)
  }

  #flat(relation: Relation): JoinSet {
    const cluster: Cluster = { leaves: [], conditions: [], renamed: new Map() }
    this.#collect(relation, cluster)
    return {
      ...cluster,
      conditions: cluster.conditions.map((e) => resolved(e, cluster.renamed)),
    }
  }

  #collect(relation: Relation, cluster: Cluster): void {
    if (this.#isFree(relation)) {
      this.#collect(relation.left, cluster)
      this.#collect(relation.right, cluster)
      cluster.conditions.push(...conditionsOf(relation))
      return
    }
    // A projection that only renames is seen through.
    if (relation.kind === 'project' && this.#isFree(relation.input)) {
      if (relation.items.every((item) => columnName(item.expression) !== undefined)) {
        for (const { column, expression } of relation.items) {
          if (columnName(expression) !== column.name) cluster.renamed.set(column.name, expression)
        }
        this.#collect(relation.input, cluster)
        return
      }
    }
    cluster.leaves.push(relation)
  }
}

const conditionsOf = (join: JoinRelation): readonly Expression[] => [
  ...join.conditions.map((c) => comparison(c.left, c.operator, c.right)),
  ...join.residual,
]

/** These columns, some of which the relation has under another name. */
function withRenamed(
  input: Relation,
  columns: readonly PlanColumn[],
  { renamed }: JoinSet,
): Relation {
  if (renamed.size === 0) return input
  const items = columns.map((column) => ({
    column,
    expression: resolved(columnRef(column), renamed),
  }))
  return { kind: 'project', input, items }
}

/** An expression over what the renamed columns stand for, through several names. */
function resolved(e: Expression, renamed: ReadonlyMap<string, Expression>): Expression {
  const once = substitute(e, renamed)
  return once === e ? e : resolved(once, renamed)
}

function withColumns(relation: Relation, columns: readonly PlanColumn[]): Relation {
  const own = columnsOf(relation)
  if (own.length === columns.length && own.every((c, i) => c.name === columns[i]?.name))
    return relation
  return {
    kind: 'project',
    input: relation,
    items: columns.map((column) => ({ column, expression: columnRef(column) })),
  }
}
