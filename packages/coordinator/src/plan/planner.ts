import type { Column } from '@nyala/client/protocol'
import { isUnrepeatable, type KernelFunctions } from '../bind/functions.ts'
import { someNode } from '../sql/ir/tree.ts'
import type { Query } from '../sql/ir.ts'
import { renderQuery } from '../sql/renderer.ts'
import { estimate } from './estimate/estimate.ts'
import { pruneScan } from './estimate/prune-scan.ts'
import { constantQuery } from './constant-query.ts'
import { Costs } from './fragment/cost.ts'
import { elapsedNs } from './fragment/elapsed.ts'
import { type Draft, type Made, NotDistributable } from './fragment/drafts.ts'
import { Emitter, isDistributed } from './fragment/emit.ts'
import { Fragmenter, type FragmentOptions } from './fragment/fragmenter.ts'
import { formatBytes, formatNs } from './format.ts'
import type { Stream } from './fragment/stream.ts'
import { inputsOf, type LogicalPlan, type Relation } from './logical/relation.ts'
import { optimize } from './rules/index.ts'
import { shareSubtrees } from './rules/share-subtrees.ts'
import { nameColumns } from './name-columns.ts'
import { type Exchange, type Fragment, fragmentParts, type PhysicalPlan } from './physical-plan.ts'
import { rowBound } from './row-bound.ts'
import type { Scan } from './scan.ts'

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
  /** Groups, distinct rows, or rows of a window, that one task may bring together. */
  readonly gatherRowsMax?: number | undefined
  /** Groups are filtered by the keys that they are joined by whether it pays or not. */
  readonly filterGroupsAlways?: boolean | undefined
  /** What is computed twice is computed once wherever that can be done; absent: where it pays. */
  readonly shareAlways?: boolean | undefined
  /** Rows from which a result is sorted by ranges whether it pays or not. */
  readonly rangesRowsMin?: number | undefined
  /** Threads of all executors together. */
  readonly slots: number
  readonly executors: number
}

/** With `force`, results of so many rows are sorted by ranges; of a few rows there is nothing to see. */
const FORCED_RANGES_ROWS_MIN = 15_000
/** Distributed, a query is to take at most this part of the time that it takes alone. */
const GAIN_MIN = 0.9

/** Reads a query as a logical plan, through the kernel's own binder; a reason where it is not one. */
export type ReadPlan = (
  query: Query,
  scans: readonly Scan[],
  columns: readonly Column[],
) => Promise<LogicalPlan | string>

/**
 * The plan of a query: distributed where rules cover it and it pays, else one fragment, which is the user's own text.
 * Deterministic in its input.
 */
export async function planQuery(input: PlanInput, read: ReadPlan): Promise<PhysicalPlan> {
  const constant = await constantPlan(input, read)
  if (constant !== undefined) return constant
  const distributed = await distribute(input, read)
  if (typeof distributed !== 'string') return distributed
  return singlePlan({ ...input, scans: await filesThatMatter(input, read) }, distributed)
}

/**
 * The scans without the files of partitions that the query asks nothing of, for a plan that is the user's own text: the
 * kernel would open each of them to find that out. Without partitions files are few, or of all kinds of rows.
 */
async function filesThatMatter(input: PlanInput, read: ReadPlan): Promise<readonly Scan[]> {
  const { query, scans, columns } = input
  const isDivided = scans.some(({ layout, files }) => layout !== undefined && files.length > 1)
  if (!isDivided || columns === undefined) return scans
  const plan = await read(query, scans, columns)
  if (typeof plan === 'string') return scans
  try {
    return prunedScans(optimized(plan, input).root, scans)
  } catch (error) {
    if (error instanceof NotDistributable) return scans
    throw error
  }
}

async function constantPlan(input: PlanInput, read: ReadPlan): Promise<PhysicalPlan | undefined> {
  const { query, scans, columns, options } = input
  if (columns === undefined) return undefined
  const answered = await constantQuery({ query, scans, distribution: options.distribution }, () =>
    read(query, scans, columns),
  )
  if (answered === undefined) return undefined
  const plan = singlePlan({ ...input, query: answered, scans: [] }, '')
  const how = scans.length === 0 ? '' : ', from the statistics of footers'
  return { ...plan, constant: true, reason: `constant: answered by the coordinator${how}` }
}

function singlePlan(input: PlanInput, reason: string): PhysicalPlan {
  const query = nameColumns(input.query, input.columns)
  const parts = fragmentParts(renderQuery(query))
  const fragment: Fragment = {
    id: 0,
    parts,
    // Only EXPLAIN wants it.
    readable: () => fragmentParts(renderQuery(query, { layout: 'readable' })),
    output: { kind: 'result' },
    repeatable: true,
    inputs: [],
    scans: [...new Set(parts.flatMap((p) => (p.kind === 'scan' ? [p.scan] : [])))],
    rowsMax: rowBound(query, input.functions),
  }
  return {
    fragments: [fragment],
    scans: scansOf(input),
    exchanges: new Map(),
    reason: `one fragment: ${reason}`,
  }
}

async function distribute(input: PlanInput, read: ReadPlan): Promise<PhysicalPlan | string> {
  const { query, scans, columns, functions } = input
  const refusal = refuse(input)
  if (refusal !== undefined || columns === undefined) return refusal ?? ''
  if (isUnrepeatable(query, functions))
    return 'it calls a function whose value differs between tasks'
  if (someNode(query, (n) => (n as { sample?: unknown }).sample !== undefined))
    return 'it takes a sample, which would differ between tasks'
  const plan = await read(query, scans, columns)
  if (typeof plan === 'string') return plan
  return distributed(() => {
    const best = optimized(plan, input)
    const pruned = { ...input, scans: prunedScans(best.root, input.scans) }
    const found = cheapest(best, pruned)
    return fragments({ ...found, aloneNs: aloneNs(plan, best, pruned) ?? found.aloneNs }, pruned)
  })
}

/** True where the query's plan will be looked at, as far as its scans tell. */
export const isConsidered = (options: PlanOptions, scans: readonly Scan[]): boolean =>
  refuse({ options, scans, columns: [] }) === undefined

/** What speaks against distributing a query before it is looked at. */
function refuse({
  options,
  scans,
  columns,
}: Pick<PlanInput, 'options' | 'scans' | 'columns'>): string | undefined {
  if (options.distribution === 'single') return 'distribution = single'
  if (scans.length === 0) return 'it reads no table'
  if (columns === undefined) return 'it reads files that are no table'
  if (options.distribution === 'force') return undefined
  const total = sumBytes(scans)
  if (total < options.distributionMinBytes) {
    return `its input of ${formatBytes(total)} is below distribution_min_bytes (${formatBytes(options.distributionMinBytes)})`
  }
  return options.executors < 2 ? 'there is one executor' : undefined
}

/** What the user's text takes alone, where the kernel has no rule for what the best plan does. */
function aloneNs(plan: LogicalPlan, best: LogicalPlan, input: PlanInput): number | undefined {
  if (windowsIn(best.root) <= windowsIn(plan.root)) return undefined
  return cut(optimized(plan, input, 'aggregates as they are'), input).aloneNs
}

const windowsIn = (relation: Relation): number =>
  inputsOf(relation).reduce(
    (sum, input) => sum + windowsIn(input),
    relation.kind === 'window' ? 1 : 0,
  )

function optimized(
  plan: LogicalPlan,
  input: PlanInput,
  how: 'best' | 'aggregates as they are' = 'best',
): LogicalPlan {
  const world = { scans: scansOf(input) }
  estimate(plan.root, world)
  const scans = how === 'best' ? world.scans : undefined
  return optimize(plan, (relation) => estimate(relation, world), scans)
}

/** What all earlier plans of the query have left: their exchanges, written or not, and where their numbers ended. */
interface Earlier {
  readonly made: readonly Made[]
  readonly drafts: ReadonlyMap<number, Draft>
  readonly exchanges: ReadonlyMap<number, Exchange>
  readonly firstFragment: number
  /** How many there were. */
  readonly plans: number
}

/** A query is planned again no more often than this, whatever is measured. */
const PLANS_MAX = 100

const NOTHING_MADE: Earlier = {
  made: [],
  drafts: new Map(),
  exchanges: new Map(),
  firstFragment: 0,
  plans: 0,
}

/** A plan in streams, and the nanoseconds that they take. */
export interface Cut {
  readonly plan: LogicalPlan
  readonly fragmenter: Fragmenter
  readonly stream: Stream
  readonly ns: number
  /** What one executor is thought to take for the query as the user wrote it. */
  readonly aloneNs: number
}

function cut(plan: LogicalPlan, input: PlanInput, made: readonly Made[] = []): Cut {
  const { slots, executors } = input.options
  const costs = new Costs(scansOf(input))
  const sending = costs.sending(plan.root, plan.outputs.length)
  const work = costs.work(plan.root)
  const fragmenter = new Fragmenter(costs, fragmentOptions(input.options), made)
  const stream = fragmenter.plan(plan)
  // Ranges of an order are sent one after the other.
  const senders = stream.branches.map(({ source }) =>
    source.kind === 'ranges' ? 1 : costs.parallel(source, slots),
  )
  const { drafts } = fragmenter
  const ns = elapsedNs(stream, drafts, { costs, slots }) + sending / Math.min(...senders)
  // The kernel knows of the better ways too, such as making only groups that somebody asks for.
  const threads = Math.max(1, slots / Math.max(1, executors))
  const inOne = elapsedNs(stream, drafts, { costs, slots: threads, inOneTask: true })
  return { plan, fragmenter, stream, ns, aloneNs: Math.min(work / threads, inOne) + sending }
}

/** The plan, with what it computes twice computed once where that is faster. */
export function cheapest(plan: LogicalPlan, input: PlanInput): Cut {
  const scans = scansOf(input)
  const always = input.options.shareAlways === true
  const plain = cut(plan, input)
  // Estimates of the plan itself, of which none is an exchange, are those of its streams' costs.
  const { costs } = plain.fragmenter
  const once = shareSubtrees(plan, {
    scans,
    isWorth: (shared, times) =>
      always ||
      (costs.savedByOnce(shared, times) > 0 &&
        costs.size(shared).bytes <= input.options.broadcastMaxBytes),
  })
  if (once === plan) return plain
  const shared = cut(once, input)
  return always || shared.ns < plain.ns ? { ...shared, aloneNs: plain.aloneNs } : plain
}

function fragments(
  { plan, fragmenter, stream, ns, aloneNs }: Cut,
  input: PlanInput,
  earlier: Earlier = NOTHING_MADE,
): PhysicalPlan | string {
  const { options } = input
  const scans = scansOf(input)
  if (!isDistributed(stream, fragmenter.drafts)) return 'nothing of it can be done in parts'
  const isFirst = earlier === NOTHING_MADE
  if (options.distribution === 'auto' && isFirst && ns > aloneNs * GAIN_MIN)
    return `alone it takes about ${formatNs(aloneNs)}, distributed ${formatNs(ns)}`
  const emitter = new Emitter(fragmenter.drafts, {
    slots: options.slots,
    // Also the numbers of exchanges that are not used any more stay theirs: their segments are there.
    firstExchange: Math.max(-1, ...earlier.exchanges.keys()) + 1,
    firstFragment: earlier.firstFragment,
    scans,
  })
  emitter.result(stream, plan, rowBound(input.query, input.functions))
  // Ways to join, or to sort, that may turn out not to be the best.
  const isOpen = [...emitter.emitted.values()].some(
    ({ keys, content, made }) =>
      made === undefined && ((keys.length > 0 && content === 'rows') || content === 'bounds'),
  )
  const exchanges = new Map([...earlier.exchanges, ...emitter.exchanges])
  const known = new Map([...earlier.drafts, ...emitter.emitted])
  const plans = earlier.plans + 1
  const firstFragment = Math.max(-1, ...emitter.fragments.map((f) => f.id)) + 1
  return {
    fragments: emitter.fragments,
    scans,
    exchanges,
    reason: `${reasonOf(emitter.fragments, options)}; about ${formatNs(ns)}, alone ${formatNs(aloneNs)}`,
    ...(isOpen && plans < PLANS_MAX
      ? { adapt: adapter(plan, input, { drafts: known, exchanges, firstFragment, plans }) }
      : {}),
  }
}

const fragmentOptions = (options: PlanOptions): FragmentOptions => {
  const always = options.distribution === 'force' ? FORCED_RANGES_ROWS_MIN : undefined
  return { ...options, rangesRowsMin: options.rangesRowsMin ?? always }
}

/** Plans the rest again, with sizes known where they were estimated. */
function adapter(
  plan: LogicalPlan,
  input: PlanInput,
  earlier: Omit<Earlier, 'made'>,
): PhysicalPlan['adapt'] {
  return (measured) => {
    const made = [...measured].flatMap(([number, size]): readonly Made[] => {
      const draft = earlier.drafts.get(number)
      return draft === undefined ? [] : [{ number, draft, size }]
    })
    const next = distributed(() => fragments(cut(plan, input, made), input, { ...earlier, made }))
    return typeof next === 'string' ? undefined : next
  }
}

/** What `make` returns, or the reason for which there is no such plan. */
function distributed(make: () => PhysicalPlan | string): PhysicalPlan | string {
  try {
    return make()
  } catch (error) {
    if (error instanceof NotDistributable) return error.message
    throw error
  }
}

function reasonOf(all: readonly Fragment[], { slots, executors }: PlanOptions): string {
  const stages = all.length === 1 ? '1 fragment' : `${all.length} fragments`
  return `distributed: ${stages} over ${executors} executors with ${slots} threads`
}

/** Scans without what the filters directly above them rule out. */
function prunedScans(root: Relation, scans: readonly Scan[]): readonly Scan[] {
  const pruned = new Map(scans.map((scan) => [scan.id, scan]))
  const uses = new Map<number, number>()
  const visit = (relation: Relation): void => {
    if (relation.kind === 'scan') uses.set(relation.scan, (uses.get(relation.scan) ?? 0) + 1)
    inputsOf(relation).forEach(visit)
  }
  visit(root)
  const prune = (relation: Relation): void => {
    const below = relation.kind === 'filter' ? relation.input : undefined
    if (relation.kind === 'filter' && below?.kind === 'scan' && uses.get(below.scan) === 1) {
      const scan = pruned.get(below.scan)
      if (scan !== undefined) pruned.set(scan.id, pruneScan(scan, below, relation.conjuncts))
    }
    inputsOf(relation).forEach(prune)
  }
  prune(root)
  return [...pruned.values()]
}

const scansOf = (input: PlanInput): ReadonlyMap<number, Scan> =>
  new Map(input.scans.map((scan) => [scan.id, scan]))

const sumBytes = (scans: readonly Scan[]): number =>
  scans.reduce((sum, scan) => sum + scan.files.reduce((n, file) => n + file.bytes, 0), 0)
