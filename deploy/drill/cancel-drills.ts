import { connect, type Database, type QueryStream, SqlError } from '@nyala/client'
import { STREAM_SQL } from './facts.ts'
import { leftOfQueries } from './leftovers.ts'
import { armed } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { MOVED_MS } from './strikes.ts'
import { statusAt } from './target.ts'

/** Drills of queries that are cancelled. */
export const CANCEL_DRILLS: readonly Drill[] = [
  {
    name: 'cancel-at-moments',
    summary:
      'queries are cancelled, here or from elsewhere, as they are planned, wait, run, stream, are taken over, hang, are orphans',
    load: ['write'],
    bounds: { stallMs: 3_000 },
    failpoints: true,
    begin: (round) => round.leader(),
    run: cancelAtMoments,
    mutant: { name: 'no-cancel-elsewhere', fails: ['errors', 'tidy'] },
  },
]

/** From the cancel until no executor works for the query or keeps anything of it, and no record of it is left. */
const RELEASED_MS = 2_000

/** Some ten seconds of one thread's work on one row. */
const LONG_SQL = `SELECT CAST(count(*) AS VARCHAR) AS answer FROM orders a, orders b
  WHERE a.o_orderkey + b.o_orderkey = 4001`
/** All of an executor, so that there is room for as many such queries as there are executors. */
const ALL_MEMORY = { mem_limit: '512MB' }

/** Ends that a cancelled query may have. The last: it was released before whoever reads it asked for it elsewhere. */
const CANCELLED: ReadonlySet<string> = new Set(['query_canceled', 'undefined_object'])

/** Where queries run, and who else is asked to cancel them. */
interface Places {
  readonly home: string
  readonly elsewhere: Database
}

async function cancelAtMoments(round: Round): Promise<void> {
  const leader = await round.leader()
  const [home, other] = (await round.ids('coordinator')).filter((id) => id !== leader)
  if (home === undefined || other === undefined) throw new Error('three coordinators are needed')
  await using elsewhere = await client(round, other)
  const places = { home, elsewhere }
  round.began(home)
  await whilePlanned(round, places)
  await whileQueued(round, places)
  await whileRunning(round, places)
  await whileStreaming(round, places)
  await whileTakenOver(round, places)
  await whileHung(round, places)
  await onceOrphaned(round, places)
}

async function whilePlanned(round: Round, { home }: Places): Promise<void> {
  const struck = armed(round, 'query.planning', { what: 'stop', only: home })
  await using query = await Cancellable.ask(round, home, { sql: LONG_SQL })
  await struck()
  await query.cancel()
  await round.signal(home, 'SIGCONT')
  await query.isGone()
  await query.isOver()
}

async function whileQueued(round: Round, { home, elsewhere }: Places): Promise<void> {
  const ahead: Cancellable[] = []
  try {
    const ask = (): Promise<Cancellable> =>
      Cancellable.ask(round, home, { sql: LONG_SQL, set: ALL_MEMORY })
    const executors = await round.ids('executor')
    for (const _ of executors) ahead.push(await ask())
    for (const query of ahead) await query.is(['running', 'streaming'])
    await using first = await ask()
    await using second = await ask()
    await first.is(['queued'])
    await second.is(['queued'])
    await first.cancel()
    await first.ended()
    await second.cancelAt(elsewhere)
    await second.ended()
  } finally {
    for (const query of ahead) await query[Symbol.asyncDispose]()
  }
  await released(round, 'queries that ran before those that waited')
}

async function whileRunning(round: Round, { home, elsewhere }: Places): Promise<void> {
  for (const from of ['client', 'elsewhere'] as const) {
    await using query = await Cancellable.ask(round, home, { sql: LONG_SQL })
    await query.runs()
    await (from === 'client' ? query.cancel() : query.cancelAt(elsewhere))
    await query.isOver()
  }
}

async function whileStreaming(round: Round, { home, elsewhere }: Places): Promise<void> {
  for (const from of ['client', 'elsewhere'] as const) {
    await using query = await Cancellable.ask(round, home, { sql: STREAM_SQL })
    await query.begin()
    await (from === 'client' ? query.cancel() : query.cancelAt(elsewhere))
    await query.isOver()
  }
}

async function whileTakenOver(round: Round, { home }: Places): Promise<void> {
  await using query = await Cancellable.ask(round, home, { sql: STREAM_SQL })
  await query.begin()
  await round.signal(home, 'SIGKILL')
  await round.until('stall', round.bound(MOVED_MS), () =>
    query.hasMoved ? undefined : 'the query has not been asked for elsewhere',
  )
  await query.cancel()
  await query.isOver()
  await round.whole()
}

async function whileHung(round: Round, { home, elsewhere }: Places): Promise<void> {
  for (const from of ['client', 'elsewhere'] as const) {
    await using query = await Cancellable.ask(round, home, { sql: STREAM_SQL })
    await query.begin()
    await round.signal(home, 'SIGSTOP')
    try {
      await (from === 'client' ? query.cancel() : query.cancelAt(elsewhere))
      await query.isOver()
    } finally {
      await round.signal(home, 'SIGCONT')
    }
    await round.whole()
  }
}

/** Of one that streams there is a record; of one that runs only its tasks are left. */
async function onceOrphaned(round: Round, { home, elsewhere }: Places): Promise<void> {
  {
    await using query = await Cancellable.ask(round, home, { sql: STREAM_SQL })
    await query.begin()
    await round.signal(home, 'SIGKILL')
    await query.cancelAt(elsewhere)
    await query.isOver()
    await round.whole()
  }
  await using query = await Cancellable.ask(round, home, { sql: LONG_SQL })
  await query.runs()
  await round.signal(home, 'SIGKILL')
  await query.cancel()
  await query.isOver()
  await round.whole()
}

async function client(round: Round, id: string, set = {}): Promise<Database> {
  const { database } = round.options
  const address = (await round.process(id))?.address ?? ''
  return connect({ endpoints: [address], database, set: { ...set } })
}

const released = (round: Round, what: string): Promise<void> =>
  round.until('tidy', round.bound(RELEASED_MS), async () => {
    const left = await leftOfQueries(round.options.target)
    return left === undefined ? undefined : `of ${what} that were cancelled ${left}`
  })

/** A query of a client of its own. */
class Cancellable implements AsyncDisposable {
  readonly #round: Round
  readonly #home: string
  readonly #db: Database
  readonly #stream: QueryStream
  /** How it ended, and undefined until then. */
  #end: string | undefined
  hasMoved = false

  private constructor(round: Round, home: string, parts: { db: Database; sql: string }) {
    this.#round = round
    this.#home = home
    this.#db = parts.db
    this.#stream = parts.db.stream(parts.sql, [], { onMoved: () => (this.hasMoved = true) })
    this.#stream.finished.then(
      () => (this.#end = 'finished'),
      (error: unknown) => (this.#end = error instanceof SqlError ? error.error : String(error)),
    )
  }

  /** Sends the statement to a coordinator. */
  static async ask(
    round: Round,
    home: string,
    how: { readonly sql: string; readonly set?: Readonly<Record<string, string>> },
  ): Promise<Cancellable> {
    const db = await client(round, home, how.set)
    return new Cancellable(round, home, { db, sql: how.sql })
  }

  /** The coordinator that has it says that it is in one of these states. */
  async is(states: readonly string[]): Promise<void> {
    const address = (await this.#round.process(this.#home))?.address ?? ''
    let last: string | undefined
    await this.#round.until('errors', this.#round.bound(MOVED_MS), async () => {
      const status = await statusAt(address)
      last = status?.queries.find(({ id }) => id === this.#stream.id)?.state ?? this.#end
      return last !== undefined && states.includes(last)
        ? undefined
        : `the query is ${last ?? 'unknown'}, and not ${states.join(' or ')}`
    })
  }

  /** The coordinator that had it answers, and has it no more. */
  async isGone(): Promise<void> {
    const address = (await this.#round.process(this.#home))?.address ?? ''
    await this.#round.until('tidy', this.#round.bound(RELEASED_MS), async () => {
      const status = await statusAt(address)
      if (status === undefined) return `${this.#home} does not answer`
      const query = status.queries.find(({ id }) => id === this.#stream.id)
      return query === undefined ? undefined : `a cancelled query is ${query.state}`
    })
  }

  /** Some executor works for it. */
  async runs(): Promise<void> {
    await this.is(['running', 'streaming'])
    await this.#round.until('struck', this.#round.bound(MOVED_MS), async () =>
      (await leftOfQueries(this.#round.options.target)) === undefined
        ? 'no executor works for the query'
        : undefined,
    )
  }

  /** Some of its rows have come, and the rest waits. */
  async begin(): Promise<void> {
    await this.#stream.columnBatches().next()
  }

  cancel(): Promise<void> {
    return this.#stream.cancel()
  }

  /** Has another coordinator cancel it, as anybody can. */
  async cancelAt(elsewhere: Database): Promise<void> {
    let told: SqlError | undefined
    try {
      await elsewhere.cancelQuery(this.#stream.id ?? '')
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      told = error
    }
    await this.#round.until('errors', 0, () =>
      told === undefined ? undefined : `cancelQuery fails with ${told.error}: ${told.message}`,
    )
  }

  /** Its client is told so. */
  async ended(): Promise<void> {
    await this.#round.until('errors', this.#round.bound(MOVED_MS), () =>
      this.#end === undefined ? 'the client of a cancelled query still waits' : undefined,
    )
    await this.#round.until('errors', 0, () =>
      CANCELLED.has(this.#end ?? '') ? undefined : `a cancelled query ends with ${this.#end}`,
    )
  }

  /** Nothing of it is left in time, and its client is told. Only where no other query runs. */
  async isOver(): Promise<void> {
    await released(this.#round, 'a query')
    await this.ended()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream.cancel()
    await this.#db.close()
  }
}
