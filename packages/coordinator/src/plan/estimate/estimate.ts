import type { Expression } from '../../sql/ir.ts'
import {
  type AggregateRelation,
  columnsOf,
  type ComputedAggregate,
  inputsOf,
  type JoinRelation,
  type PlanColumn,
  type Relation,
  type SetRelation,
} from '../logical/relation.ts'
import { columnName } from '../logical/expressions.ts'
import type { Scan } from '../scan.ts'
import {
  type ColumnEstimate,
  type ColumnEstimates,
  combinations,
  estimated,
  type Estimated,
  thinned,
  unknownColumn,
} from './column-estimate.ts'
import { estimateExpression } from './expression-estimate.ts'
import { filterBy } from './filter-estimate.ts'
import { estimateJoin } from './join-estimate.ts'
import { estimateScan } from './scan-estimate.ts'

/** What is known beside the plan. One object for one query: what was estimated is kept by it. */
export interface EstimateWorld {
  readonly scans: ReadonlyMap<number, Scan>
  /** Measured numbers of exchanges that have been written, or what was estimated of them. */
  readonly exchanges?: ReadonlyMap<number, ExchangeSize> | undefined
}

export interface ExchangeSize {
  readonly rows: number
  readonly bytes: number
  readonly columns?: ColumnEstimates | undefined
}

/** Of a relation of which nothing can be found out. */
const UNKNOWN_ROWS = 1000
/** Elements of a list, on average. */
const LIST_LENGTH = 4
/** What a set operation without ALL leaves. */
const UNION_DISTINCT = 0.9
/** Of the values of one input of a union, those that the others have not. */
const UNION_NEW = 0.5
const EXCEPT = 0.5
const RANKS: ReadonlySet<string> = new Set(['row_number', 'rank', 'dense_rank'])
const INTERSECT = 0.5

interface Memory {
  readonly known: WeakMap<Relation, Estimated>
  readonly definitions: Map<number, Relation>
  readonly dependents: Map<number, JoinRelation>
}

const memories = new WeakMap<EstimateWorld, Memory>()

/**
 * Rows, bytes and columns of a relation. A relation inside a WITH or a dependent join finds the definition that it uses
 * only once a relation that holds both was asked for, so ask for the root first.
 */
export function estimate(relation: Relation, world: EstimateWorld): Estimated {
  const memory = memories.get(world) ?? {
    known: new WeakMap(),
    definitions: new Map(),
    dependents: new Map(),
  }
  memories.set(world, memory)
  const known = memory.known.get(relation)
  if (known !== undefined) return known
  if (relation.kind === 'with') memory.definitions.set(relation.id, relation.definition)
  if (relation.kind === 'join' && relation.dependent !== undefined)
    memory.dependents.set(relation.dependent.id, relation)
  const inputs = inputsOf(relation).map((input) => estimate(input, world))
  const found = estimateOver(relation, inputs, { world, memory })
  memory.known.set(relation, found)
  return found
}

interface Context {
  readonly world: EstimateWorld
  readonly memory: Memory
}

function estimateOver(
  relation: Relation,
  inputs: readonly Estimated[],
  context: Context,
): Estimated {
  const [first, second] = inputs
  switch (relation.kind) {
    case 'scan': {
      const scan = context.world.scans.get(relation.scan)
      return scan === undefined ? unknown(relation.columns) : estimateScan(scan, relation)
    }
    case 'exchange':
      return measured(relation.columns, context.world.exchanges?.get(relation.exchange))
    case 'values':
      return estimateValues(relation.columns, relation.rows)
    case 'cte': {
      const definition = context.memory.definitions.get(relation.id)
      if (definition === undefined) return unknown(relation.columns)
      return renamed(estimate(definition, context.world), columnsOf(definition), relation.columns)
    }
    case 'dependent':
      return estimateDependent(relation, context)
    case 'join':
      return first === undefined || second === undefined
        ? unknown(columnsOf(relation))
        : estimateJoin(relation, first, second)
    case 'set':
      return estimateSet(relation, inputs)
    case 'with':
      return second ?? unknown(columnsOf(relation))
    case 'filter':
    case 'project':
    case 'aggregate':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
    case 'limit':
      return first === undefined ? unknown(columnsOf(relation)) : estimateUnary(relation, first)
  }
}

type Unary = Extract<Relation, { readonly input: Relation }>

function estimateUnary(relation: Unary, input: Estimated): Estimated {
  switch (relation.kind) {
    case 'filter':
      return filterBy(input, relation.conjuncts)
    case 'project':
      return estimated(
        input.rows,
        new Map(relation.items.map((item) => [item.column.name, computed(item, input)])),
      )
    case 'aggregate':
      return estimateAggregate(relation, input)
    case 'distinct': {
      const keys = relation.on ?? columnsOf(relation).map(toReference)
      const rows = groupsOf(keys, input)
      // Of the columns that rows were chosen by every value is still there.
      const kept = relation.on === undefined ? undefined : new Set(relation.on.map(columnName))
      const columns = new Map(thinned(input.columns, input.rows, rows))
      for (const [name, column] of input.columns) {
        if (kept === undefined || kept.has(name))
          columns.set(name, { ...column, distinct: Math.min(column.distinct, rows) })
      }
      return estimated(rows, columns)
    }
    case 'window': {
      const columns = new Map(input.columns)
      for (const { column, expression } of relation.windows) {
        // A rank has as many values as there are rows of one partition.
        const parts = RANKS.has(expression.name.toLowerCase())
          ? groupsOf(expression.partitionBy, input)
          : 1
        columns.set(column.name, unknownColumn(column.type, input.rows / Math.max(1, parts)))
      }
      return estimated(input.rows, columns)
    }
    case 'unnest': {
      const rows = input.rows * LIST_LENGTH
      const columns = new Map(input.columns)
      for (const { column } of relation.items)
        columns.set(column.name, unknownColumn(column.type, rows))
      return estimated(rows, columns)
    }
    case 'sort':
      return input
    case 'limit': {
      const behind = Math.max(0, input.rows - relation.offset)
      const rows = Math.min(behind, relation.count ?? behind)
      return estimated(rows, thinned(input.columns, input.rows, rows))
    }
  }
}

const toReference = (column: PlanColumn): Expression => ({ kind: 'column', path: [column.name] })

const computed = (
  { column, expression }: { readonly column: PlanColumn; readonly expression: Expression },
  input: Estimated,
): ColumnEstimate => {
  const found = estimateExpression(expression, input.columns, input.rows)
  const isColumn = expression.kind === 'column' || found.domain !== undefined
  return isColumn
    ? found
    : { ...found, type: column.type, width: unknownColumn(column.type, 1).width }
}

function groupsOf(keys: readonly Expression[], input: Estimated): number {
  const distinct = keys.map((key) => {
    const found = estimateExpression(key, input.columns, input.rows)
    return found.distinct + (found.nulls > 0 ? 1 : 0)
  })
  return combinations(distinct, input.rows)
}

function estimateAggregate(relation: AggregateRelation, input: Estimated): Estimated {
  const { keys, sets, aggregates, groupings } = relation
  let rows = 0
  for (const set of sets) {
    const expressions = set.flatMap((i) => keys[i]?.expression ?? [])
    rows += expressions.length === 0 ? 1 : groupsOf(expressions, input)
  }
  const columns = new Map<string, ColumnEstimate>()
  const isPlain = sets.length === 1
  for (const key of keys) {
    const found = computed(key, input)
    columns.set(key.column.name, {
      ...found,
      distinct: Math.max(Math.min(1, rows), Math.min(found.distinct, rows)),
      baseRows: rows,
      nulls: isPlain ? (found.nulls > 0 ? Math.min(1, 1 / Math.max(1, rows)) : 0) : INTERSECT,
    })
  }
  for (const aggregate of aggregates)
    columns.set(aggregate.column.name, aggregated(aggregate, input, rows))
  for (const { column } of groupings)
    columns.set(column.name, unknownColumn(column.type, sets.length))
  return estimated(rows, columns)
}

/** The least and greatest of a column lie where the column lies. */
function aggregated(
  { column, expression }: ComputedAggregate,
  input: Estimated,
  rows: number,
): ColumnEstimate {
  const [argument] = expression.args
  const name = expression.name.toLowerCase()
  if ((name === 'min' || name === 'max') && argument !== undefined) {
    const found = estimateExpression(argument, input.columns, input.rows)
    return { ...found, type: column.type, distinct: Math.min(found.distinct, rows), nulls: 0 }
  }
  if (name === 'count' || name === 'count_star') {
    // Numbers that differ add up to all rows: 0 + 1 + … + d.
    return unknownColumn(column.type, Math.min(rows, 1 + Math.sqrt(2 * input.rows)))
  }
  return unknownColumn(column.type, rows)
}

function estimateSet(relation: SetRelation, inputs: readonly Estimated[]): Estimated {
  const parts = relation.inputs.map((input, i) =>
    renamed(inputs[i] ?? unknown(relation.columns), columnsOf(input), relation.columns),
  )
  const [first = unknown(relation.columns), ...rest] = parts
  const sum = parts.reduce((n, part) => n + part.rows, 0)
  const rows = setRows(relation, {
    first: first.rows,
    sum,
    least: Math.min(...parts.map((p) => p.rows)),
  })
  const columns = new Map<string, ColumnEstimate>()
  for (const [name, column] of first.columns) {
    const others = rest.map((part) => part.columns.get(name)?.distinct ?? 0)
    const distinct =
      relation.operator === 'union'
        ? others.reduce((a, b) => Math.max(a, b) + Math.min(a, b) * UNION_NEW, column.distinct)
        : column.distinct
    // Ranges of several inputs are not put together: what they bound would be guessed anyhow.
    const bounds = relation.operator === 'union' ? { min: undefined, max: undefined } : {}
    columns.set(name, {
      ...column,
      ...bounds,
      distinct: Math.min(distinct, Math.max(rows, 1)),
      base: distinct,
    })
  }
  return estimated(rows, columns)
}

function setRows(
  { operator, all }: SetRelation,
  of: { readonly first: number; readonly sum: number; readonly least: number },
): number {
  switch (operator) {
    case 'union':
      return all ? of.sum : of.sum * UNION_DISTINCT
    case 'except':
      return of.first * EXCEPT
    case 'intersect':
      return of.least * INTERSECT
  }
}

function estimateDependent(
  relation: Extract<Relation, { kind: 'dependent' }>,
  { world, memory }: Context,
): Estimated {
  const join = memory.dependents.get(relation.id)
  if (join?.dependent === undefined) return unknown(relation.columns)
  const left = estimate(join.left, world)
  const keys = join.dependent.columns
  const rows = groupsOf(keys, left)
  const columns = relation.columns.map(
    ({ name, type }, i) =>
      [
        name,
        keys[i] === undefined
          ? unknownColumn(type, rows)
          : estimateExpression(keys[i], left.columns, left.rows),
      ] as const,
  )
  return estimated(rows, new Map(columns))
}

function estimateValues(
  columns: readonly PlanColumn[],
  rows: readonly (readonly Expression[])[],
): Estimated {
  const found = columns.map(({ name, type }, i) => {
    const cells = rows.map((row) => row[i]).filter((cell) => cell !== undefined)
    const distinct = new Set(cells.map((cell) => JSON.stringify(cell))).size
    return [name, unknownColumn(type, distinct)] as const
  })
  return estimated(rows.length, new Map(found))
}

function measured(columns: readonly PlanColumn[], size: ExchangeSize | undefined): Estimated {
  if (size === undefined) return unknown(columns)
  const found = columns.map(
    ({ name, type }) => [name, size.columns?.get(name) ?? unknownColumn(type, size.rows)] as const,
  )
  return { rows: size.rows, bytes: size.bytes, columns: new Map(found) }
}

const unknown = (columns: readonly PlanColumn[]): Estimated =>
  estimated(
    UNKNOWN_ROWS,
    new Map(columns.map(({ name, type }) => [name, unknownColumn(type, UNKNOWN_ROWS)])),
  )

/** The same rows under other names, by position. */
function renamed(
  from: Estimated,
  columns: readonly PlanColumn[],
  to: readonly PlanColumn[],
): Estimated {
  const found = to.map(({ name, type }, i) => {
    const source = columns[i]
    const known = source === undefined ? undefined : from.columns.get(source.name)
    return [name, known ?? unknownColumn(type, from.rows)] as const
  })
  return estimated(from.rows, new Map(found))
}
