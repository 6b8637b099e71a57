/**
 * Filters go down to where their columns come from.
 *
 * A conjunct that may raise an error, or is not repeatable, is computed for the same rows as before or not moved: it
 * passes a projection, a sort and a UNION ALL, and nothing else. All others go as far as they can: through the side of a
 * join whose rows all appear in its output, to the keys of groups, the partitions of windows, into set operations.
 * Never below a limit, whose choice of rows would change.
 *
 * With them goes the knowledge of columns whose NULLs are of no use to anybody above: it makes an outer join an inner
 * one where all rows that it fills with NULLs are dropped later.
 */
import type { Expression } from '../../sql/ir.ts'
import {
  asArguments,
  columnName,
  columnNames,
  keyOf,
  readsOnly,
  substitute,
} from '../logical/expressions.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type ProjectRelation,
  type Relation,
  type SetRelation,
  type WindowRelation,
  withInputs,
} from '../logical/relation.ts'
import { isPlainAggregate } from '../logical/properties.ts'
import { isRepeatable, isSafe, rejectedNulls, strictColumns } from '../logical/safety.ts'
import { type ColumnTypes, typesOfRelation } from '../logical/types.ts'
import {
  type Demand,
  type DemandTaker,
  NO_COLUMNS,
  NO_DEMAND,
  namesOf,
  split,
  union,
} from './demand.ts'
import { factored } from './factor-disjunctions.ts'
import { filtered } from './filter-relation.ts'
import { pushIntoJoin } from './push-into-join.ts'

export function pushFilters(relation: Relation, types = typesOfRelation(relation)): Relation {
  let pushed = relation
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const pusher = new FilterPusher(types)
    pushed = pusher.push(pushed, NO_DEMAND)
    if (!pusher.hasTransferred) break
  }
  return pushed
}

/** A condition on one of many equal columns reaches so many of them, a join further each time. */
const ROUNDS_MAX = 3

class FilterPusher implements DemandTaker {
  readonly types: ColumnTypes
  #hasTransferred = false

  constructor(types: ColumnTypes) {
    this.types = types
  }

  get hasTransferred(): boolean {
    return this.#hasTransferred
  }

  noteTransfer(): void {
    this.#hasTransferred = true
  }

  isSafe(e: Expression): boolean {
    return isSafe(e, this.types)
  }

  /** The rows of the relation that meet the demand, asked as far down as that can be. */
  push(relation: Relation, demand: Demand): Relation {
    switch (relation.kind) {
      case 'filter': {
        const own = relation.conjuncts.flatMap((e) => factored(e, this.types))
        const conjuncts = own.length === 0 ? demand.conjuncts : [...own, ...demand.conjuncts]
        const rejected = union(demand.rejected, own.flatMap(rejectedNulls))
        const below = this.push(relation.input, { conjuncts, rejected })
        return sameFilter(relation, below)
      }
      case 'project':
        return this.#throughProject(relation, demand)
      case 'join':
        return pushIntoJoin(this, relation, demand)
      case 'aggregate':
        return this.#throughAggregate(relation, demand)
      case 'distinct':
        return this.#throughSome(relation, demand, isOver(onColumns(relation)))
      case 'window':
        return this.#throughSome(relation, demand, isOver(partitionColumns(relation)))
      case 'unnest':
        return this.#throughSome(relation, demand, isOver(namesOf(relation.input)))
      case 'sort':
        return withInputs(relation, [this.push(relation.input, demand)])
      case 'set':
        return this.#throughSet(relation, demand)
      case 'with':
        return withInputs(relation, [
          this.push(relation.definition, NO_DEMAND),
          this.push(relation.body, demand),
        ])
      case 'limit':
        return filtered(
          withInputs(relation, [this.push(relation.input, NO_DEMAND)]),
          demand.conjuncts,
        )
      case 'scan':
      case 'exchange':
      case 'values':
      case 'cte':
      case 'dependent':
        return filtered(relation, demand.conjuncts)
    }
  }

  /** A projection makes each row of one row: what is computed over it can be computed below, errors and all. */
  #throughProject(relation: ProjectRelation, { conjuncts, rejected }: Demand): Relation {
    const values = asArguments(relation.items)
    const { yes, no } = split(conjuncts, (e) => canSubstitute(e, values))
    const below = {
      conjuncts: yes.map((e) => substitute(e, values)),
      rejected: strictSources(rejected, values),
    }
    return filtered(withInputs(relation, [this.push(relation.input, below)]), no)
  }

  /**
   * A condition over keys holds for all rows of a group or for none. It must have a column: without keys there is a
   * group even where there are no rows.
   */
  #throughAggregate(relation: AggregateRelation, { conjuncts, rejected }: Demand): Relation {
    const everywhere = relation.keys.filter((_, i) => relation.sets.every((set) => set.includes(i)))
    const values = asArguments(everywhere)
    const { yes, no } = split(
      conjuncts,
      (e) => columnNames(e).size > 0 && this.isSafe(e) && canSubstitute(e, values),
    )
    const below = {
      conjuncts: yes.map((e) => substitute(e, values)),
      rejected: isPlainAggregate(relation) ? strictSources(rejected, values) : NO_COLUMNS,
    }
    return filtered(withInputs(relation, [this.push(relation.input, below)]), no)
  }

  /** Relations that keep their input's columns, and whose rows depend on others that agree in some of them. */
  #throughSome(
    relation: Relation & { readonly input: Relation },
    { conjuncts }: Demand,
    isAllowed: (e: Expression) => boolean,
  ): Relation {
    const { yes, no } = split(
      conjuncts,
      (e) => columnNames(e).size > 0 && this.isSafe(e) && isAllowed(e),
    )
    const input = this.push(relation.input, { conjuncts: yes, rejected: NO_COLUMNS })
    return filtered(withInputs(relation, [input]), no)
  }

  /** Equal rows meet a condition alike, so that it may be asked of each input of any set operation. */
  #throughSet(relation: SetRelation, { conjuncts }: Demand): Relation {
    const isUnionAll = relation.operator === 'union' && relation.all
    const { yes, no } = split(conjuncts, (e) => (isUnionAll ? isRepeatable(e) : this.isSafe(e)))
    const inputs = relation.inputs.map((input) => {
      const values = new Map<string, Expression>()
      for (const [i, column] of columnsOf(input).entries()) {
        values.set(relation.columns[i]?.name ?? '', columnRef(column))
      }
      const below = yes.map((e) => substitute(e, values))
      return this.push(input, { conjuncts: below, rejected: NO_COLUMNS })
    })
    return filtered(withInputs(relation, inputs), no)
  }
}

/** The filter itself where nothing has changed, so that what is known of it is not found out again. */
function sameFilter(before: Relation & { readonly kind: 'filter' }, after: Relation): Relation {
  const isSame =
    after.kind === 'filter' &&
    after.input === before.input &&
    after.conjuncts.length === before.conjuncts.length &&
    after.conjuncts.every((e, i) => keyOf(e) === keyOf(before.conjuncts[i] ?? e))
  return isSame ? before : after
}

/** True when each column has an expression to put in its place, and computing that a second time changes nothing. */
function canSubstitute(e: Expression, values: ReadonlyMap<string, Expression>): boolean {
  if (!isRepeatable(e)) return false
  for (const name of columnNames(e)) {
    const value = values.get(name)
    if (value === undefined || !isRepeatable(value)) return false
  }
  return true
}

function strictSources(
  rejected: ReadonlySet<string>,
  values: ReadonlyMap<string, Expression>,
): ReadonlySet<string> {
  if (rejected.size === 0) return NO_COLUMNS
  return new Set([...rejected].flatMap((name) => strictColumns(values.get(name) ?? NOTHING)))
}

const NOTHING: Expression = { kind: 'coalesce', args: [] }

const isOver =
  (columns: ReadonlySet<string>) =>
  (e: Expression): boolean =>
    readsOnly(e, columns)

/** The columns that all rows of which one is kept agree in. */
function onColumns(relation: Relation & { readonly kind: 'distinct' }): ReadonlySet<string> {
  return relation.on === undefined ? namesOf(relation.input) : plainColumns(relation.on)
}

/** The columns that every window of a relation is partitioned by. */
function partitionColumns(relation: WindowRelation): ReadonlySet<string> {
  const lists = relation.windows.map((w) => plainColumns(w.expression.partitionBy))
  const [first = NO_COLUMNS, ...rest] = lists
  return new Set([...first].filter((name) => rest.every((list) => list.has(name))))
}

const plainColumns = (list: readonly Expression[]): ReadonlySet<string> =>
  new Set(list.flatMap((e) => columnName(e) ?? []))
