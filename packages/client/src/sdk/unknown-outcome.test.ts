import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../base/clock.ts'
import { type FakeCall, FakeCoordinator } from '../testing/fake-coordinator.ts'
import { connectOn, type Database } from './database.ts'
import { nodePlatform } from './platform-node.ts'

const UNKNOWN = { error: 'commit_outcome_unknown', message: 'no answer' } as const
const DONE = { command: 'INSERT', rows: 1 } as const

/** What a coordinator does with a statement, and how long it takes: by the clock of the client, not by that of the test. */
interface Step {
  readonly afterMs: number
  readonly is: 'unknown' | 'lost' | 'done'
}

const unknown = (afterMs: number): Step => ({ is: 'unknown', afterMs })
const lost = (afterMs: number): Step => ({ is: 'lost', afterMs })
const DONE_AT_ONCE: Step = { is: 'done', afterMs: 0 }

/** Two coordinators, and a client whose time passes only as the steps say. */
async function setUp(test: Test, steps: readonly Step[]) {
  let passedMs = 0
  const sent: string[] = []
  const changes = (): readonly string[] => sent.filter((sql) => /^insert|^commit/i.test(sql))
  const onStatement = async (call: FakeCall): Promise<void> => {
    const { sql, session } = call.statement
    sent.push(sql)
    if (/^begin$/i.test(sql)) {
      const transaction = { id: 'x1', coordinator: call.coordinator.id, failed: false }
      return call.answer({ command: 'BEGIN', session: { ...session, transaction } })
    }
    const step = steps[changes().length - 1]
    if (step === undefined) throw new Error(`"${sql}" is sent once more`)
    call.accept()
    passedMs += step.afterMs
    if (step.is === 'lost') call.coordinator.cutClients()
    else if (step.is === 'unknown') call.fail(UNKNOWN)
    else call.finish(DONE)
  }
  const fakes = [
    await FakeCoordinator.start({ id: 'c1', onStatement }),
    await FakeCoordinator.start({ id: 'c2', onStatement }),
  ]
  const clock: Clock = { ...systemClock, now: () => passedMs }
  const db: Database = await connectOn({ ...nodePlatform, clock })({
    endpoints: fakes.map((fake) => fake.address),
    retry: { minDelay: 1, maxDelay: 5, attempts: 4 },
    discover: false,
  })
  test.teardown(async () => {
    await db.close()
    for (const fake of fakes) await fake.close()
  })
  return { db, sent, changes }
}

const INSERT = 'insert into t values (1)'

t.test('an unknown outcome that took its coordinator its time is told at once', async (t) => {
  for (const afterMs of [4_500, 1_000]) {
    const { db, changes } = await setUp(t, [unknown(afterMs)])
    const statementId = `my-insert-${afterMs}`
    const told = { name: 'CommitUnknownError', code: '40003', statementId }
    await t.rejects(db.execute(INSERT, [], { statementId }), told)
    t.equal(changes().length, 1)
  }
})

t.test('an unknown outcome that came quickly is asked for once more', async (t) => {
  const { db, changes } = await setUp(t, [unknown(20), DONE_AT_ONCE])
  t.match(await db.execute(INSERT), { rowCount: 1 })
  t.equal(changes().length, 2)
})

t.test('quick answers have one time together, after which the outcome is told', async (t) => {
  const { db, changes } = await setUp(t, [unknown(200), unknown(200), unknown(200)])
  await t.rejects(db.execute(INSERT), { code: '40003' })
  t.equal(changes().length, 3)
})

t.test('what a lost coordinator took does not count for the one after it', async (t) => {
  const steps = [lost(3_000), lost(4_500), unknown(20), DONE_AT_ONCE]
  const { db, changes } = await setUp(t, steps)
  t.match(await db.execute(INSERT), { rowCount: 1 })
  t.equal(changes().length, 4)
  const late = await setUp(t, [lost(3_000), unknown(4_500)])
  await t.rejects(late.db.execute(INSERT), { code: '40003' })
  t.equal(late.changes().length, 2)
})

t.test(
  'in a transaction only COMMIT has an unknown outcome, and nothing else is repeated',
  async (t) => {
    for (const afterMs of [20, 4_500]) {
      const { db, sent } = await setUp(t, [unknown(afterMs)])
      const session = await db.session()
      await session.execute('begin')
      await t.rejects(session.execute(INSERT), {
        code: '57P05',
        retryable: true,
        statementId: undefined,
        message: /nothing of the statement was done.*no answer/,
        hint: /ROLLBACK/,
      })
      t.strictSame(sent, ['begin', INSERT])
    }
    const { db, sent } = await setUp(t, [DONE_AT_ONCE, unknown(20), unknown(4_500)])
    const session = await db.session()
    await session.execute('begin')
    await session.execute(INSERT)
    await t.rejects(session.execute('commit'), { name: 'CommitUnknownError', code: '40003' })
    t.strictSame(sent, ['begin', INSERT, 'commit', 'commit'])
  },
)

/** Runs a transaction of one INSERT with many retries, and tells how often it was run and how it failed. */
async function runTransaction(db: Database) {
  let runs = 0
  const run = db.transaction(
    async (session) => {
      runs++
      await session.execute(INSERT)
    },
    { retries: 5 },
  )
  const error: unknown = await run.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  return { runs, error }
}

t.test(
  'a transaction whose COMMIT is unknown is not run again, however many retries',
  async (t) => {
    const { db, sent } = await setUp(t, [DONE_AT_ONCE, unknown(4_500)])
    const { runs, error } = await runTransaction(db)
    t.match(error, { name: 'CommitUnknownError', code: '40003', statementId: /./ })
    t.equal(runs, 1, 'it may have been committed')
    t.strictSame(
      sent.filter((sql) => !/^rollback$/i.test(sql)),
      ['BEGIN', INSERT, 'COMMIT'],
    )
  },
)

t.test('nor is one whose COMMIT was lost with its coordinator each time', async (t) => {
  const { db, sent } = await setUp(t, [DONE_AT_ONCE, lost(10), lost(10), lost(10), unknown(4_500)])
  const { runs, error } = await runTransaction(db)
  t.match(error, { name: 'CommitUnknownError', code: '40003' })
  t.equal(runs, 1)
  t.equal(sent.filter((sql) => sql === 'BEGIN').length, 1)
})
