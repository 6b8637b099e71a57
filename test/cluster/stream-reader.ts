import type { Database, QueryStream, Session } from '@nyala/client'
import { systemClock } from '@nyala/client/base'
import { EVENT_ROWS } from './world.ts'

/** Times that each row of the table comes in a large result. */
export const COPIES = 6
export const ROWS: number = EVENT_ROWS * COPIES
/** Some 30 MB also when it is packed, as half of it is noise: more than all buffers on its way hold. */
export const LARGE = `SELECT a.id, b.copy, a.city, hash(a.id, b.copy) AS noise
  FROM events a, range(${COPIES}) b(copy)`
/** The same in an order, from one task that sorts or from a task for each range. */
export const SORTED = `${LARGE} ORDER BY a.id, b.copy DESC`
/** Whether the rows of {@link SORTED} came in their order. */
export const isSorted = (ids: readonly number[]): boolean =>
  ids.every((id, i) => id === i - (i % COPIES) + (COPIES - 1 - (i % COPIES)))

/** What a reader of a large result has seen. */
export interface Reading {
  readonly rows: number
  readonly lost: number
  readonly doubled: number
  /** The longest wait for a batch after the first. */
  readonly stallMs: number
  readonly coordinators: readonly string[]
  readonly ids: readonly number[]
}

export interface ReadOptions {
  /** Called once, when so many rows have been read. */
  readonly at?: readonly { readonly rows: number; act(stream: QueryStream): void | Promise<void> }[]
}

/** Reads a result that has each row of {@link LARGE} once, and counts. */
export async function readLarge(
  stream: QueryStream,
  { at = [] }: ReadOptions = {},
): Promise<Reading> {
  const seen = new Uint8Array(ROWS)
  const coordinators: string[] = []
  const ids: number[] = []
  const waiting = [...at]
  let [rows, doubled, stallMs] = [0, 0, 0]
  let before: number | undefined
  for await (const batch of stream.columnBatches()) {
    const came = systemClock.now()
    stallMs = Math.max(stallMs, came - (before ?? came))
    const [id, copy] = batch.columns
    for (let row = 0; row < batch.length; row++) {
      const number = Number(id?.[row]) * COPIES + Number(copy?.[row])
      if (ids.length < ROWS) ids.push(number)
      if (seen[number] === 1) doubled++
      seen[number] = 1
    }
    rows += batch.length
    if (stream.coordinator !== undefined && stream.coordinator !== coordinators.at(-1)) {
      coordinators.push(stream.coordinator)
    }
    for (let next = waiting[0]; next !== undefined && rows >= next.rows; next = waiting[0]) {
      waiting.shift()
      await next.act(stream)
    }
    before = systemClock.now()
  }
  await stream.finished
  const lost = seen.reduce((sum, one) => sum + (one === 0 ? 1 : 0), 0)
  return { rows, lost, doubled, stallMs, coordinators, ids }
}

/** A session whose results come from several tasks, or from one. */
export const dividedSession = (db: Database, divided: boolean): Promise<Session> =>
  db.session({ set: { distribution: divided ? 'force' : 'single' } })
