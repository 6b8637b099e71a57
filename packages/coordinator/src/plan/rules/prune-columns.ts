/**
 * Only columns that somebody reads are made: of scans, projections, aggregates, windows, UNION ALL and WITH. What makes
 * nothing else goes away with them: a window without functions, a projection that changes nothing, a left or mark join
 * that neither drops nor repeats a left row.
 *
 * A relation may have columns that nobody reads (a column that only a filter reads stays in its output), but never
 * fewer than are read, and exactly the same where all count: below DISTINCT, set operations and WITH.
 */
import { someNode, visitTree } from '../../sql/ir/tree.ts'
import type { Expression } from '../../sql/ir.ts'
import { asArguments, columnName, columnNames, substitute } from '../logical/expressions.ts'
import { isUniqueOn } from '../logical/properties.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type DistinctRelation,
  type JoinRelation,
  type LogicalPlan,
  mapRelation,
  type PlanColumn,
  type ProjectRelation,
  type Relation,
  type SetRelation,
  type WindowRelation,
  withInputs,
  type WithRelation,
} from '../logical/relation.ts'
import { isRepeatable } from '../logical/safety.ts'

export function pruneColumns(plan: LogicalPlan): LogicalPlan {
  const needed = new Set(plan.outputs.map((output) => output.column.name))
  const root = new Pruner().prune(plan.root, needed)
  return root === plan.root ? plan : { ...plan, root }
}

type Names = ReadonlySet<string>

class Pruner {
  /** Positions of a WITH's columns that its uses read. */
  readonly #uses = new Map<number, Set<number>>()

  /** The relation with at least the needed ones of its columns. */
  prune(relation: Relation, needed: Names): Relation {
    switch (relation.kind) {
      case 'scan': {
        const columns = kept(relation.columns, needed)
        return columns === relation.columns ? relation : { ...relation, columns }
      }
      case 'values':
        return pruneValues(relation, needed)
      case 'filter':
        return this.#over(relation, needed, relation.conjuncts)
      case 'project':
        return this.#project(relation, needed)
      case 'join':
        return this.#join(relation, needed)
      case 'aggregate':
        return this.#aggregate(relation, needed)
      case 'distinct':
        return this.#distinct(relation, needed)
      case 'window':
        return this.#window(relation, needed)
      case 'unnest':
        return this.#over(
          relation,
          needed,
          relation.items.map((item) => item.expression),
        )
      case 'sort':
        return this.#over(
          relation,
          needed,
          relation.orderBy.map((item) => item.expression),
        )
      case 'limit':
        return this.#over(relation, needed, [])
      case 'set':
        return this.#set(relation, needed)
      case 'with':
        return this.#with(relation, needed)
      case 'cte': {
        const uses = this.#uses.get(relation.id) ?? new Set()
        this.#uses.set(relation.id, uses)
        for (const [i, { name }] of relation.columns.entries()) if (needed.has(name)) uses.add(i)
        return relation
      }
      case 'exchange':
      case 'dependent':
        return relation
    }
  }

  #over(
    relation: Relation & { readonly input: Relation },
    needed: Names,
    reads: readonly Expression[],
  ): Relation {
    return withInputs(relation, [this.prune(relation.input, withReads(needed, reads))])
  }

  /** Exactly these columns of the relation, in this order. */
  #exact(relation: Relation, columns: readonly PlanColumn[]): Relation {
    const pruned = this.prune(relation, new Set(columns.map((c) => c.name)))
    if (isSameList(columnsOf(pruned), columns)) return pruned
    return withoutNested({
      kind: 'project',
      input: pruned,
      items: columns.map((column) => ({ column, expression: columnRef(column) })),
    })
  }

  #project(relation: ProjectRelation, needed: Names): Relation {
    const wanted = relation.items.filter((item) => needed.has(item.column.name))
    const items = wanted.length === relation.items.length ? relation.items : wanted
    const reads = items.map((item) => item.expression)
    const input = this.prune(relation.input, withReads(new Set(), reads))
    const pruned =
      items === relation.items ? withInputs(relation, [input]) : { ...relation, input, items }
    return pruned.kind === 'project' ? withoutNested(pruned) : pruned
  }

  #join(join: JoinRelation, needed: Names): Relation {
    const left = columnsOf(join.left)
    if (isSuperfluous(join, needed)) return this.prune(join.left, needed)
    const reads = withReads(needed, [
      ...join.conditions.flatMap((c) => [c.left, c.right]),
      ...join.residual,
      ...(join.dependent?.columns ?? []),
    ])
    const leftNeeds = new Set(left.flatMap((c) => (reads.has(c.name) ? [c.name] : [])))
    const rightNeeds = new Set(
      columnsOf(join.right).flatMap((c) => (reads.has(c.name) ? [c.name] : [])),
    )
    return withInputs(join, [this.prune(join.left, leftNeeds), this.prune(join.right, rightNeeds)])
  }

  #aggregate(relation: AggregateRelation, needed: Names): Relation {
    const wanted = relation.aggregates.filter((a) => needed.has(a.column.name))
    // One row without columns has no other form than an aggregate of something.
    const isNothing = wanted.length === 0 && relation.keys.length === 0
    const some = isNothing ? relation.aggregates.slice(0, 1) : wanted
    const aggregates = some.length === relation.aggregates.length ? relation.aggregates : some
    const named = relation.groupings.filter((g) => needed.has(g.column.name))
    const groupings = named.length === relation.groupings.length ? relation.groupings : named
    const reads = [...relation.keys, ...aggregates].map((item) => item.expression)
    const input = this.prune(relation.input, withReads(new Set(), reads))
    if (aggregates === relation.aggregates && groupings === relation.groupings)
      return withInputs(relation, [input])
    return { ...relation, input, aggregates, groupings }
  }

  #distinct(relation: DistinctRelation, needed: Names): Relation {
    const { on, input, orderBy } = relation
    if (on === undefined) return withInputs(relation, [this.#exact(input, columnsOf(input))])
    return this.#over(relation, needed, [...on, ...orderBy.map((item) => item.expression)])
  }

  #window(relation: WindowRelation, needed: Names): Relation {
    const wanted = relation.windows.filter((w) => needed.has(w.column.name))
    if (wanted.length === 0) return this.prune(relation.input, needed)
    const windows = wanted.length === relation.windows.length ? relation.windows : wanted
    const reads = windows.map((w) => w.expression)
    const input = this.prune(relation.input, withReads(needed, reads))
    return windows === relation.windows
      ? withInputs(relation, [input])
      : { ...relation, input, windows }
  }

  /** UNION ALL goes row by row; for every other set operation each column counts. */
  #set(relation: SetRelation, needed: Names): Relation {
    const isUnionAll = relation.operator === 'union' && relation.all
    const wanted = relation.columns.flatMap((c, i) =>
      !isUnionAll || needed.has(c.name) ? [i] : [],
    )
    const positions = wanted.length === 0 ? [0] : wanted
    const inputs = relation.inputs.map((input) => {
      const columns = columnsOf(input)
      return this.#exact(input, pick(columns, positions))
    })
    if (positions.length === relation.columns.length) return withInputs(relation, inputs)
    return { ...relation, columns: pick(relation.columns, positions), inputs }
  }

  #with(relation: WithRelation, needed: Names): Relation {
    const body = this.prune(relation.body, needed)
    const uses = this.#uses.get(relation.id) ?? new Set()
    const columns = columnsOf(relation.definition)
    const wanted = columns.flatMap((_, i) => (uses.has(i) ? [i] : []))
    const positions = wanted.length === 0 ? [0] : wanted
    const definition = this.#exact(relation.definition, pick(columns, positions))
    if (positions.length === columns.length) return withInputs(relation, [definition, body])
    const narrowed = mapRelation(body, (part) =>
      part.kind === 'cte' && part.id === relation.id
        ? { ...part, columns: pick(part.columns, positions) }
        : part,
    )
    return { ...relation, definition, body: narrowed }
  }
}

function withReads(needed: Names, reads: readonly Expression[]): Names {
  const all = new Set(needed)
  for (const e of reads) for (const name of columnNames(e)) all.add(name)
  return all
}

const pick = <T>(list: readonly T[], positions: readonly number[]): readonly T[] =>
  positions.flatMap((i) => list.slice(i, i + 1))

function kept<C extends PlanColumn>(columns: readonly C[], needed: Names): readonly C[] {
  const wanted = columns.filter((c) => needed.has(c.name))
  return wanted.length === columns.length ? columns : wanted
}

function pruneValues(relation: Relation & { readonly kind: 'values' }, needed: Names): Relation {
  const positions = relation.columns.flatMap((c, i) => (needed.has(c.name) ? [i] : []))
  if (positions.length === relation.columns.length) return relation
  return {
    ...relation,
    columns: pick(relation.columns, positions),
    rows: relation.rows.map((row) => pick(row, positions)),
  }
}

/** True for a join of which only left columns are read, and each left row appears once whatever is on the right. */
function isSuperfluous(join: JoinRelation, needed: Names): boolean {
  const isUnread = (columns: readonly PlanColumn[]): boolean =>
    columns.every((c) => !needed.has(c.name))
  if (join.type === 'mark') return join.mark !== undefined && isUnread([join.mark])
  if (join.type !== 'left' || !isUnread(columnsOf(join.right))) return false
  const keys = join.conditions.flatMap(({ operator, right }) => {
    const isEqual = operator === '=' || operator === 'is not distinct from'
    return (isEqual ? columnName(right) : undefined) ?? []
  })
  return isUniqueOn(join.right, new Set(keys))
}

const isSameList = (a: readonly PlanColumn[], b: readonly PlanColumn[]): boolean =>
  a.length === b.length && a.every((column, i) => column.name === b[i]?.name)

const isPassing = ({ column, expression }: Computed): boolean =>
  columnName(expression) === column.name

/** A projection of a projection is one, where nothing is computed twice; one that changes nothing is its input. */
function withoutNested(outer: ProjectRelation): Relation {
  const inner = outer.input
  if (inner.kind === 'project' && canMerge(outer, inner)) {
    const whole = new Map(inner.items.map((item) => [item.column.name, item.expression]))
    const values = asArguments(inner.items)
    return withoutNested({
      ...outer,
      input: inner.input,
      items: outer.items.map((item) => ({
        ...item,
        expression:
          whole.get(columnName(item.expression) ?? '') ?? substitute(item.expression, values),
      })),
    })
  }
  const isIdentity =
    outer.items.every(isPassing) &&
    isSameList(
      columnsOf(outer.input),
      outer.items.map((item) => item.column),
    )
  return isIdentity ? outer.input : outer
}

/**
 * What is computed by the inner one is used once at most, or is no work; and everything is computed as often as before.
 * The parameters of a lambda may have the names of columns, so that nothing is put into one.
 */
function canMerge(outer: ProjectRelation, inner: ProjectRelation): boolean {
  const uses = new Map<string, number>()
  const replaced = asArguments(inner.items)
  for (const { expression } of outer.items) {
    if (expression.kind === 'column') {
      count(uses, expression)
      continue
    }
    if (hasLambda(expression)) return false
    for (const name of columnNames(expression)) if (!replaced.has(name)) return false
    visitTree(expression, (node) => {
      if (node.kind === 'column') count(uses, node as Expression)
      return undefined
    })
  }
  return inner.items.every(({ column, expression }) => {
    if (expression.kind === 'column' || expression.kind === 'constant') return true
    return isRepeatable(expression) && (uses.get(column.name) ?? 0) <= 1
  })
}

function count(uses: Map<string, number>, column: Expression): void {
  const name = columnName(column) ?? ''
  uses.set(name, (uses.get(name) ?? 0) + 1)
}

const hasLambda = (e: Expression): boolean => someNode(e, (node) => node.kind === 'lambda')
