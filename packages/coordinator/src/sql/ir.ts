/**
 * The typed tree of a query: what was written, nothing resolved. Names are as the user wrote them
 * (no case folding), `SELECT *` is a star, GROUP BY ordinals are constants.
 *
 * Every node is immutable; a change is a new node (`{ ...node, where }`). Two nodes of the same
 * meaning may differ in `at`, which is only for error messages; `ir/equal.ts` compares without it.
 * Walks and rewrites are in `ir/tree.ts`, SQL text in `renderer.ts`.
 */
import type { SqlType } from './sql-types.ts'

interface Node {
  /** UTF-16 offset in the text the user sent; absent when the node was made by a rule or its place is unknown. */
  readonly at?: number | undefined
}

// ---------------------------------------------------------------------------------------------
// Expressions

export type Expression =
  | ColumnRef
  | Constant
  | FunctionCall
  | WindowCall
  | Cast
  | Comparison
  | Conjunction
  | Not
  | IsNull
  | IsTruth
  | Between
  | InList
  | Case
  | Coalesce
  | Interval
  | ScalarSubquery
  | Exists
  | AnySubquery
  | Star
  | Lambda
  | Parameter
  | PositionalRef
  | Collate
  | ArrayConstructor
  | Subscript
  | Slice
  | FieldAccess
  | Grouping
  | Try
  | Unpack

/** `a`, `t.a`, `s.t.a` or `t.struct.field`: which part is what is for the binder to find out. */
export interface ColumnRef extends Node {
  readonly kind: 'column'
  /** One or more names, outermost first. */
  readonly path: readonly string[]
}

/**
 * A literal. Numbers are kept as text, so none loses a digit: `"42"`, `"-1.50"` (all digits of the
 * scale), `"1e3"` for a DOUBLE. NULL has `value: null` and type NULL.
 */
export interface Constant extends Node {
  readonly kind: 'constant'
  readonly type: SqlType
  readonly value: string | boolean | null
}

/** A scalar or aggregate function or an operator; which of them, the binder knows. */
export interface FunctionCall extends Node {
  readonly kind: 'function'
  /** `sum`, `+`, `~~` (LIKE) ... as written. `count(*)` is `count_star` without arguments. */
  readonly name: string
  /** Syntax like `[1, 2]`, `EXTRACT` and `SUBSTRING … FROM` comes as a function of schema `main`. */
  readonly schema?: string | undefined
  readonly catalog?: string | undefined
  readonly args: readonly Expression[]
  /** Names of `f(a := 1)` and `{'a': 1}`, one entry an argument; absent when no argument has one. */
  readonly argNames?: readonly (string | undefined)[] | undefined
  readonly distinct: boolean
  readonly filter?: Expression | undefined
  /** `string_agg(a ORDER BY b)` and `WITHIN GROUP (ORDER BY b)`. */
  readonly orderBy: readonly OrderItem[]
  /** True when written as an operator: `a + b`, `a LIKE b`, `-a`. */
  readonly operator: boolean
}

export interface WindowCall extends Node {
  readonly kind: 'window'
  readonly name: string
  readonly schema?: string | undefined
  readonly catalog?: string | undefined
  /** All arguments as written; for `lag` and `lead` also offset and default. `count(*)` has none. */
  readonly args: readonly Expression[]
  readonly distinct: boolean
  readonly ignoreNulls: boolean
  readonly filter?: Expression | undefined
  /** ORDER BY inside the argument list. */
  readonly argOrderBy: readonly OrderItem[]
  readonly partitionBy: readonly Expression[]
  readonly orderBy: readonly OrderItem[]
  /** Absent for the default frame, RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW. */
  readonly frame?: WindowFrame | undefined
}

export interface WindowFrame {
  readonly unit: 'rows' | 'range' | 'groups'
  readonly start: FrameBound
  readonly end: FrameBound
  readonly exclude: 'no others' | 'current row' | 'group' | 'ties'
}

export type FrameBound =
  | { readonly kind: 'unboundedPreceding' }
  | { readonly kind: 'unboundedFollowing' }
  | { readonly kind: 'currentRow' }
  | { readonly kind: 'preceding'; readonly offset: Expression }
  | { readonly kind: 'following'; readonly offset: Expression }

export interface Cast extends Node {
  readonly kind: 'cast'
  readonly operand: Expression
  readonly type: SqlType
  /** TRY_CAST: NULL instead of an error. */
  readonly try: boolean
}

export type ComparisonOperator =
  '=' | '<>' | '<' | '<=' | '>' | '>=' | 'is distinct from' | 'is not distinct from'

export interface Comparison extends Node {
  readonly kind: 'comparison'
  readonly operator: ComparisonOperator
  readonly left: Expression
  readonly right: Expression
}

export interface Conjunction extends Node {
  readonly kind: 'conjunction'
  readonly operator: 'and' | 'or'
  /** Two or more. */
  readonly operands: readonly Expression[]
}

export interface Not extends Node {
  readonly kind: 'not'
  readonly operand: Expression
}

export interface IsNull extends Node {
  readonly kind: 'isNull'
  readonly operand: Expression
  readonly negated: boolean
}

/** `a IS TRUE`, `a IS NOT FALSE` ...: never NULL. */
export interface IsTruth extends Node {
  readonly kind: 'isTruth'
  readonly operand: Expression
  readonly value: boolean
  readonly negated: boolean
}

/** `NOT BETWEEN` is a {@link Not} around it. */
export interface Between extends Node {
  readonly kind: 'between'
  readonly operand: Expression
  readonly lower: Expression
  readonly upper: Expression
}

/** `a IN (1, 2)`; with a subquery it is {@link AnySubquery}. */
export interface InList extends Node {
  readonly kind: 'in'
  readonly operand: Expression
  readonly list: readonly Expression[]
  readonly negated: boolean
}

/** Always the searched form; `CASE a WHEN 1` is read as `CASE WHEN a = 1`, a missing ELSE as ELSE NULL. */
export interface Case extends Node {
  readonly kind: 'case'
  readonly branches: readonly { readonly when: Expression; readonly then: Expression }[]
  readonly else: Expression
}

export interface Coalesce extends Node {
  readonly kind: 'coalesce'
  readonly args: readonly Expression[]
}

export type IntervalUnit =
  | 'year'
  | 'month'
  | 'day'
  | 'hour'
  | 'minute'
  | 'second'
  | 'millisecond'
  | 'microsecond'
  | 'week'
  | 'quarter'
  | 'decade'
  | 'century'
  | 'millennium'

/** `INTERVAL '3' MONTH`, `INTERVAL (n) DAY`. `INTERVAL '1 year 2 days'` is a cast of a text. */
export interface Interval extends Node {
  readonly kind: 'interval'
  readonly value: Expression
  readonly unit: IntervalUnit
}

export interface ScalarSubquery extends Node {
  readonly kind: 'scalarSubquery'
  readonly query: Query
}

export interface Exists extends Node {
  readonly kind: 'exists'
  readonly query: Query
}

/**
 * `operand IN (query)` (operator `=`) or `operand < ANY (query)`.
 * NOT IN is a {@link Not} around it; `a > ALL (q)` is NOT (a <= ANY (q)). Row values are `row(a, b)`.
 */
export interface AnySubquery extends Node {
  readonly kind: 'anySubquery'
  readonly operand: Expression
  readonly operator: ComparisonOperator
  readonly query: Query
}

/** `*`, `t.*`, `* EXCLUDE (…) REPLACE (…) RENAME (…)`, and `COLUMNS(…)` when `columns`. */
export interface Star extends Node {
  readonly kind: 'star'
  readonly table?: string | undefined
  /** Paths of one name or more; this list and the next two are sorted, their order means nothing. */
  readonly exclude: readonly (readonly string[])[]
  readonly replace: readonly { readonly name: string; readonly expression: Expression }[]
  readonly rename: readonly { readonly from: readonly string[]; readonly to: string }[]
  readonly columns: boolean
  /** The argument of COLUMNS: a regular expression, a list, or a filter over `*`. */
  readonly pattern?: Expression | undefined
}

/** `lambda x, y: x + y`, only as an argument of a function that takes one. */
export interface Lambda extends Node {
  readonly kind: 'lambda'
  readonly parameters: readonly string[]
  readonly body: Expression
  /** How it was written: the two forms are the same to the kernel. */
  readonly syntax: 'keyword' | 'arrow'
}

/** `$1`, `$name`; `?` is numbered from 1 in order of appearance. */
export interface Parameter extends Node {
  readonly kind: 'parameter'
  readonly name: string
}

/** `#1`: the n-th column of FROM, from 1. */
export interface PositionalRef extends Node {
  readonly kind: 'positional'
  readonly index: number
}

export interface Collate extends Node {
  readonly kind: 'collate'
  readonly operand: Expression
  readonly collation: string
}

/** `ARRAY[1, 2]`. */
export interface ArrayConstructor extends Node {
  readonly kind: 'array'
  readonly elements: readonly Expression[]
}

/** `a[i]` of a list, a text, a map or (by name) a struct. */
export interface Subscript extends Node {
  readonly kind: 'subscript'
  readonly operand: Expression
  readonly index: Expression
}

/** `a[lower:upper:step]`. */
export interface Slice extends Node {
  readonly kind: 'slice'
  readonly operand: Expression
  readonly lower?: Expression | undefined
  readonly upper?: Expression | undefined
  readonly step?: Expression | undefined
}

/** `(expression).field`. */
export interface FieldAccess extends Node {
  readonly kind: 'field'
  readonly operand: Expression
  readonly field: string
}

/** `GROUPING(a, b)`. */
export interface Grouping extends Node {
  readonly kind: 'grouping'
  readonly args: readonly Expression[]
}

/** `TRY(e)`: NULL where `e` fails. */
export interface Try extends Node {
  readonly kind: 'try'
  readonly operand: Expression
}

/** `*COLUMNS(…)` or `UNPACK(…)` as arguments. */
export interface Unpack extends Node {
  readonly kind: 'unpack'
  readonly operand: Expression
}

// ---------------------------------------------------------------------------------------------
// Queries

/** A query: a SELECT or a set operation. Top-level VALUES is `SELECT *` from a {@link Values}. */
export type Query = Select | SetOperation

interface QueryTail extends Node {
  /** WITH of this query, in the order written; a later one sees the earlier. */
  readonly ctes: readonly Cte[]
  readonly orderBy: readonly OrderItem[]
  readonly limit?: Limit | undefined
}

export interface Select extends QueryTail {
  readonly kind: 'select'
  /** Absent: all rows. `on` empty: DISTINCT; else DISTINCT ON (…). */
  readonly distinct?: Distinct | undefined
  readonly items: readonly SelectItem[]
  /** Absent: no FROM clause, one row. */
  readonly from?: TableRef | undefined
  readonly where?: Expression | undefined
  readonly groupBy?: GroupBy | undefined
  readonly having?: Expression | undefined
  readonly qualify?: Expression | undefined
  /** USING SAMPLE. */
  readonly sample?: Sample | undefined
}

export interface Distinct {
  readonly on: readonly Expression[]
}

export interface SelectItem {
  readonly expression: Expression
  readonly alias?: string | undefined
}

export interface GroupBy {
  /** GROUP BY ALL: then both lists are empty. */
  readonly all: boolean
  readonly expressions: readonly Expression[]
  /** Indexes into `expressions`, ascending. Plain `GROUP BY a, b` is one set `[0, 1]`; ROLLUP and CUBE are spelt out. */
  readonly sets: readonly (readonly number[])[]
}

export interface SetOperation extends QueryTail {
  readonly kind: 'setOperation'
  readonly operator: 'union' | 'except' | 'intersect'
  readonly all: boolean
  /** UNION [ALL] BY NAME. */
  readonly byName: boolean
  readonly left: Query
  readonly right: Query
}

/** The body of a recursive WITH: `left UNION [ALL] right`, where `right` refers to the name. */
export interface RecursiveQuery extends Node {
  readonly kind: 'recursive'
  readonly all: boolean
  readonly left: Query
  readonly right: Query
}

export interface Cte {
  readonly name: string
  readonly columns: readonly string[]
  readonly query: Query | RecursiveQuery
  /** USING KEY (…) of a recursive WITH. */
  readonly key: readonly Expression[]
  /** AS MATERIALIZED: computed once. Of a text that was read it is not kept, as there it only advises. */
  readonly materialized?: boolean | undefined
}

export interface OrderItem {
  /** ORDER BY ALL is a {@link Star} with `columns`. */
  readonly expression: Expression
  readonly direction: 'default' | 'asc' | 'desc'
  readonly nulls: 'default' | 'first' | 'last'
}

export interface Limit {
  readonly count?: Expression | undefined
  readonly offset?: Expression | undefined
  /** LIMIT 10%. */
  readonly percent: boolean
}

export interface Sample {
  /** Rows, or per cent when `percent`; a number as text. */
  readonly size: Constant
  readonly percent: boolean
  readonly method: 'system' | 'bernoulli' | 'reservoir'
  /** REPEATABLE (seed). */
  readonly seed?: number | undefined
}

// ---------------------------------------------------------------------------------------------
// FROM

export type TableRef = BaseTable | SubqueryRef | Join | TableFunction | Values | Pivot

interface TableRefBase extends Node {
  readonly alias?: string | undefined
  /** `AS t(a, b)`: new names of the first columns. */
  readonly columnAliases: readonly string[]
  readonly sample?: Sample | undefined
}

/** `catalog.schema.table`, or the name of a CTE; `FROM 'a.parquet'` is a table of that name. */
export interface BaseTable extends TableRefBase {
  readonly kind: 'table'
  readonly catalog?: string | undefined
  readonly schema?: string | undefined
  readonly table: string
  /** `AT (VERSION => 3)`, which stands after the alias. */
  readonly asOf?: { readonly unit: 'version' | 'timestamp'; readonly value: Expression } | undefined
}

/** `(query) AS t(a)`. It may refer to what stands to its left, with or without the word LATERAL. */
export interface SubqueryRef extends TableRefBase {
  readonly kind: 'subquery'
  readonly query: Query
}

export interface Join extends TableRefBase {
  readonly kind: 'join'
  readonly type: 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti'
  /** `cross` is also the comma; `positional` pairs rows by number. */
  readonly form: 'regular' | 'natural' | 'cross' | 'asof' | 'positional'
  readonly left: TableRef
  readonly right: TableRef
  /** ON. */
  readonly condition?: Expression | undefined
  /** USING. */
  readonly using: readonly string[]
}

/** `range(1, 10)`; named parameters (`hive_partitioning = true`) are comparisons among the arguments. */
export interface TableFunction extends TableRefBase {
  readonly kind: 'tableFunction'
  readonly call: FunctionCall
  readonly withOrdinality: boolean
}

/** `VALUES (1, 2), (3, 4)`: rows of equal length. */
export interface Values extends TableRefBase {
  readonly kind: 'values'
  readonly rows: readonly (readonly Expression[])[]
}

/** PIVOT with its values listed, or UNPIVOT (then `unpivotNames` is not empty). */
export interface Pivot extends TableRefBase {
  readonly kind: 'pivot'
  readonly source: TableRef
  readonly aggregates: readonly SelectItem[]
  /** UNPIVOT: names of the value columns. */
  readonly unpivotNames: readonly string[]
  readonly columns: readonly PivotColumn[]
  readonly groups: readonly string[]
  /** UNPIVOT INCLUDE NULLS. */
  readonly includeNulls: boolean
}

export interface PivotColumn {
  /** PIVOT: what is compared with the entries. */
  readonly expressions: readonly Expression[]
  /** UNPIVOT: the name column. */
  readonly unpivotNames: readonly string[]
  readonly entries: readonly PivotEntry[]
}

export interface PivotEntry {
  /** PIVOT: one constant for each expression; UNPIVOT: column names. */
  readonly values: readonly Constant[]
  readonly alias?: string | undefined
  /** UNPIVOT over `*` or COLUMNS(…). */
  readonly star?: Expression | undefined
}
