import type { Expression } from '../../sql/ir.ts'
import { visitTree } from '../../sql/ir/tree.ts'
import type { SqlType } from '../../sql/sql-types.ts'
import { estimate, type EstimateWorld, type ExchangeSize } from '../estimate/estimate.ts'
import { columnsOf, inputsOf, type JoinType, type Relation } from '../logical/relation.ts'
import { divideApart } from '../apart.ts'
import type { ApartColumn, Source } from './stream.ts'

/** What is expected, or known, of a relation. */
export interface Size {
  readonly rows: number
  readonly bytes: number
}

export type Estimate = (relation: Relation) => Size

/**
 * Nanoseconds of one thread, found by running the operators alone on the sample data at SF 1: `npm run bench -- --only
 * costs` measures them again. What counts is the proportion of one to another. Rows into buckets are the dearest part of
 * moving them: the kernel copies each into the partition that it belongs to before it writes.
 */
const SCAN_VALUE_NS = 8
/** A text that is hardly ever the same: it is in no dictionary, and all of it is copied. */
const SCAN_TEXT_NS = 50
const FILTER_NS = 3
/** Looking for a pattern in a text. */
const PATTERN_NS = 45
const PROJECT_NS = 3
export const BUILD_NS = 70
const PROBE_NS = 20
const AGGREGATE_NS = 15
const GROUP_NS = 120
/** What a row takes more where there are so many groups that each is somewhere else in memory. */
const SCATTERED_NS = 25
const CACHED_GROUPS_MAX = 50_000
const WINDOW_NS = 180
const SORT_NS = 5
/** A value of a row that is sorted: it is copied, and back. */
const SORT_VALUE_NS = 20
/** A row that is compared with the last of the first rows. */
const TOP_NS = 4
const DISTINCT_NS = 65
const WRITE_ROW_NS = 10
const WRITE_BYTE_NS = 1.2
const BUCKET_NS = 90
export const READ_VALUE_NS = 3
/** Making the sort key of a row, and comparing it with the bounds of a range. */
export const RANGE_NS = 35
/** Reading the keys of a row, and deciding whether it is of a sample. */
const SAMPLE_NS = 12
/** A value of a result on its way to the client: its task makes a frame of it. */
const SEND_VALUE_NS = 30
/** What a stage takes besides its work: tasks are sent, prepared, and their ends awaited. */
export const STAGE_NS = 8_000_000
/** What it takes longer for each table or exchange that a task reads: the kernel opens them, and plans more. */
export const PLAN_LEAF_NS = 600_000

/** All of them, for those who measure them again. */
export const COST_NS = {
  scanValue: SCAN_VALUE_NS,
  scanText: SCAN_TEXT_NS,
  filter: FILTER_NS,
  pattern: PATTERN_NS,
  project: PROJECT_NS,
  build: BUILD_NS,
  probe: PROBE_NS,
  aggregate: AGGREGATE_NS,
  group: GROUP_NS,
  scattered: SCATTERED_NS,
  window: WINDOW_NS,
  sort: SORT_NS,
  distinct: DISTINCT_NS,
  writeRow: WRITE_ROW_NS,
  writeByte: WRITE_BYTE_NS,
  bucket: BUCKET_NS,
  readValue: READ_VALUE_NS,
  stage: STAGE_NS,
} as const

/** Joins of which the kernel builds a hash table of whichever side is smaller. */
const BUILDS_SMALLER: ReadonlySet<JoinType> = new Set([
  'inner',
  'left',
  'right',
  'full',
  'semi',
  'anti',
])

/** Costs of making and moving relations, from their estimated sizes. */
export class Costs {
  readonly #exchanges = new Map<number, ExchangeSize>()
  readonly #world: EstimateWorld
  readonly #work = new WeakMap<Relation, number>()
  readonly #apart = new Map<string, boolean>()

  constructor(scans: EstimateWorld['scans']) {
    this.#world = { scans, exchanges: this.#exchanges }
  }

  /** Rows and bytes, as they are expected. Ask for the root of a plan before its parts. */
  size(relation: Relation): Size {
    return estimate(relation, this.#world)
  }

  /** The same with these columns alone. */
  sizeOf(relation: Relation, needed: ReadonlySet<string>): Size {
    const { rows, bytes, columns } = estimate(relation, this.#world)
    // What was measured of an exchange is known better than the widths of its columns.
    if (relation.kind === 'exchange') return { rows, bytes }
    let width = 0
    for (const [name, column] of columns) {
      if (needed.has(name)) width += column.width * (1 - column.nulls)
    }
    return { rows, bytes: Math.min(bytes, rows * width) }
  }

  /** Tasks that can work at once on what a fragment divides: a scan has no more parts than row groups. */
  parallel(source: Source, slots: number): number {
    if (source.kind === 'single') return 1
    if (source.kind === 'ranges') return Math.max(1, Math.min(slots, source.count))
    const scan = source.kind === 'scan' ? this.#world.scans.get(source.scan) : undefined
    if (scan === undefined) return Math.max(1, slots)
    let groups = 0
    for (const file of scan.files)
      groups += scan.rowGroupsLeft?.get(file)?.length ?? Math.max(1, file.rowGroups.length)
    return Math.max(1, Math.min(slots, groups))
  }

  /** True where scans can be divided among so many tasks with no value of these columns in two of them. */
  canBeApart(columns: readonly ApartColumn[], slots: number): boolean {
    const key = JSON.stringify(columns)
    const known = this.#apart.get(key)
    if (known !== undefined) return known
    const parts = columns.flatMap(({ scan: id, column }) => {
      const scan = this.#world.scans.get(id)
      return scan === undefined ? [] : [{ scan, column }]
    })
    const found = divideApart(parts, slots) !== undefined
    this.#apart.set(key, found)
    return found
  }

  /** Says what an exchange holds: what is expected of the relation that it carries, or what was measured. */
  noteExchange(exchange: number, of: Relation, measured?: Size): void {
    const expected = estimate(of, this.#world)
    this.#exchanges.set(exchange, { ...expected, ...measured })
  }

  /** Nanoseconds that one thread takes to make the whole relation. */
  work(relation: Relation): number {
    const known = this.#work.get(relation)
    if (known !== undefined) return known
    const inputs = inputsOf(relation).reduce((sum, input) => sum + this.work(input), 0)
    const work = inputs * this.partRead(relation) + this.own(relation)
    this.#work.set(relation, work)
    return work
  }

  /** What is gained where the relation is made once in place of so many times, and written for all that read it. */
  savedByOnce(relation: Relation, times: number): number {
    // A table is read again with what each use asks for alone: keys of a join, a range.
    if (isOfRows(relation)) return 0
    const width = columnsOf(relation).length
    const read = times * this.read(relation, width)
    return (times - 1) * this.work(relation) - this.write(relation, width, false) - read - STAGE_NS
  }

  /** Joining so many rows of both sides, beyond making what comes out. */
  joining(type: JoinType, left: number, right: number): number {
    const [build, probe] = BUILDS_SMALLER.has(type) && left < right ? [left, right] : [right, left]
    return build * BUILD_NS + probe * PROBE_NS
  }

  /** Writing the relation into segments, by buckets or not. */
  write(relation: Relation, width: number, bucketed: boolean): number {
    return this.writing(this.size(relation).rows, width, bucketed)
  }

  writing(rows: number, width: number, bucketed: boolean): number {
    return rows * (WRITE_ROW_NS + 8 * width * WRITE_BYTE_NS + (bucketed ? BUCKET_NS : 0))
  }

  /** Looking at a sample of rows for where ranges of an order begin. */
  sampling(rows: number): number {
    return rows * SAMPLE_NS
  }

  /** Making frames of a result of so many columns. */
  sending(relation: Relation, columns: number): number {
    return this.size(relation).rows * columns * SEND_VALUE_NS
  }

  read(relation: Relation, width: number): number {
    return this.size(relation).rows * Math.max(1, width) * READ_VALUE_NS
  }

  /** The part of its input that a relation reads before it has enough: a LIMIT without order stops what streams. */
  partRead(relation: Relation): number {
    if (relation.kind !== 'limit' || relation.count === undefined) return 1
    if (!isStreaming(relation.input)) return 1
    const { rows } = this.size(relation.input)
    return Math.min(1, (relation.count + relation.offset) / Math.max(1, rows))
  }

  /** Of that, what the relation itself takes over its inputs. */
  own(relation: Relation): number {
    const { rows } = this.size(relation)
    const before = (): number =>
      inputsOf(relation).reduce((sum, input) => sum + this.size(input).rows, 0)
    switch (relation.kind) {
      case 'scan':
        return rows * this.#scanning(relation)
      case 'exchange': {
        const ranged = relation.range === undefined ? 0 : RANGE_NS
        return rows * (Math.max(1, relation.columns.length) * READ_VALUE_NS + ranged)
      }
      case 'filter':
        return before() * relation.conjuncts.reduce((sum, e) => sum + filteringOf(e), 0)
      case 'project':
        return rows * PROJECT_NS
      case 'join':
        return (
          this.joining(
            relation.type,
            this.size(relation.left).rows,
            this.size(relation.right).rows,
          ) +
          rows * PROJECT_NS
        )
      case 'aggregate': {
        const row = AGGREGATE_NS + (rows > CACHED_GROUPS_MAX ? SCATTERED_NS : 0)
        return before() * row * Math.max(1, relation.sets.length) + rows * GROUP_NS
      }
      case 'distinct':
        return before() * DISTINCT_NS
      case 'set':
        return relation.operator === 'union' && relation.all ? 0 : before() * DISTINCT_NS
      case 'window':
        return rows * WINDOW_NS * relation.windows.length
      case 'sort':
        return rows * (Math.log2(rows + 2) * SORT_NS + columnsOf(relation).length * SORT_VALUE_NS)
      case 'limit': {
        const { input } = relation
        if (input.kind !== 'sort' || relation.count === undefined) return rows
        // The kernel keeps the first rows in place of sorting all.
        return this.size(input).rows * TOP_NS - this.own(input)
      }
      case 'values':
      case 'unnest':
      case 'with':
      case 'cte':
      case 'dependent':
        return rows
    }
  }

  /** Reading one row of a table. */
  #scanning(relation: Relation): number {
    const { rows, columns } = estimate(relation, this.#world)
    let sum = 0
    for (const { type, distinct } of columns.values())
      sum += isText(type) && distinct * 2 > rows ? SCAN_TEXT_NS : SCAN_VALUE_NS
    return Math.max(SCAN_VALUE_NS, sum)
  }

  /** Columns that an exchange of the relation carries. */
  width(relation: Relation, needed: ReadonlySet<string>): number {
    return columnsOf(relation).filter((c) => needed.has(c.name)).length
  }
}

const isText = (type: SqlType): boolean => type.kind === 'simple' && type.name === 'VARCHAR'

/** Functions of DuckDB that look at the whole of a text: LIKE and its kin, and regular expressions. */
const PATTERNS = /^(!?~~\*?|(not_)?i?like(_escape)?|contains|regexp_(full_match|matches))$/

/** Asking one row for one condition. */
function filteringOf(condition: Expression): number {
  let patterns = 0
  visitTree(condition, (node) => {
    if (node.kind === 'function' && 'name' in node && PATTERNS.test(String(node.name))) patterns++
    return undefined
  })
  return FILTER_NS + patterns * PATTERN_NS
}

/** True for what looks at each row of one table by itself. */
function isOfRows(relation: Relation): boolean {
  switch (relation.kind) {
    case 'scan':
    case 'values':
      return true
    case 'filter':
    case 'project':
      return isOfRows(relation.input)
    default:
      return false
  }
}

/** True for what makes its first rows without having read all of its input. */
function isStreaming(relation: Relation): boolean {
  switch (relation.kind) {
    case 'scan':
    case 'exchange':
      return true
    case 'filter':
    case 'project':
    case 'unnest':
    case 'limit':
      return isStreaming(relation.input)
    default:
      return false
  }
}
