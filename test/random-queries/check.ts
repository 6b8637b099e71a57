import { Prng } from '@nyala/client/base'
import type { PhysicalPlan, PlanOptions } from '@nyala/coordinator/testing'
import { queryByKey } from './by-key.ts'
import { difference, type Expectation } from './compare.ts'
import { QueryGenerator } from './generate.ts'
import { metamorphosesOf } from './metamorphoses.ts'
import { type GeneratedQuery, orderOf, plainQuery, queryText, type Source } from './query.ts'
import { type Rows, type RunEvent, runPlan, runText, TooLarge } from './run.ts'
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
  return {
    seed,
    query: random.chance(0.1) ? queryByKey(random) : random.chance(0.25) ? overOrdered(made) : made,
    options: { ...options, rangesRowsMin, shareAlways },
  }
}

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
  const { query, options, seed } = found
  const { columns, total } = orderOf(query)
  return checkText(world, queryText(query), {
    options,
    seed,
    expectation: { ordered: columns, complete: query.limit === undefined || total },
  })
}

/** Every how many queries are also written in other ways. */
const METAMORPHOSED = 3

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
}

/** Runs one text both ways. */
export async function checkText(
  world: RandomWorld,
  sql: string,
  how: Comparison,
): Promise<Verdict> {
  const wanted = await answer(world, sql)
  return typeof wanted === 'string'
    ? { kind: 'skipped', why: wanted }
    : comparePlan(world, sql, wanted, how)
}

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
    const { slots } = how.options
    const got = await runPlan(plan, { ...world, slots, random: new Prng(how.seed), events })
    const why = difference(wanted, got, how.expectation)
    if (plan.fragments.some((fragment) => COMPUTED_ONCE.test(fragment.why ?? '')))
      events.add('computed once')
    const apart = plan.fragments.flatMap(({ divided = [] }) => divided.filter((d) => d.apart))
    if (apart.length > 0) events.add('divided by values')
    if (plan.fragments.some(({ divided = [] }) => divided.filter((d) => d.apart).length > 1))
      events.add('tables divided alike')
    if (why === undefined) return { kind: 'same', plan, rows: got.rows.length, events }
    return { kind: 'wrong', why, plan }
  } catch (error) {
    if (error instanceof TooLarge) return { kind: 'skipped', why: error.message }
    if (isKernelBug(error)) return { kind: 'skipped', why: KERNEL_BUG }
    return { kind: 'wrong', why: `fails: ${(error as Error).message}`, plan }
  }
}

/** An assertion of the kernel's own: the statement is right, but this version of the kernel cannot bind or run it. */
export const isKernelBug = (error: unknown): boolean =>
  error instanceof Error &&
  (/^INTERNAL Error|"exception_type":"INTERNAL"/.test(error.message) || isKernelBug(error.cause))

/** True when a plan runs in more than one place. */
export const isDivided = (plan: PhysicalPlan): boolean =>
  plan.fragments.length > 1 || plan.fragments.some((f) => (f.divided?.[0]?.groups.length ?? 1) > 1)
