import { connect, type Database, SqlError } from '@nyala/client'
import { STREAM_SQL, StreamTally } from './facts.ts'
import { residentBytes } from './kernels.ts'
import type { Drill, Round } from './round.ts'
import { follower } from './strikes.ts'
import { statusAt } from './target.ts'

/** Clients that read the beginning of a result and then nothing. Their results together are 100 MB. */
const IDLE_READERS = 6
/** What is held of them at their coordinator is far less: what clients have asked for is all that comes. */
const HELD_BYTES_MAX = 64 * 1024 * 1024
/** What they set; without it a result is given up after 300 s. */
const IDLE_S = 4
/** Until it is given up: the time that is set, and what it takes to notice. */
const GIVEN_UP_MS = 8_000
/** Between two batches of a client that is slow and reads on. */
const SLOW_READ_MS = 300

/** Drills of clients that ask for large results and read them slowly, or not at all. */
export const READER_DRILLS: readonly Drill[] = [
  {
    name: 'client-slow',
    summary: 'clients read the beginning of large results and then nothing, and one reads slowly',
    load: ['small', 'divided', 'stream'],
    bounds: { stallMs: 3_000 },
    begin: follower,
    run: holdResults,
    mutant: { name: 'no-reader-watch', fails: ['errors'] },
  },
]

async function holdResults(round: Round): Promise<void> {
  const id = round.load.clients[0]?.coordinator ?? ''
  const { pid = 0, address = '' } = (await round.process(id)) ?? {}
  const before = residentBytes(pid)
  let most = before
  round.began(id)
  const open = (): Promise<Database> =>
    connect({
      url: `nyala://${address}`,
      database: round.options.database,
      discover: false,
      set: { distribution: 'force', idle_result_timeout_s: String(IDLE_S) },
    })
  const clients: Database[] = []
  try {
    while (clients.length <= IDLE_READERS) clients.push(await open())
    const [slow, ...idle] = clients
    const slowly = slow === undefined ? undefined : readSlowly(slow, round)
    const held = await Promise.all(idle.map((db) => readFirst(db)))
    await round.until('errors', round.bound(GIVEN_UP_MS), async () => {
      most = Math.max(most, residentBytes(pid))
      const { queries = [] } = (await statusAt(address)) ?? {}
      const kept = queries.filter((query) => held.some((one) => one.id() === query.id))
      return kept.length === 0
        ? undefined
        : `${kept.length} results wait for clients that read nothing`
    })
    for (const { rest } of held) {
      const error = await rest()
      await round.until('errors', 0, () =>
        error instanceof SqlError && error.error === 'statement_timeout'
          ? undefined
          : `a client that has read nothing for ${IDLE_S} s was told ${String(error)}`,
      )
    }
    await checkSlow(round, await slowly)
    await round.until('stall', 0, () => {
      const grown = most - before
      return grown <= HELD_BYTES_MAX ? undefined : `${id} took ${grown} bytes for its slow clients`
    })
    await round.loadRecovered()
  } finally {
    for (const db of clients) await db.close()
  }
}

interface Held {
  id(): string | null | undefined
  /** Reads on: the error that this ends with, or undefined. */
  rest(): Promise<unknown>
}

async function readFirst(db: Database): Promise<Held> {
  const stream = db.stream(STREAM_SQL)
  const batches = stream.columnBatches()[Symbol.asyncIterator]()
  await batches.next()
  return {
    id: () => stream.id,
    rest: async () => {
      try {
        while ((await batches.next()).done !== true);
        return undefined
      } catch (error) {
        return error
      }
    },
  }
}

/** Longer than it may read nothing, as it reads something all the time. */
async function readSlowly(db: Database, round: Round): Promise<StreamTally | SqlError> {
  const tally = new StreamTally(round.options.facts.stream.idMax)
  try {
    for await (const batch of db.stream(STREAM_SQL).columnBatches()) {
      tally.addBatch(batch)
      await round.options.clock.sleep(SLOW_READ_MS)
    }
    return tally
  } catch (error) {
    if (error instanceof SqlError) return error
    throw error
  }
}

function checkSlow(round: Round, read: StreamTally | SqlError | undefined): Promise<void> {
  const { rows, checksum } = round.options.facts.stream
  return round.until('exact', 0, () => {
    if (!(read instanceof StreamTally)) return `a client that reads slowly was told ${String(read)}`
    const isExact = read.rows === rows && read.doubled === 0 && read.checksum === checksum
    return isExact ? undefined : `a client that reads slowly has ${read.rows} rows of ${rows}`
  })
}
