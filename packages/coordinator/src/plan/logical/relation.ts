/**
 * The logical plan: relational operators over columns that are already resolved. It is read from the kernel's own bound
 * plan (`bound-plan/`), changed by rules (`rules/`), cut into fragments (`fragment/`) and turned into SQL (`to-sql/`).
 *
 * A column has one name in the whole plan and is made by exactly one node; so an expression means the same wherever it
 * stands, and moving it needs no renaming. Expressions are those of `sql/ir.ts`, restricted: a column is
 * `{ kind: 'column', path: [name] }`, and there is no subquery, star, parameter or alias in them.
 *
 * Every node is immutable. Types are complete: casts are spelt out, both sides of a comparison have one type.
 */
import type {
  ComparisonOperator,
  Expression,
  FunctionCall,
  OrderItem,
  WindowCall,
} from '../../sql/ir.ts'
import type { SqlType } from '../../sql/sql-types.ts'

export interface PlanColumn {
  /** Unique in the plan; made of the name that the user knows, where there is one. */
  readonly name: string
  readonly type: SqlType
}

/** A column and what it is computed from. */
export interface Computed<E = Expression> {
  readonly column: PlanColumn
  readonly expression: E
}

export type Relation =
  | ScanRelation
  | ExchangeRelation
  | ValuesRelation
  | FilterRelation
  | ProjectRelation
  | JoinRelation
  | AggregateRelation
  | DistinctRelation
  | WindowRelation
  | UnnestRelation
  | SortRelation
  | LimitRelation
  | SetRelation
  | WithRelation
  | CteRelation
  | DependentRelation

/** A use of a table: the scan of that number in the physical plan. */
export interface ScanRelation {
  readonly kind: 'scan'
  readonly scan: number
  /** The columns that are read, under the plan's names. */
  readonly columns: readonly ScannedColumn[]
}

export interface ScannedColumn extends PlanColumn {
  /** The column's name in the table. */
  readonly source: string
}

/** The rows that another fragment has written. */
export interface ExchangeRelation {
  readonly kind: 'exchange'
  readonly exchange: number
  readonly columns: readonly PlanColumn[]
  /** True where each task reads all of it, also if the same exchange is divided among the tasks elsewhere. */
  readonly whole?: boolean | undefined
  /** Each task keeps the rows of one range of this order alone. */
  readonly range?: SortRange | undefined
}

/** Ranges of an order, by which tasks divide rows: the first has the first rows, and equal rows are in one. */
export interface SortRange {
  readonly orderBy: readonly OrderItem[]
  /** The exchange that says where each range begins and the next one does. */
  readonly bounds: number
  /** Its columns: the number of a range from 1 on, and sort keys. The last range has no end. */
  readonly columns: {
    readonly part: PlanColumn
    readonly low: PlanColumn
    readonly high: PlanColumn
  }
}

/** Constant rows. One row without columns is what a SELECT without FROM reads. */
export interface ValuesRelation {
  readonly kind: 'values'
  readonly columns: readonly PlanColumn[]
  readonly rows: readonly (readonly Expression[])[]
}

/** Rows for which every conjunct is true. */
export interface FilterRelation {
  readonly kind: 'filter'
  readonly input: Relation
  readonly conjuncts: readonly Expression[]
}

/** Exactly these columns, nothing of the input passes by itself. An item that is a plain column of the same name keeps it. */
export interface ProjectRelation {
  readonly kind: 'project'
  readonly input: Relation
  readonly items: readonly Computed[]
}

/**
 * `mark` keeps every left row and adds a BOOLEAN: whether a right row matches, NULL where that cannot be told (the value
 * of `IN` and EXISTS). `single` keeps every left row with the one right row that matches, or NULLs; two are an error.
 * A cross join is `inner` without conditions.
 */
export type JoinType = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti' | 'mark' | 'single'

export interface JoinCondition {
  readonly operator: ComparisonOperator
  /** Over columns of the left side alone. */
  readonly left: Expression
  /** Over columns of the right side alone, of the same type. */
  readonly right: Expression
}

export interface JoinRelation {
  readonly kind: 'join'
  readonly type: JoinType
  readonly left: Relation
  readonly right: Relation
  readonly conditions: readonly JoinCondition[]
  /** What must be true besides, over columns of both sides. */
  readonly residual: readonly Expression[]
  /** The BOOLEAN of a `mark` join. */
  readonly mark?: PlanColumn | undefined
  /** The distinct values of left columns that relations of kind `dependent` with this id on the right side stand for. */
  readonly dependent?: { readonly id: number; readonly columns: readonly Expression[] } | undefined
}

/** An aggregate with the types of its arguments: what a part of it has for a type depends on them. */
export interface ComputedAggregate extends Computed<FunctionCall> {
  readonly argumentTypes: readonly SqlType[]
}

/** Groups. Output: keys, aggregates, groupings. Without keys there is exactly one row. */
export interface AggregateRelation {
  readonly kind: 'aggregate'
  readonly input: Relation
  readonly keys: readonly Computed[]
  /** Indexes into `keys`; one set of all of them for a plain GROUP BY, and one empty set without keys. */
  readonly sets: readonly (readonly number[])[]
  readonly aggregates: readonly ComputedAggregate[]
  /** GROUPING(…): a bit for each key named. */
  readonly groupings: readonly { readonly column: PlanColumn; readonly keys: readonly number[] }[]
}

/** DISTINCT over all columns, or the first row by `orderBy` for each value of `on`. */
export interface DistinctRelation {
  readonly kind: 'distinct'
  readonly input: Relation
  readonly on?: readonly Expression[] | undefined
  readonly orderBy: readonly OrderItem[]
}

/** The input's columns, and one for each window function. */
export interface WindowRelation {
  readonly kind: 'window'
  readonly input: Relation
  readonly windows: readonly Computed<WindowCall>[]
}

/** The input's columns, and the elements of lists side by side: a row for each element. */
export interface UnnestRelation {
  readonly kind: 'unnest'
  readonly input: Relation
  readonly items: readonly Computed[]
}

export interface SortRelation {
  readonly kind: 'sort'
  readonly input: Relation
  readonly orderBy: readonly OrderItem[]
}

export interface LimitRelation {
  readonly kind: 'limit'
  readonly input: Relation
  /** Absent: all rows behind `offset`. */
  readonly count?: number | undefined
  readonly offset: number
}

/** Columns correspond by position; the inputs have the same types. */
export interface SetRelation {
  readonly kind: 'set'
  readonly operator: 'union' | 'except' | 'intersect'
  readonly all: boolean
  readonly columns: readonly PlanColumn[]
  /** Two for EXCEPT and INTERSECT, two or more for UNION. */
  readonly inputs: readonly Relation[]
}

/** A relation that `body` may use more than once. */
export interface WithRelation {
  readonly kind: 'with'
  readonly id: number
  readonly definition: Relation
  readonly body: Relation
  /** Nobody wrote it: what it defines was found in several places. */
  readonly implicit?: true | undefined
}

/** A use of a WITH: the columns of its definition by position, under names of their own. */
export interface CteRelation {
  readonly kind: 'cte'
  readonly id: number
  readonly columns: readonly PlanColumn[]
}

/** The distinct values of the left columns that the enclosing join of this id names. */
export interface DependentRelation {
  readonly kind: 'dependent'
  readonly id: number
  readonly columns: readonly PlanColumn[]
}

/** What a query computes, and the names and order in which the user gets it. */
export interface LogicalPlan {
  readonly root: Relation
  readonly outputs: readonly { readonly column: PlanColumn; readonly name: string }[]
}

/** The columns of a relation, in order. */
export function columnsOf(relation: Relation): readonly PlanColumn[] {
  switch (relation.kind) {
    case 'scan':
    case 'exchange':
    case 'values':
    case 'set':
    case 'cte':
    case 'dependent':
      return relation.columns
    case 'filter':
    case 'distinct':
    case 'sort':
    case 'limit':
      return columnsOf(relation.input)
    case 'project':
      return relation.items.map((item) => item.column)
    case 'join':
      return joinColumns(relation)
    case 'aggregate':
      return [
        ...relation.keys.map((k) => k.column),
        ...relation.aggregates.map((a) => a.column),
        ...relation.groupings.map((g) => g.column),
      ]
    case 'window':
      return [...columnsOf(relation.input), ...relation.windows.map((w) => w.column)]
    case 'unnest':
      return [...columnsOf(relation.input), ...relation.items.map((i) => i.column)]
    case 'with':
      return columnsOf(relation.body)
  }
}

function joinColumns(join: JoinRelation): readonly PlanColumn[] {
  switch (join.type) {
    case 'semi':
    case 'anti':
      return columnsOf(join.left)
    case 'mark':
      return [...columnsOf(join.left), ...(join.mark === undefined ? [] : [join.mark])]
    case 'inner':
    case 'left':
    case 'right':
    case 'full':
    case 'single':
      return [...columnsOf(join.left), ...columnsOf(join.right)]
  }
}

/** The relations that a relation reads directly. */
export function inputsOf(relation: Relation): readonly Relation[] {
  switch (relation.kind) {
    case 'scan':
    case 'exchange':
    case 'values':
    case 'cte':
    case 'dependent':
      return []
    case 'filter':
    case 'project':
    case 'aggregate':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
    case 'limit':
      return [relation.input]
    case 'join':
      return [relation.left, relation.right]
    case 'set':
      return relation.inputs
    case 'with':
      return [relation.definition, relation.body]
  }
}

/** The same relation over other inputs, given in the order of `inputsOf`. */
export function withInputs(relation: Relation, inputs: readonly Relation[]): Relation {
  const [first, second] = inputs
  switch (relation.kind) {
    case 'scan':
    case 'exchange':
    case 'values':
    case 'cte':
    case 'dependent':
      return relation
    case 'filter':
    case 'project':
    case 'aggregate':
    case 'distinct':
    case 'window':
    case 'unnest':
    case 'sort':
    case 'limit':
      return first === undefined || first === relation.input
        ? relation
        : { ...relation, input: first }
    case 'join':
      if (first === undefined || second === undefined) return relation
      if (first === relation.left && second === relation.right) return relation
      return { ...relation, left: first, right: second }
    case 'set':
      return inputs.every((input, i) => input === relation.inputs[i])
        ? relation
        : { ...relation, inputs }
    case 'with':
      if (first === undefined || second === undefined) return relation
      if (first === relation.definition && second === relation.body) return relation
      return { ...relation, definition: first, body: second }
  }
}

/** A relation with every part changed, the deepest first; parts that `change` leaves alone are kept as they are. */
export function mapRelation(relation: Relation, change: (part: Relation) => Relation): Relation {
  const inputs = inputsOf(relation).map((input) => mapRelation(input, change))
  return change(withInputs(relation, inputs))
}

export const columnRef = (column: { readonly name: string }): Expression => ({
  kind: 'column',
  path: [column.name],
})
