import type { Segment } from '@nyala/executor/protocol'
import type { ExchangeInput, Fragment } from '../physical-plan.ts'

/** A segment and who made it: the same task, run again, makes the same rows under the same name. */
export interface Produced {
  readonly producer: string
  readonly segment: Segment
}

/** The part of a fragment's source that one task has; everything else it reads whole. */
export type TaskPart =
  | { readonly kind: 'all' }
  /** A group of splits of the fragment's divided scan. */
  | { readonly kind: 'splits'; readonly group: number }
  /** The segments that these tasks made, of the fragment's divided exchange. */
  | { readonly kind: 'producers'; readonly producers: ReadonlySet<string> }
  /**
   * These buckets of the fragment's exchanges. Of a bucket too large for one task only what some producers put there,
   * of the one exchange that may be cut; of the others all.
   */
  | {
      readonly kind: 'buckets'
      readonly buckets: ReadonlySet<number>
      readonly cut?: { readonly exchange: number; readonly producers: ReadonlySet<string> }
    }
  /** One of the ranges of the fragment's order, from 1 on. */
  | { readonly kind: 'range'; readonly range: number }

export interface TaskLimits {
  /** Tasks that can run at once. */
  readonly slots: number
  /** Buckets are put together until a task has this many bytes to read. */
  readonly bytesMin: number
}

/** A task of this many times the mean is cut, where it can be. */
const SKEW_MAX = 2
/** Tasks for each slot, so that one that takes longer is made up for by the others. */
const TASKS_PER_SLOT = 2
/** More tasks than can run at once are made where each still has this much to read: a task takes 10 ms besides its work. */
const ROUND_BYTES_MIN = 8 * 1024 * 1024

/**
 * The tasks of a fragment once its inputs are there; before, with nothing produced, what is expected. Deterministic.
 * A fragment always has a task, also where there is nothing to read: an aggregation of no rows has a row.
 */
export function partsOf(
  fragment: Fragment,
  produced: (exchange: number) => readonly Produced[],
  limits: TaskLimits,
): readonly TaskPart[] {
  const [scan] = fragment.divided ?? []
  if (scan !== undefined) return scan.groups.map((_, group) => ({ kind: 'splits', group }))
  if (fragment.ranges !== undefined) {
    return Array.from({ length: fragment.ranges }, (_, i) => ({ kind: 'range', range: i + 1 }))
  }
  const buckets = fragment.inputs.filter((input) => input.use === 'buckets')
  if (buckets.length > 0) return bucketParts(fragment, buckets, { produced, limits })
  const divided = fragment.inputs.find((input) => input.use === 'divided')
  if (divided !== undefined) return producerParts(produced(divided.exchange), limits)
  return [{ kind: 'all' }]
}

/** Number of tasks that are expected before anything is known of the inputs. */
export function expectedTasks(fragment: Fragment, slots: number): number {
  const [divided] = fragment.divided ?? []
  if (divided !== undefined) return divided.groups.length
  if (fragment.ranges !== undefined) return fragment.ranges
  return fragment.inputs.some((input) => input.use !== 'whole') ? Math.max(1, slots) : 1
}

/** The segments of one input that a task reads. */
export function segmentsOf(
  input: ExchangeInput,
  part: TaskPart,
  produced: readonly Produced[],
): readonly Segment[] {
  const wanted = (p: Produced): boolean => {
    if (input.use === 'whole') return true
    if (part.kind === 'producers') return part.producers.has(p.producer)
    if (part.kind !== 'buckets') return true
    if (!part.buckets.has(p.segment.partition)) return false
    return part.cut?.exchange !== input.exchange || part.cut.producers.has(p.producer)
  }
  return produced.filter(wanted).map((p) => p.segment)
}

function producerParts(produced: readonly Produced[], limits: TaskLimits): readonly TaskPart[] {
  const bytes = new Map<string, number>()
  for (const { producer, segment } of produced) {
    bytes.set(producer, (bytes.get(producer) ?? 0) + segment.bytes)
  }
  const groups = balance([...bytes], limits)
  if (groups.length === 0) return [{ kind: 'producers', producers: new Set() }]
  return groups.map((group) => ({ kind: 'producers', producers: new Set(group) }))
}

interface Known {
  readonly produced: (exchange: number) => readonly Produced[]
  readonly limits: TaskLimits
}

/** Buckets that nobody wrote into are left out, small ones put together, and one that is too large is cut. */
function bucketParts(
  fragment: Fragment,
  inputs: readonly ExchangeInput[],
  { produced, limits }: Known,
): readonly TaskPart[] {
  const bytes = new Map<number, number>()
  for (const { exchange } of inputs) {
    for (const { segment } of produced(exchange)) {
      bytes.set(segment.partition, (bytes.get(segment.partition) ?? 0) + segment.bytes)
    }
  }
  if (bytes.size === 0) return [{ kind: 'buckets', buckets: new Set([0]) }]
  const total = [...bytes.values()].reduce((a, b) => a + b, 0)
  const fair = total / Math.max(1, limits.slots)
  const cut = new Set<number>()
  const parts: TaskPart[] = []
  if (fragment.cuttable !== undefined && limits.slots > 1) {
    for (const [bucket, size] of bytes) {
      if (size < fair * SKEW_MAX || size < limits.bytesMin) continue
      const slices = bucketSlices(bucket, fragment.cuttable, { produced, limits })
      if (slices.length < 2) continue
      cut.add(bucket)
      parts.push(...slices)
    }
  }
  const rest = [...bytes].filter(([bucket]) => !cut.has(bucket))
  const groups = balance(rest, limits)
  return [
    ...parts,
    ...groups.map((group): TaskPart => ({ kind: 'buckets', buckets: new Set(group) })),
  ]
}

/** One bucket in slices by who wrote it. */
function bucketSlices(
  bucket: number,
  exchange: number,
  { produced, limits }: Known,
): readonly TaskPart[] {
  const own = produced(exchange).filter(({ segment }) => segment.partition === bucket)
  const bytes = new Map<string, number>()
  for (const { producer, segment } of own) {
    bytes.set(producer, (bytes.get(producer) ?? 0) + segment.bytes)
  }
  const groups = balance([...bytes], limits)
  return groups.map((producers) => ({
    kind: 'buckets',
    buckets: new Set([bucket]),
    cut: { exchange, producers: new Set(producers) },
  }))
}

/** Pieces in groups of nearly equal bytes: the largest first to the least loaded (Graham 1969). */
function balance<K extends string | number>(
  pieces: readonly (readonly [K, number])[],
  { slots, bytesMin }: TaskLimits,
): readonly (readonly K[])[] {
  if (pieces.length === 0) return []
  const total = pieces.reduce((sum, [, bytes]) => sum + bytes, 0)
  const worthwhile = bytesMin === 0 ? pieces.length : Math.ceil(total / bytesMin)
  const rounds = Math.min(slots * TASKS_PER_SLOT, Math.ceil(total / ROUND_BYTES_MIN))
  const count = Math.max(1, Math.min(pieces.length, worthwhile, Math.max(slots, rounds)))
  const groups = Array.from({ length: count }, () => ({ bytes: 0, keys: [] as K[] }))
  const order = pieces.toSorted(([ka, a], [kb, b]) => b - a || (ka < kb ? -1 : 1))
  for (const [key, bytes] of order) {
    const least = groups.reduce((best, group) => (group.bytes < best.bytes ? group : best))
    least.bytes += bytes
    least.keys.push(key)
  }
  return groups.filter((g) => g.keys.length > 0).map((g) => g.keys)
}
