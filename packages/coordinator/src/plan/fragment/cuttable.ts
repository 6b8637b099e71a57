import type { JoinType, Relation } from '../logical/relation.ts'
import type { Content } from './drafts.ts'
import type { Branch } from './stream.ts'

/** Joins of which any part of the left side may meet the whole right side. */
const LEFT_IN_PARTS: ReadonlySet<JoinType> = new Set(['inner', 'left', 'semi', 'anti', 'single'])

/**
 * The exchange of which a bucket may be cut among several tasks, each of which reads the other exchanges' bucket whole:
 * the left side of a join over which nothing needs equal keys to be together. `content` says whether the relation only
 * makes parts of something, in which case its topmost operator does not need it either.
 */
export function cuttableOf(branch: Branch, content: Content | 'result'): number | undefined {
  if (branch.source.kind !== 'buckets' || branch.source.exchanges.length < 2) return undefined
  const isPart = content === 'partial' || content === 'distinct' || content === 'limited'
  const top = isPart ? below(branch.relation) : branch.relation
  const join = top === undefined ? undefined : throughRows(top)
  if (join?.kind !== 'join' || !LEFT_IN_PARTS.has(join.type)) return undefined
  const left = throughRows(join.left)
  if (left.kind !== 'exchange') return undefined
  return branch.source.exchanges.includes(left.exchange) ? left.exchange : undefined
}

function below(relation: Relation): Relation | undefined {
  switch (relation.kind) {
    case 'aggregate':
    case 'distinct':
      return relation.input
    case 'limit':
      return relation.input.kind === 'sort' ? relation.input.input : relation.input
    default:
      return undefined
  }
}

/** The relation under what works row by row. */
function throughRows(relation: Relation): Relation {
  switch (relation.kind) {
    case 'filter':
    case 'project':
    case 'unnest':
      return throughRows(relation.input)
    default:
      return relation
  }
}
