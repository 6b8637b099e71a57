import type { JoinRelation } from '../logical/relation.ts'
import { elapsedNs } from './elapsed.ts'
import type { Fragmenter } from './fragmenter.ts'
import type { Stream } from './stream.ts'

export type Side = 'left' | 'right'

/** A join over the streams that its two sides are. */
export interface Sides {
  readonly by: Fragmenter
  readonly join: JoinRelation
  readonly left: Stream
  readonly right: Stream
  readonly needs: Readonly<Record<Side, ReadonlySet<string>>>
}

/** Tasks that can work at once on a stream. */
export const slotsOf = ({ by }: Sides, { branches }: Stream): number =>
  Math.max(...branches.map(({ source }) => by.costs.parallel(source, by.options.slots)))

/** Nanoseconds until a stream is there. */
export const elapsedOf = ({ by }: Sides, stream: Stream): number =>
  elapsedNs(stream, by.drafts, { costs: by.costs, slots: Math.max(1, by.options.slots) })
