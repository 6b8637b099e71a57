import type { Expression, Query } from '../../sql/ir.ts'
import { renderExpression, renderQuery } from '../../sql/renderer.ts'
import { typeText } from '../../sql/sql-types.ts'
import {
  columnRef,
  columnsOf,
  type ExchangeRelation,
  inputsOf,
  type LogicalPlan,
  mapRelation,
  type Relation,
} from '../logical/relation.ts'
import {
  type DividedScan,
  type Exchange,
  type ExchangeInput,
  type Fragment,
  fragmentParts,
  type FragmentOutput,
} from '../physical-plan.ts'
import type { Scan } from '../scan.ts'
import { divideApart } from '../apart.ts'
import { divideSplits } from '../splits.ts'
import { toQuery } from '../to-sql/to-query.ts'
import { cuttableOf } from './cuttable.ts'
import { type Content, type Draft, type Drafts, NotDistributable } from './drafts.ts'
import { operatorTexts } from './operator-text.ts'
import { type Branch, dividedScans, readsOf, type Source, type Stream } from './stream.ts'

export interface EmitOptions {
  readonly slots: number
  /** Numbers below are those of an earlier plan of the same query. */
  readonly firstExchange: number
  readonly firstFragment: number
  readonly scans: ReadonlyMap<number, Scan>
}

type About = Pick<Fragment, 'output' | 'why' | 'expected' | 'rowsMax' | 'rowsEnough'> & {
  readonly content: Content | 'result'
}

/**
 * A scan is divided among as many tasks as run at once, or several times as many where each still has so much to read:
 * a task takes about 10 ms of processor time besides its work.
 */
const TASK_BYTES_TARGET = 128 * 1024 * 1024
const ROUNDS_MAX = 4
/** Of more groups than this one more task makes nearly as many more. */
const GROUPS_OF_PARTS_MAX = 10_000
/** Buckets for each slot, so that they can be put together into tasks of equal size. */
const BUCKETS_PER_SLOT = 4
const BUCKETS_MAX = 256

/** Turns streams into fragments, in an order in which they can run; the exchanges are numbered in that order. */
export class Emitter {
  readonly #drafts: Drafts
  readonly #options: EmitOptions
  readonly #names = {
    scanName: (scan: number): string => this.#options.scans.get(scan)?.alias ?? 't',
  }
  readonly #numbers = new Map<number, number>()
  #nextExchange: number
  readonly fragments: Fragment[] = []
  readonly exchanges = new Map<number, Exchange>()
  /** What stands behind each number of an exchange. */
  readonly emitted = new Map<number, Draft>()

  constructor(drafts: Drafts, options: EmitOptions) {
    this.#drafts = drafts
    this.#options = options
    this.#nextExchange = options.firstExchange
  }

  /** Emits all that a stream needs, and the stream itself as the result. */
  result(stream: Stream, plan: LogicalPlan, rowsMax: number | undefined): void {
    this.#needs(stream)
    const outputs = plan.outputs
    for (const { relation, source } of stream.branches) {
      const query = toQuery(this.#numbered(relation, source), outputs, this.#names)
      this.#add(
        query,
        { relation, source },
        { output: { kind: 'result' }, rowsMax, content: 'result' },
      )
    }
  }

  #needs(stream: Stream): void {
    for (const { relation } of stream.branches) {
      for (const id of exchangesIn(relation)) this.#emit(this.#drafts.get(id))
    }
  }

  #emit(draft: Draft): void {
    if (this.#numbers.has(draft.id)) return
    if (draft.made === undefined) this.#needs(draft.stream)
    const number = draft.made?.number ?? this.#nextExchange++
    this.#numbers.set(draft.id, number)
    this.emitted.set(number, draft)
    const columns = draft.columns.map(({ name, type }) => ({ name, type: typeText(type) }))
    this.exchanges.set(number, { id: number, columns })
    if (draft.made !== undefined) return
    const output: FragmentOutput = {
      kind: 'exchange',
      exchange: number,
      keys: draft.keys.map((key) => renderExpression(key)),
      buckets: draft.keys.length === 0 ? 1 : bucketsFor(this.#options.slots),
    }
    const { rows, bytes } = this.#drafts.sizeOf(draft.id)
    for (const { relation, source } of draft.stream.branches) {
      const carried = narrowed(this.#numbered(relation, source), draft)
      const about = {
        output,
        why: draft.why,
        content: draft.content,
        expected: { rows: Math.round(rows), bytes: Math.round(bytes) },
        ...(draft.content === 'limited' ? { rowsEnough: rowsEnough(relation) } : {}),
      }
      this.#add(toQuery(carried, undefined, this.#names), { relation, source }, about)
    }
  }

  #add(query: Query, branch: Branch, about: About): void {
    const { content, ...said } = about
    const cuttable = this.#cuttable(branch, content)
    const parts = fragmentParts(renderQuery(query))
    const { source } = branch
    const scans = unique(parts.flatMap((p) => (p.kind === 'scan' ? [p.scan] : [])))
    const divided = dividedScans(source)
    if (divided.some((scan) => countScans(branch.relation, scan) !== 1))
      throw new NotDistributable('a divided table that is read twice')
    const inputs = this.#inputs(
      parts.flatMap((p) => (p.kind === 'exchange' ? [p.exchange] : [])),
      source,
    )
    const hasParts = content === 'partial' || content === 'distinct'
    const isRepeated =
      scans.length > Math.max(1, divided.length) ||
      inputs.some((input) => input.use === 'whole') ||
      (hasParts && (said.expected?.rows ?? 0) > GROUPS_OF_PARTS_MAX)
    this.fragments.push({
      id: this.#options.firstFragment + this.fragments.length,
      parts,
      // Only EXPLAIN wants these.
      readable: () => fragmentParts(renderQuery(query, { layout: 'readable' })),
      operators: () =>
        operatorTexts(branch.relation, {
          scans: this.#options.scans,
          divided,
          rows: (relation) => this.#drafts.rowsOf(relation),
          exchange: (id) => this.#numbers.get(id),
        }),
      inputs,
      scans,
      ...(divided.length === 0 ? {} : { divided: this.#divided(source, isRepeated) }),
      // Bounds of another sample are other bounds.
      repeatable: !hasLimit(branch.relation) && content !== 'bounds',
      ...(source.kind === 'ranges' ? { ranges: source.count } : {}),
      ...(cuttable === undefined ? {} : { cuttable }),
      ...said,
    })
  }

  #cuttable(branch: Branch, content: Content | 'result'): number | undefined {
    const draft = cuttableOf(branch, content)
    return draft === undefined ? undefined : this.#numbers.get(draft)
  }

  #inputs(exchanges: readonly number[], source: Source): readonly ExchangeInput[] {
    return unique(exchanges).map((exchange) => {
      const isSource = (id: number): boolean => this.#numbers.get(id) === exchange
      if (source.kind === 'buckets' && source.exchanges.some(isSource))
        return { exchange, use: 'buckets' }
      if (source.kind === 'segments' && isSource(source.exchange))
        return { exchange, use: 'divided' }
      return { exchange, use: 'whole' }
    })
  }

  /** `isRepeated`: each task does over again what others do too, so that there are no more than run at once. */
  #divided(source: Source, isRepeated: boolean): readonly DividedScan[] {
    const slots = Math.max(2, this.#options.slots)
    const scans = dividedScans(source).map((id) => this.#scan(id))
    const bytes = scans.reduce((sum, { files }) => sum + files.reduce((n, f) => n + f.bytes, 0), 0)
    const wanted = Math.ceil(bytes / (slots * TASK_BYTES_TARGET))
    const rounds = isRepeated ? 1 : Math.max(1, Math.min(wanted, ROUNDS_MAX))
    if (source.kind !== 'apart')
      return scans.map(({ id, files, rowGroupsLeft }) => ({
        scan: id,
        groups: divideSplits(files, slots * rounds, rowGroupsLeft),
      }))
    const parts = source.scans.map(({ scan, column }) => ({ scan: this.#scan(scan), column }))
    const all = divideApart(parts, slots * rounds) ?? divideApart(parts, slots)
    if (all === undefined) throw new Error('scans can be divided in the way that was chosen')
    return parts.map(({ scan, column }, i) => ({
      scan: scan.id,
      groups: all[i] ?? [],
      apart: column,
    }))
  }

  #scan(id: number): Scan {
    const scan = this.#options.scans.get(id)
    if (scan === undefined) throw new Error(`there is no scan ${id}`)
    return scan
  }

  #numbered(relation: Relation, source: Source): Relation {
    return mapRelation(relation, (part): Relation => {
      if (part.kind !== 'exchange') return part
      const number = this.#numberOf(part.exchange)
      const isBoth = part.whole === true && isOf(source, part.exchange)
      const { range } = part
      return {
        ...part,
        exchange: isBoth ? this.#again(number) : number,
        ...(range === undefined
          ? {}
          : { range: { ...range, bounds: this.#numberOf(range.bounds) } }),
      } satisfies ExchangeRelation
    })
  }

  #numberOf(draft: number): number {
    const number = this.#numbers.get(draft)
    if (number === undefined) throw new Error('an exchange is emitted before it is read')
    return number
  }

  /** Another number for an exchange, by which a fragment reads all of it besides a part. */
  #again(sameAs: number): number {
    const id = this.#nextExchange++
    this.exchanges.set(id, { id, columns: this.exchanges.get(sameAs)?.columns ?? [], sameAs })
    return id
  }
}

const hasLimit = (relation: Relation): boolean =>
  relation.kind === 'limit' ||
  (relation.kind === 'distinct' && relation.on !== undefined) ||
  inputsOf(relation).some(hasLimit)

/** True where the tasks divide this exchange. */
const isOf = (source: Source, exchange: number): boolean =>
  (source.kind === 'segments' && source.exchange === exchange) ||
  (source.kind === 'buckets' && source.exchanges.includes(exchange))

/** Any rows do where there is no order. */
const rowsEnough = (relation: Relation): number | undefined =>
  relation.kind === 'limit' && relation.input.kind !== 'sort' ? relation.count : undefined

const bucketsFor = (slots: number): number =>
  Math.min(BUCKETS_MAX, Math.max(2, slots * BUCKETS_PER_SLOT))

const unique = <T>(items: readonly T[]): readonly T[] => [...new Set(items)]

/** The relation with the columns of the exchange alone, in their order. */
function narrowed(relation: Relation, draft: Draft): Relation {
  const names = columnsOf(relation).map((c) => c.name)
  const wanted = draft.columns.map((c) => c.name)
  if (names.length === wanted.length && names.every((name, i) => name === wanted[i]))
    return relation
  const items = draft.columns.map((column) => ({
    column,
    expression: columnRef(column) as Expression,
  }))
  return { kind: 'project', input: relation, items }
}

/** The exchanges that a relation reads; of a join the right side's first, as it is built before the left one probes. */
function exchangesIn(relation: Relation): readonly number[] {
  if (relation.kind === 'exchange') return readsOf(relation)
  return inputsOf(relation).toReversed().flatMap(exchangesIn)
}

const countScans = (relation: Relation, scan: number): number =>
  relation.kind === 'scan'
    ? Number(relation.scan === scan)
    : inputsOf(relation).reduce((sum, input) => sum + countScans(input, scan), 0)

/** True where some fragment divides its work; what is there already was made by an earlier plan that did. */
export const isDistributed = (stream: Stream, drafts: Drafts): boolean =>
  stream.branches.some(
    ({ relation, source }) =>
      source.kind !== 'single' ||
      exchangesIn(relation).some((id) => {
        const draft = drafts.get(id)
        return draft.made !== undefined || isDistributed(draft.stream, drafts)
      }),
  )
