import t from 'tap'
import { systemClock } from '../base/clock.ts'
import { Prng } from '../base/prng.ts'
import { SqlError } from '../protocol/errors.ts'
import { type FakeCall, FakeCoordinator } from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { connect, type Database } from './index.ts'

const ROUNDS = 150
const ROWS = 200
const ANSWER = numbersAnswer(ROWS, 10)

/** Plays a statement with a fault at random places: a cut, a damaged, skipped or repeated frame, a wrong end, an error. */
async function playBadly(call: FakeCall, prng: Prng, executed: string[]): Promise<void> {
  const fault = (): boolean => prng.chance(0.004)
  if (fault()) return call.coordinator.cutClients()
  if (prng.chance(0.05)) {
    return call.fail({ error: 'cannot_connect_now', message: 'shutting down' })
  }
  call.accept()
  if (fault()) return call.coordinator.cutClients()
  const { statementId } = call.statement
  const isKept = call.sql.startsWith('insert')
  if (isKept || call.sql.startsWith('kill')) {
    // The outcome of an INSERT is kept: sent again, it is but told again.
    if (!isKept || !executed.includes(statementId)) executed.push(statementId)
    if (prng.chance(isKept ? 0.3 : 0.15)) return call.coordinator.cutClients()
    return call.finish({ command: isKept ? 'INSERT' : 'KILL QUERY', rows: 1 })
  }
  call.columns(ANSWER.columns ?? [])
  for (const [i, message] of (ANSWER.messages ?? []).entries()) {
    if (fault()) return call.coordinator.cutClients()
    const change = fault() ? prng.pick([{ crc: 1 }, { sequence: i + 1 }, { sequence: 0 }]) : {}
    if (!(await call.frame(message, change))) return
    // Lets the reader run now and then, so that faults come before and after rows were handed out.
    if (prng.chance(0.3)) await systemClock.sleep(1)
  }
  call.finish(fault() ? { rows: ROWS + 1 } : {})
}

async function readAll(db: Database): Promise<{ rows: number; error: unknown }> {
  let rows = 0
  try {
    for await (const row of db.stream<{ n: bigint }>('select 1')) {
      if (row.n !== BigInt(rows)) throw new Error(`row ${row.n} came where ${rows} was due`)
      rows++
    }
    return { rows, error: undefined }
  } catch (error) {
    if (error instanceof SqlError) return { rows, error }
    throw error
  }
}

t.test(
  'under random faults rows are exact up to an error, and no write is done twice',
  async (t) => {
    const seed = 20_261_122
    const prng = new Prng(seed)
    const executed: string[] = []
    const play = (call: FakeCall): Promise<void> => playBadly(call, prng, executed)
    const fakes = await Promise.all(
      ['c1', 'c2', 'c3'].map((id) => FakeCoordinator.start({ id, onStatement: play })),
    )
    const db = await connect({
      endpoints: fakes.map((fake) => fake.address),
      retry: { minDelay: 1, maxDelay: 4 },
    })
    let complete = 0
    let broken = 0
    let written = 0
    let unknown = 0
    for (let round = 0; round < ROUNDS; round++) {
      const [first, second, write] = await Promise.all([
        readAll(db),
        readAll(db),
        db
          .execute(round % 2 === 0 ? 'insert into t values (1)' : "kill query 'q1'")
          .catch((error: unknown) => error),
      ])
      for (const { rows, error } of [first, second]) {
        if (error === undefined) {
          if (rows !== ROWS) t.fail(`seed ${seed}, round ${round}: ${rows} rows looked complete`)
          complete++
        } else {
          t.match(error, { code: /^08006$|^57P03$/ }, `seed ${seed}, round ${round}`)
          broken++
        }
      }
      if (!(write instanceof Error)) written++
      else {
        t.match(write, { code: /^40003$|^57P03$/ }, `seed ${seed}, round ${round}`)
        if ((write as SqlError).code === '40003') unknown++
      }
    }
    t.equal(new Set(executed).size, executed.length, `seed ${seed}: no write ran twice`)
    t.ok(executed.length >= written, 'what was told as done was done')
    t.ok(executed.length <= written + unknown, 'what was told as not done was not done')
    t.ok(complete > ROUNDS / 2, `${complete} results were complete`)
    t.ok(broken > ROUNDS / 20, `${broken} ended in an error`)
    t.ok(unknown > 5, `${unknown} writes had an unknown outcome`)
    await db.close()
    await Promise.all(fakes.map((fake) => fake.close()))
  },
)
