import { Prng } from '@nyala/client/base'
import type { PhysicalPlan, PlanOptions } from '@nyala/coordinator/testing'
import { queryBroad } from './broad.ts'
import { queryByKey } from './by-key.ts'
import { difference, type Expectation } from './compare.ts'
import { queryOfExtremes } from './extremes.ts'
import { queryFailing } from './failing.ts'
import { QueryGenerator } from './generate.ts'
import { metamorphosesOf } from './metamorphoses.ts'
import { type GeneratedQuery, orderOf, plainQuery, queryText, type Source } from './query.ts'
import { type Rows, type RunEvent, type RunOptions, runPlan, runText, TooLarge } from './run.ts'
import { IN_ORDER } from './tables.ts'
import type { RandomWorld } from './world.ts'

export type Verdict =
  | {
      readonly kind: 'same'
      readonly plan: PhysicalPlan
      readonly rows: number
      readonly events: ReadonlySet<RunEvent>
    }
  /** The reference has no answer either, or one that is too large. */
  | { readonly kind: 'skipped'; readonly why: string }
  | { readonly kind: 'wrong'; readonly why: string; readonly plan: PhysicalPlan | undefined }

/** What a fragment says that nobody wrote a WITH for. */
const COMPUTED_ONCE = /in several places of the query/

export const KERNEL_BUG = 'a bug of the kernel'

/** One case: a query and the cluster that it runs on. */
export interface Case {
  readonly seed: number
  readonly query: GeneratedQuery
  readonly options: PlanOptions
  /** True where every answer needs a value that cannot be computed. */
  readonly fails?: boolean | undefined
}

export function caseOf(seed: number): Case {
  const random = new Prng(seed)
  // A stream of its own for the cluster, so that shrinking a query leaves it alone.
  const slots = random.pick([1, 2, 2, 3, 4, 4, 6, 8])
  const executors = random.below(slots) + 1
  const options: PlanOptions = {
    distribution: random.chance(0.97) ? 'force' : 'auto',
    distributionMinBytes: 0,
    // Often so little that both sides of a join have to be put into buckets.
    broadcastMaxBytes: random.pick([0, 0, 500, 5000, 2 ** 40]),
    gatherRowsMax: random.pick([0, 0, 50, 100_000]),
    filterGroupsAlways: seed % 2 === 0,
    slots,
    executors,
  }
  const query = new QueryGenerator(random).query()
  // Drawn last, so that a seed means the same query as ever.
  const rangesRowsMin = random.chance(0.7) ? 0 : undefined
  const shareAlways = random.chance(0.6)
  const made = random.chance(0.15) ? repeated(query) : query
  const all = { seed, options: { ...options, rangesRowsMin, shareAlways } }
  if (random.chance(0.1)) return { ...all, query: queryByKey(random) }
  if (random.chance(0.25)) return { ...all, query: overOrdered(made) }
  if (random.chance(FAILING)) return { ...all, query: queryFailing(random), fails: true }
  if (random.chance(BROAD)) return { ...all, query: queryBroad(random) }
  return { ...all, query: random.chance(EXTREMES) ? queryOfExtremes(random) : made }
}

/** Parts of the queries that are about failures alike, about many columns, which take long, and about extremes. */
const FAILING = 0.03
const BROAD = 0.004
const EXTREMES = 0.06

/** The same over tables that can be divided by their key, and where it begins with one, for some of its keys alone. */
function overOrdered(query: GeneratedQuery): GeneratedQuery {
  const first = query.from === undefined ? undefined : firstOf(query.from)
  const isKeyed =
    first?.alias !== undefined && first.columnAliases.length === 0 && IN_ORDER.has(first.name)
  const keys = 'SELECT s0.k FROM skew AS s0 GROUP BY s0.k HAVING count(s0.narrow) > 8'
  const where = isKeyed ? [...query.where, `${first.alias}.k IN (${keys})`] : query.where
  let text = JSON.stringify({ ...query, where })
  for (const [name, table] of IN_ORDER)
    text = text.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), table.name)
  return JSON.parse(text) as GeneratedQuery
}

function firstOf(source: Source): Extract<Source, { kind: 'table' }> | undefined {
  if (source.kind === 'join') return firstOf(source.left)
  return source.kind === 'table' ? source : undefined
}

/** The same with a condition over the rows that it reads, which it so computes twice. */
function repeated(query: GeneratedQuery): GeneratedQuery {
  const { from, where } = query
  if (from?.kind !== 'join') return query
  const counted: GeneratedQuery = {
    ...plainQuery({ items: [{ id: 0, sql: 'count(*)', kind: 'int' }] }),
    from,
    where,
  }
  return { ...query, where: [...where, `(${queryText(counted)}) > 3`] }
}

export async function checkCase(world: RandomWorld, found: Case): Promise<Verdict> {
  const { query, options, seed, fails } = found
  const { columns, total } = orderOf(query)
  return checkText(world, queryText(query), {
    options,
    seed,
    fails,
    expectation: { ordered: columns, complete: query.limit === undefined || total },
  })
}

/** Every how many queries are also written in other ways. */
const METAMORPHOSED = 5

/** Runs a query as it is, and of some also what else they can be written as. */
export async function check(world: RandomWorld, found: Case): Promise<Verdict> {
  const verdict = await checkCase(world, found)
  if (verdict.kind !== 'same' || found.seed % METAMORPHOSED !== 0) return verdict
  const other = await checkMetamorphoses(world, found)
  return other.kind === 'wrong' ? other : verdict
}

/** Runs other ways to write a query, each of which has to have the rows that the query has by itself. */
export async function checkMetamorphoses(world: RandomWorld, found: Case): Promise<Verdict> {
  const { query, options, seed } = found
  let last: Verdict = { kind: 'skipped', why: 'LIMIT leaves a choice' }
  if (query.limit !== undefined && !orderOf(query).total) return last
  const wanted = await answer(world, queryText(query))
  if (typeof wanted === 'string') return { kind: 'skipped', why: wanted }
  for (const { name, sql, times } of metamorphosesOf(query, new Prng(seed))) {
    const own = await answer(world, sql)
    if (typeof own === 'string') continue
    // Under the names that it gives to its columns itself.
    const rows = {
      columns: own.columns,
      rows: Array.from({ length: times }, () => wanted.rows).flat(),
    }
    const expectation = { ordered: [], complete: true }
    if (difference(rows, own, expectation) !== undefined)
      return { kind: 'skipped', why: KERNEL_BUG }
    last = await comparePlan(world, sql, rows, { options, seed, expectation })
    if (last.kind === 'wrong') return { ...last, why: `${name}: ${last.why}\n${sql}` }
  }
  return last
}

/** The reference's answer, or why there is none. */
async function answer(world: RandomWorld, sql: string): Promise<Rows | string> {
  try {
    return await runText(world.reference, sql)
  } catch (error) {
    return (error as Error).message
  }
}

interface Comparison {
  readonly options: PlanOptions
  readonly expectation: Expectation
  /** Of what happens while it runs. */
  readonly seed: number
  /** True where it has to fail if the reference does. */
  readonly fails?: boolean | undefined
}

/** Runs one text both ways. */
export async function checkText(
  world: RandomWorld,
  sql: string,
  how: Comparison,
): Promise<Verdict> {
  const wanted = await answer(world, sql)
  if (typeof wanted !== 'string') return comparePlan(world, sql, wanted, how)
  return how.fails === true
    ? compareFailure(world, sql, wanted, how)
    : { kind: 'skipped', why: wanted }
}

/** Of every so many runs segments are files. */
const IN_FILES = 3

const runOptions = (
  { kernel, directory }: RandomWorld,
  { options, seed }: Comparison,
  events: Set<RunEvent>,
): RunOptions => ({
  kernel,
  directory,
  segments: seed % IN_FILES === 0 ? 'files' : 'tables',
  slots: options.slots,
  random: new Prng(seed),
  events,
})

/** What kind of error the kernel says that it is. */
const errorKind = (message: string): string =>
  /^[A-Z][A-Za-z ]* Error/.exec(message)?.[0] ?? message

/** Runs what the reference has no answer to: it has to fail in the same way. */
async function compareFailure(
  world: RandomWorld,
  sql: string,
  wanted: string,
  how: Comparison,
): Promise<Verdict> {
  if (!RUN_ERRORS.test(wanted)) return { kind: 'skipped', why: wanted }
  let plan: PhysicalPlan | undefined
  try {
    plan = (await world.planning.plan(sql, how.options)).plan
    const { rows } = await runPlan(plan, runOptions(world, how, new Set()))
    return { kind: 'wrong', why: `${rows.length} rows where the kernel says ${wanted}`, plan }
  } catch (error) {
    const { message } = error as Error
    if (plan === undefined || errorKind(message) !== errorKind(wanted))
      return { kind: 'wrong', why: `fails with ${message} and not with ${wanted}`, plan }
    return { kind: 'same', plan, rows: 0, events: new Set(['failed alike']) }
  }
}

/** Errors of values, not of the text. */
const RUN_ERRORS = /^(Out of Range|Conversion|Invalid Input) Error/

async function comparePlan(
  world: RandomWorld,
  sql: string,
  wanted: Rows,
  how: Comparison,
): Promise<Verdict> {
  let plan: PhysicalPlan | undefined
  try {
    plan = (await world.planning.plan(sql, how.options)).plan
    const events = new Set<RunEvent>()
    const got = await runPlan(plan, runOptions(world, how, events))
    const why = difference(wanted, got, how.expectation)
    if (plan.fragments.some((fragment) => COMPUTED_ONCE.test(fragment.why ?? '')))
      events.add('computed once')
    if (wanted.columns.length > 900) events.add('a thousand columns')
    const apart = plan.fragments.flatMap(({ divided = [] }) => divided.filter((d) => d.apart))
    if (apart.length > 0) events.add('divided by values')
    if (plan.fragments.some(({ divided = [] }) => divided.filter((d) => d.apart).length > 1))
      events.add('tables divided alike')
    if (why === undefined) return { kind: 'same', plan, rows: got.rows.length, events }
    return { kind: 'wrong', why, plan }
  } catch (error) {
    if (error instanceof TooLarge) return { kind: 'skipped', why: error.message }
    if (isKernelBug(error)) return { kind: 'skipped', why: KERNEL_BUG }
    const { message } = error as Error
    if (await isLeftOut(world, sql, message)) return { kind: 'skipped', why: LEFT_OUT }
    return { kind: 'wrong', why: `fails: ${message}`, plan }
  }
}

/**
 * True where the reference fails in the same way once nothing is left out: its optimizer had found that what fails is not
 * needed for the answer. Either is right: SQL does not say what is computed of what an answer does not need.
 */
async function isLeftOut(
  { reference }: RandomWorld,
  sql: string,
  message: string,
): Promise<boolean> {
  if (!RUN_ERRORS.test(message)) return false
  await reference.run('PRAGMA disable_optimizer')
  try {
    await runText(reference, sql)
    return false
  } catch (error) {
    return errorKind((error as Error).message) === errorKind(message)
  } finally {
    await reference.run('PRAGMA enable_optimizer')
  }
}

const LEFT_OUT = 'a failure that the optimizer of the kernel avoids'

/**
 * The statement is right, but this version of the kernel cannot parse, bind or run it: an assertion of its own fails, or
 * it finds the window of a subquery within a window's definition, where views have been put in place of their names.
 */
export const isKernelBug = (error: unknown): boolean =>
  error instanceof Error &&
  (/^INTERNAL Error|"exception_type":"INTERNAL"|window functions are not allowed in window def/.test(
    error.message,
  ) ||
    isKernelBug(error.cause))

/** True when a plan runs in more than one place. */
export const isDivided = (plan: PhysicalPlan): boolean =>
  plan.fragments.length > 1 || plan.fragments.some((f) => (f.divided?.[0]?.groups.length ?? 1) > 1)
