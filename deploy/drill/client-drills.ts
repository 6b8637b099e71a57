import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect, type Database, SqlError } from '@nyala/client'
import { CLIENT_GRACE_MS } from '@nyala/coordinator/failover'
import { STREAM_SQL, StreamTally } from './facts.ts'
import { leftOfQueries } from './leftovers.ts'
import type { Drill, Round } from './round.ts'

/** Drills of clients that vanish. */
export const CLIENT_DRILLS: readonly Drill[] = [
  {
    name: 'client-returns',
    summary: 'SIGKILL of a client in the midst of a result; another process attaches to the query',
    load: ['small', 'divided'],
    bounds: { stallMs: 3_000 },
    run: returnToQuery,
    mutant: { name: 'no-rerun-after-rows', fails: ['exact'] },
  },
  {
    name: 'client-lost',
    summary: `SIGKILL of a client in the midst of a result; nobody comes for ${CLIENT_GRACE_MS / 1_000} s`,
    load: ['write'],
    bounds: { stallMs: 3_000 },
    run: loseClient,
    mutant: { name: 'no-idle-end', fails: ['tidy'] },
  },
]

/** The end of a query, and what is released for it, once nobody waits for it any more. */
const RELEASE_MS = 2_000
const CLIENT_START_MS = 15_000

/** A client that has read a part of a result, in a process of its own. */
interface Reader {
  readonly process: ChildProcess
  readonly query: string
  readonly coordinator: string
  readonly rows: number
}

async function startReader(round: Round): Promise<Reader> {
  const { target, database, facts } = round.options
  const program = fileURLToPath(new URL('./client-main.js', import.meta.url))
  // Enough that executors have let go of what it has.
  const wanted = String(Math.ceil(facts.stream.rows / 3))
  const child = spawn(process.execPath, [program, target.url, database, STREAM_SQL, wanted], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    let said: Omit<Reader, 'process'> | undefined
    createInterface({ input: child.stdout }).once('line', (line) => {
      said = JSON.parse(line) as Omit<Reader, 'process'>
    })
    await round.until('struck', round.bound(CLIENT_START_MS), () =>
      said === undefined ? 'the client has read nothing yet' : undefined,
    )
    if (said === undefined) throw new Error('unreachable')
    const { rows } = said
    await round.until('struck', 0, () =>
      rows < facts.stream.rows ? undefined : 'the client was given the whole result',
    )
    return { ...said, process: child }
  } catch (error) {
    await end(child)
    throw error
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Starts a client, and ends it at once when it is in the midst of a result: the id of that. */
async function killReader(round: Round): Promise<string> {
  const reader = await startReader(round)
  round.began(`a client of ${reader.coordinator}`)
  await end(reader.process)
  return reader.query
}

/** Whoever attaches gets the whole result, whatever the one before was given of it. */
async function returnToQuery(round: Round): Promise<void> {
  const query = await killReader(round)
  await using db = await connect({
    url: round.options.target.url,
    database: round.options.database,
  })
  const wrong = await attachedWrong(db, query, round)
  await round.until('exact', 0, () => wrong)
}

async function attachedWrong(
  db: Database,
  query: string,
  { options: { facts } }: Round,
): Promise<string | undefined> {
  const tally = new StreamTally(facts.stream.idMax)
  try {
    for await (const batch of db.attach(query).columnBatches()) {
      tally.addBatch(batch)
    }
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return `attached to ${query} and was told ${error.error}: ${error.message}`
  }
  const { rows, doubled, checksum } = tally
  const isRight = rows === facts.stream.rows && checksum === facts.stream.checksum
  return isRight ? undefined : `${rows} of ${facts.stream.rows} rows came, ${doubled} twice`
}

/** Nobody comes for the rest of its result: at the documented time it is ended, and nothing of it is left anywhere. */
async function loseClient(round: Round): Promise<void> {
  const { target } = round.options
  await killReader(round)
  const held = await leftOfQueries(target)
  await round.until('whole', 0, () =>
    held === undefined ? 'the query was ended at once: its client could not come back' : undefined,
  )
  await round.until('tidy', CLIENT_GRACE_MS + round.bound(RELEASE_MS), () => leftOfQueries(target))
}
