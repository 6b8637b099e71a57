import type { Column } from '@nyala/client/protocol'
import type { KernelFunctions } from '../bind/functions.ts'
import type { MirroredRelation } from '../bind/mirror.ts'
import { exchangeTable } from '../bind/resolve.ts'
import { mapTree, visitTree } from '../sql/ir/tree.ts'
import type { BaseTable, Query, Select, SelectItem } from '../sql/ir.ts'
import { renderQuery } from '../sql/renderer.ts'
import { decimalType, SIMPLE_TYPES, simpleType, type SqlType } from '../sql/sql-types.ts'
import { divide } from './divide.ts'
import { type Division, EXCHANGE_ALIAS } from './division.ts'
import { scanId } from './query-shape.ts'
import { rowBound } from './row-bound.ts'
import { type Fragment, fragmentParts, type PhysicalPlan } from './physical-plan.ts'
import { type Scan, scanColumns } from './scan.ts'
import { divideSplits } from './splits.ts'

/** With `auto`, bytes of input that one task of a divided scan should read. */
const TASK_BYTES_TARGET = 16 * 1024 * 1024
/** More tasks than this per slot only cost; fewer than one waste executors. */
const TASKS_PER_SLOT_MAX = 4
/** With `auto`, reading the other tables once a task may cost this part of what dividing saves. */
const REPEATED_READ_MAX = 0.5
/** Types that do not come back from a Parquet segment as they went in. */
const NOT_EXCHANGEABLE =
  /TIME WITH TIME ZONE|TIMESTAMP_S|TIMESTAMP_MS|UNION|BIT\b|BIGNUM|ENUM|VARIANT|\[\d+\]|INTERVAL/
/** Written as a decimal where it is a column's own type; inside another it would become a DOUBLE. */
const WIDE_INTEGER = /^U?HUGEINT$/

export interface PlanInput {
  readonly query: Query
  readonly scans: readonly Scan[]
  /** Columns of the result; undefined where only the kernel will know them. */
  readonly columns: readonly Column[] | undefined
  readonly functions: KernelFunctions
  readonly options: PlanOptions
}

export interface PlanOptions {
  readonly distribution: 'auto' | 'force' | 'single'
  readonly distributionMinBytes: number
  readonly broadcastMaxBytes: number
  /** Threads of all executors together. */
  readonly slots: number
  readonly executors: number
}

/** Answers what the columns of a query over mirrored relations are; fails where it is none. */
export type Describe = (
  sql: string,
  relations: readonly MirroredRelation[],
) => Promise<readonly Column[]>

/** The plan of a query: divided where a rule covers it and it pays, else one fragment. Deterministic in its input. */
export async function planQuery(input: PlanInput, describe: Describe): Promise<PhysicalPlan> {
  const divided = await tryDivide(input, describe)
  if (typeof divided !== 'string') return divided
  return singlePlan(input, divided)
}

function singlePlan(input: PlanInput, reason: string): PhysicalPlan {
  const query = nameItems(input.query, input.columns)
  return {
    fragments: [boundedFragment(0, query, input)],
    scans: scansOf(input),
    exchanges: new Map(),
    reason: `one fragment: ${reason}`,
  }
}

async function tryDivide(input: PlanInput, describe: Describe): Promise<PhysicalPlan | string> {
  const { options, query, columns } = input
  if (options.distribution === 'single') return 'distribution = single'
  if (input.scans.length === 0) return 'it reads no table'
  if (columns === undefined) return 'it reads files that are no table'
  const total = sumBytes(input.scans)
  if (options.distribution === 'auto' && total < options.distributionMinBytes) {
    return `its input of ${formatBytes(total)} is below distribution_min_bytes (${formatBytes(options.distributionMinBytes)})`
  }
  if (options.distribution === 'auto' && options.executors < 2) return 'there is one executor'
  const byId = scansOf(input)
  const division = divide(query, {
    columns,
    functions: input.functions,
    scanColumns: (id) => scanColumns(byId.get(id) ?? missing(id)).map((c) => c.name),
    scanBytes: (id) => sumBytes([byId.get(id) ?? missing(id)]),
  })
  if (typeof division === 'string') return division
  const scan = byId.get(division.scan) ?? missing(division.scan)
  const others = input.scans.filter((s) => s.id !== scan.id && usesScan(division.partial, s.id))
  const tasks = taskTarget(scan, others, options)
  const tooMuch = refuseCost({ scan, others, tasks }, options)
  if (tooMuch !== undefined) return tooMuch
  const groups = divideSplits(scan.files, tasks)
  const why = reasonOf(division, scan, others, groups.length)
  const divided = { scan: scan.id, groups }
  if (division.final === undefined) {
    const fragment = fragmentOf(0, nameItems(division.partial, columns), { kind: 'result' })
    return { fragments: [{ ...fragment, divided }], scans: byId, exchanges: new Map(), reason: why }
  }
  const finished = await finalQuery(input, division, describe)
  if (typeof finished === 'string') return finished
  return {
    fragments: [
      { ...fragmentOf(0, division.partial, { kind: 'exchange', exchange: 0 }), divided },
      boundedFragment(1, finished.query, input),
    ],
    scans: byId,
    exchanges: new Map([[0, { id: 0, columns: finished.columns }]]),
    reason: why,
  }
}

/**
 * The final query with the types of the user's columns, checked by the kernel's own binder: a partial query that does
 * not bind, or a final one whose columns cannot be made the user's, means that no rule covers the query after all.
 */
async function finalQuery(
  input: PlanInput,
  division: Division,
  describe: Describe,
): Promise<{ readonly query: Query; readonly columns: readonly Column[] } | string> {
  const { columns } = input
  if (division.final === undefined || columns === undefined) return 'nothing to finish'
  const relations = input.scans.map(mirrored)
  try {
    const partial = await describe(
      renderQuery(overMirror(division.partial, input.scans)),
      relations,
    )
    const unfit = partial.find((c) => !isExchangeable(c.type))
    if (unfit !== undefined) return `a value of type ${unfit.type} cannot be exchanged without loss`
    const exchange = partial.map((c) => ({ name: c.name, type: exchangeType(c.type) }))
    const relation: MirroredRelation = {
      database: '$exchange',
      name: 'exchange',
      columns: exchange,
    }
    const draft = division.final(exchangeTable(0, EXCHANGE_ALIAS))
    const types = await describe(renderQuery(overExchange(draft)), [relation])
    const query = castItems(draft, types, columns)
    return typeof query === 'string' ? query : { query, columns: exchange }
  } catch (error) {
    return `its parts do not bind (${error instanceof Error ? error.message : String(error)})`
  }
}

const isExchangeable = (type: string): boolean =>
  !NOT_EXCHANGEABLE.test(type) && (WIDE_INTEGER.test(type) || !type.includes('HUGEINT'))

/** What becomes of a type in a Parquet segment: 128-bit integers are written as decimals, so that no digit is lost. */
const exchangeType = (type: string): string => (WIDE_INTEGER.test(type) ? 'DECIMAL(38,0)' : type)

function castItems(
  query: Query,
  types: readonly Column[],
  wanted: readonly Column[],
): Query | string {
  if (query.kind !== 'select') return query
  const items: SelectItem[] = []
  for (const [i, item] of query.items.entries()) {
    const [from, to] = [types[i]?.type, wanted[i]?.type]
    if (from === to || to === undefined) items.push(item)
    else {
      const type = plainType(to)
      if (type === undefined) return `parts of type ${from ?? 'unknown'} cannot be merged to ${to}`
      items.push({
        ...item,
        expression: { kind: 'cast', operand: item.expression, type, try: false },
      })
    }
  }
  return { ...query, items }
}

/** A type that has no parts, from its text as the kernel prints it. */
function plainType(text: string): SqlType | undefined {
  const simple = SIMPLE_TYPES.find((name) => name === text)
  if (simple !== undefined) return simpleType(simple)
  const match = /^DECIMAL\((\d+),(\d+)\)$/.exec(text)
  return match === null ? undefined : decimalType(Number(match[1]), Number(match[2]))
}

/** Names of the result as the user's own text would have them, whatever became of the expressions. */
function nameItems(query: Query, columns: readonly Column[] | undefined): Query {
  if (query.kind !== 'select' || columns?.length !== query.items.length) return query
  const isPlain = query.items.every(
    (i) => i.expression.kind !== 'star' && i.expression.kind !== 'unpack',
  )
  if (!isPlain) return query
  const items = query.items.map((item, i) => {
    if (item.alias !== undefined || item.expression.kind === 'column') return item
    return { ...item, alias: columns[i]?.name }
  })
  return { ...query, items } satisfies Select
}

/** A fragment that makes the result, with what its form says of the number of rows. */
const boundedFragment = (id: number, query: Query, input: PlanInput): Fragment => ({
  ...fragmentOf(id, query, { kind: 'result' }),
  rowsMax: rowBound(query, input.functions),
})

function fragmentOf(id: number, query: Query, output: Fragment['output']): Fragment {
  const parts = fragmentParts(renderQuery(query))
  return {
    id,
    parts,
    // Only EXPLAIN wants it.
    readable: () => fragmentParts(renderQuery(query, { layout: 'readable' })),
    output,
    exchanges: parts.flatMap((p) => (p.kind === 'exchange' ? [p.exchange] : [])),
    scans: [...new Set(parts.flatMap((p) => (p.kind === 'scan' ? [p.scan] : [])))],
  }
}

/** Tasks to divide a scan into. With other tables to read whole, no more than can run at once. */
function taskTarget(scan: Scan, others: readonly Scan[], options: PlanOptions): number {
  const slots = Math.max(1, options.slots)
  const atLeast = Math.max(2, slots)
  if (others.length > 0) return atLeast
  const wanted = Math.ceil(sumBytes([scan]) / TASK_BYTES_TARGET)
  return Math.min(Math.max(wanted, atLeast), slots * TASKS_PER_SLOT_MAX)
}

function refuseCost(
  work: { readonly scan: Scan; readonly others: readonly Scan[]; readonly tasks: number },
  options: PlanOptions,
): string | undefined {
  if (options.distribution === 'force' || work.others.length === 0) return undefined
  const repeated = sumBytes(work.others)
  if (repeated > options.broadcastMaxBytes) {
    return `the tables beside "${work.scan.table}" have ${formatBytes(repeated)}, more than broadcast_max_bytes (${formatBytes(options.broadcastMaxBytes)})`
  }
  const saved = sumBytes([work.scan]) * (1 - 1 / work.tasks)
  if (repeated * (work.tasks - 1) > saved * REPEATED_READ_MAX) {
    return `reading ${formatBytes(repeated)} of other tables in each of ${work.tasks} tasks costs more than dividing "${work.scan.table}" saves`
  }
  return undefined
}

function reasonOf(division: Division, scan: Scan, others: readonly Scan[], tasks: number): string {
  const rule = {
    aggregate: 'partial aggregation, merged by key',
    distinct: 'distinct rows of each part, then of all',
    topN: 'the first rows of each part, then of all',
    rows: 'rows of the parts in any order',
  }[division.rule]
  const whole =
    others.length === 0
      ? ''
      : `; every task reads ${others.map((o) => `"${o.alias}"`).join(', ')} whole (${formatBytes(sumBytes(others))})`
  return `"${scan.alias}" (${formatBytes(sumBytes([scan]))}) divided among ${tasks} tasks: ${rule}${whole}`
}

const scansOf = (input: PlanInput): ReadonlyMap<number, Scan> =>
  new Map(input.scans.map((scan) => [scan.id, scan]))

const missing = (id: number): never => {
  throw new Error(`plan refers to scan ${id}, which does not exist`)
}

const sumBytes = (scans: readonly Scan[]): number =>
  scans.reduce((sum, scan) => sum + scan.files.reduce((n, file) => n + file.bytes, 0), 0)

function usesScan(query: Query, id: number): boolean {
  let found = false
  visitTree(query, (node) => {
    found ||= node.kind === 'table' && scanId(node as BaseTable) === id
    return undefined
  })
  return found
}

const mirrored = (scan: Scan): MirroredRelation => ({
  database: scan.database,
  name: scan.table,
  columns: scanColumns(scan),
})

/** The query with scans named as the mirror has them. */
function overMirror(query: Query, scans: readonly Scan[]): Query {
  const byId = new Map(scans.map((scan) => [scan.id, scan]))
  return mapTree(query, (node) => {
    const id = node.kind === 'table' ? scanId(node as BaseTable) : undefined
    const scan = id === undefined ? undefined : byId.get(id)
    if (scan === undefined) return undefined
    return { ...(node as BaseTable), schema: scan.database, table: scan.table }
  })
}

const overExchange = (query: Query): Query =>
  mapTree(query, (node) => {
    if (node.kind !== 'table' || !(node as BaseTable).table.startsWith('\u0000exchange'))
      return undefined
    return { ...(node as BaseTable), schema: '$exchange', table: 'exchange' }
  })

/** `12.3 MB`: decimal units, as file managers and DuckDB have them. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`
}
