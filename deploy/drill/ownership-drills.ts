import { type ColumnBatch, connect, type Database } from '@nyala/client'
import { judgeStream, STREAM_SQL, StreamTally } from './facts.ts'
import { BLACKHOLE } from './links.ts'
import type { Drill, Round } from './round.ts'
import { follower, MOVED_MS } from './strikes.ts'

/** Drills of coordinators that act for queries that are not theirs any more. */
export const OWNERSHIP_DRILLS: readonly Drill[] = [
  {
    name: 'former-owner',
    summary:
      'a coordinator that cannot hear from etcd ends a query that another has taken over: nothing ends',
    load: ['small', 'divided'],
    bounds: { stallMs: 3_000 },
    links: true,
    run: endAsFormerOwner,
    mutant: { name: 'no-owner-epoch-check', fails: ['errors'] },
  },
]

/** The record of a query that has ended is removed within 5 s, or nobody knows whether it was; a busy machine needs longer. */
const FINISH_GIVEN_UP_MS = 10_000

/**
 * Two clients want one result. The first one reads it at a coordinator that then reaches no member of etcd; the second
 * one takes it to another coordinator, of which the former owner hears nothing. When the first client cancels, the former
 * owner tells executors to drop the result, while the second one is in its midst.
 */
async function endAsFormerOwner(round: Round): Promise<void> {
  const { database, facts } = round.options
  const former = await follower(round)
  const at = (id: string): Promise<Database> =>
    connect({
      url: `nyala://${round.links.addressOf(id)}`,
      ...{ database, discover: false, set: { distribution: 'force' } },
    })
  await using first = await at(former)
  await using second = await at(await round.leader())
  const stream = first.stream(STREAM_SQL)
  await stream.columnBatches().next()
  const { id = '' } = stream
  round.began(former)
  await round.links.set([{ from: former, to: await round.ids('etcd'), fault: BLACKHOLE }])
  const tally = new StreamTally(facts.stream.idMax)
  const taken = second.attach(id).columnBatches()
  const begun = await answered(round, 'the second client', taken.next())
  if (begun.done !== true) tally.addBatch(begun.value)
  await stream.cancel()
  await round.until('struck', round.bound(FINISH_GIVEN_UP_MS), () => {
    const isMistaken = round
      .logged()
      .some(({ member, fields }) => member === former && fields['what'] === 'finishFailed')
    return isMistaken ? undefined : `${former} does not take the query for its own`
  })
  await answered(round, 'the second client', drain(taken, tally))
  const { rowsLost, rowsDoubled, wrong } = judgeStream(tally, facts)
  await round.until('exact', 0, () =>
    rowsLost === 0 && rowsDoubled === 0
      ? wrong
      : `${rowsLost} rows were lost, ${rowsDoubled} came twice`,
  )
  await round.links.set([])
}

async function drain(batches: AsyncIterable<ColumnBatch>, tally: StreamTally): Promise<void> {
  for await (const batch of batches) tally.addBatch(batch)
}

/** What comes of what a client has asked, which must come, and be no error. */
async function answered<T>(round: Round, who: string, work: Promise<T>): Promise<T> {
  const end: { value?: T; error?: unknown; isThere: boolean } = { isThere: false }
  work
    .then((value) => (end.value = value))
    .catch((error: unknown) => (end.error = error))
    .finally(() => (end.isThere = true))
  await round.until('errors', round.bound(MOVED_MS), () => {
    if (!end.isThere) return `${who} is not answered`
    return end.error === undefined ? undefined : `${who} is told ${String(end.error)}`
  })
  return end.value as T
}
