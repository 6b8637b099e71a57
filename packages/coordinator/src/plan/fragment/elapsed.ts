import { inputsOf, type Relation } from '../logical/relation.ts'
import { type Costs, PLAN_LEAF_NS, STAGE_NS } from './cost.ts'
import type { Draft, Drafts } from './drafts.ts'
import { type Branch, dividedScans, readsOf, type Stream } from './stream.ts'

/**
 * Nanoseconds until a stream is there, with `slots` tasks at once: stage after stage; within a stage, what is divided
 * takes its part of the time, and what every task reads whole all of it.
 */
export function elapsedNs(stream: Stream, drafts: Drafts, by: ElapsedBy): number {
  const seen = new Set<number>()
  return elapsed(stream, drafts, { ...by, seen })
}

interface ElapsedBy {
  readonly costs: Costs
  /** Tasks at once; threads where it is one task. */
  readonly slots: number
  /** Without stages: nothing is written down, and nothing awaited. */
  readonly inOneTask?: boolean
}

/** A stage, and what its tasks need until they begin: the kernel plans the text of each. */
const stageNs = ({ relation }: Branch, { inOneTask = false }: ElapsedBy): number =>
  inOneTask ? 0 : STAGE_NS + leavesOf(relation) * PLAN_LEAF_NS

const leavesOf = (relation: Relation): number => {
  const inputs = inputsOf(relation)
  return inputs.length === 0 ? 1 : inputs.reduce((sum, input) => sum + leavesOf(input), 0)
}

function elapsed(
  stream: Stream,
  drafts: Drafts,
  by: ElapsedBy & { readonly seen: Set<number> },
): number {
  let sum = 0
  for (const branch of stream.branches) {
    sum += stageNs(branch, by) + branchNs(branch, by)
    for (const id of exchangesOf(branch.relation)) {
      if (by.seen.has(id)) continue
      by.seen.add(id)
      const draft = drafts.get(id)
      if (draft.made !== undefined) continue
      if (draft.content === 'bounds') {
        if (by.inOneTask === true) continue
        // What its task reads is read by the branch itself too, and its operators see a sample alone.
        sum += STAGE_NS + by.costs.sampling(by.costs.size(branch.relation).rows)
        continue
      }
      sum += elapsed(draft.stream, drafts, by)
      if (by.inOneTask !== true) sum += writeNs(draft, drafts.sizeOf(id).rows, by)
    }
  }
  return sum
}

function branchNs({ relation, source }: Branch, { costs, slots }: ElapsedBy): number {
  if (source.kind === 'single') return costs.work(relation)
  const parallel = costs.parallel(source, slots)
  const divided = (part: Relation): boolean => {
    switch (source.kind) {
      case 'scan':
      case 'apart':
        return part.kind === 'scan' && dividedScans(source).includes(part.scan)
      case 'segments':
        return part.kind === 'exchange' && part.exchange === source.exchange
      case 'buckets':
        return part.kind === 'exchange' && source.exchanges.includes(part.exchange)
      case 'ranges':
        return part.kind === 'exchange' && part.range !== undefined
    }
  }
  const walk = (part: Relation): { readonly ns: number; readonly isDivided: boolean } => {
    const inputs = inputsOf(part).map(walk)
    const below = inputs.reduce((sum, input) => sum + input.ns, 0)
    const isDivided = divided(part) || inputs.some((input) => input.isDivided)
    // Each task reads all rows for those of its range.
    const isWhole = part.kind === 'exchange' && part.range !== undefined
    const own = costs.own(part) / (isDivided && !isWhole ? parallel : 1)
    return { ns: below * costs.partRead(part) + own, isDivided }
  }
  return walk(relation).ns
}

function writeNs(
  { stream, columns, keys }: Draft,
  rows: number,
  { costs, slots }: ElapsedBy,
): number {
  const parallel = Math.max(...stream.branches.map((b) => costs.parallel(b.source, slots)))
  return costs.writing(rows, columns.length, keys.length > 0) / parallel
}

const exchangesOf = (relation: Relation): readonly number[] =>
  relation.kind === 'exchange' ? readsOf(relation) : inputsOf(relation).flatMap(exchangesOf)
