import t from 'tap'
import { KvError, type KvErrorKind } from './kv.ts'
import { COMMIT_BUDGET_MS, repeatCommit, repeatRead, sameDoneTwice, toSqlError } from './retry.ts'
import { fails } from './testing/failures.ts'
import { inWorld } from './testing/world.ts'

const request = {
  compares: [{ kind: 'absent', key: '/a' }],
  success: [{ kind: 'put', key: '/a', value: 'x' }],
  failure: [{ kind: 'get', key: '/a' }],
} as const

await inWorld(
  t,
  'a commit is repeated until it is answered, and says whether that was the first time',
  async (t, world) => {
    let calls = 0
    const kv = world.connect({ fate: () => (calls++ < 3 ? 'unavailable' : 'pass') })
    const { result, ambiguous } = await repeatCommit(world.on(kv), request)
    t.equal(result.succeeded, true)
    t.equal(ambiguous, false)
    kv.faults = { fate: () => (calls++ === 4 ? 'loseRequest' : 'pass') }
    t.equal((await repeatCommit(world.on(kv), request)).ambiguous, true)
  },
)

await inWorld(t, 'repeating ends with its budget or its signal', async (t, world) => {
  const kv = world.connect()
  kv.cut()
  const began = world.clock.now()
  await fails(t, 'metastore_unavailable', repeatCommit(world.on(kv), request))
  const elapsed = world.clock.now() - began
  t.ok(elapsed <= COMMIT_BUDGET_MS && elapsed > COMMIT_BUDGET_MS / 2, `${elapsed} ms`)
  await fails(
    t,
    'metastore_unavailable',
    repeatRead({ ...world.on(kv), budgetMs: 100 }, () => kv.get('/a')),
  )
  const signal = AbortSignal.abort(new Error('enough'))
  await t.rejects(repeatCommit({ ...world.on(kv), signal }, request), { message: 'enough' })
})

await inWorld(
  t,
  'a call that is not answered takes no more than what is left',
  async (t, world) => {
    const kv = world.connect({ fate: () => 'loseRequest' })
    const elapsedOf = async (work: () => Promise<unknown>): Promise<number> => {
      const began = world.clock.now()
      await t.rejects(work())
      return world.clock.now() - began
    }
    for (const budgetMs of [300, 1_700, COMMIT_BUDGET_MS]) {
      const options = { ...world.on(kv), budgetMs }
      const elapsed = [
        await elapsedOf(() => repeatCommit(options, request)),
        await elapsedOf(() => repeatRead(options, (call) => kv.get('/a', call))),
      ]
      for (const ms of elapsed) t.ok(ms <= budgetMs && ms > budgetMs / 3, `${ms} of ${budgetMs} ms`)
    }
  },
)

await inWorld(
  t,
  'an abort after a lost reply says that the outcome is unknown',
  async (t, world) => {
    for (const fate of ['loseReply', 'loseRequest'] as const) {
      const giveUp = new AbortController()
      let calls = 0
      const kv = world.connect({
        fate: () => {
          // Given up in the pause after a later attempt that was not even sent: the first one counts.
          if (++calls === 2) world.clock.after(1, () => giveUp.abort(new Error('enough')))
          return calls === 1 ? fate : 'unavailable'
        },
      })
      const options = { ...world.on(kv), signal: giveUp.signal }
      await fails(t, 'commit_outcome_unknown', repeatCommit(options, request))
      t.equal(calls, 2)
    }
    const giveUp = new AbortController()
    const kv = world.connect({
      fate: () => {
        world.clock.after(1, () => giveUp.abort(new Error('enough')))
        return 'unavailable'
      },
    })
    const options = { ...world.on(kv), signal: giveUp.signal }
    await t.rejects(repeatCommit(options, request), { message: 'enough' }, 'nothing was sent')
  },
)

await inWorld(t, 'a refusal for good is not repeated', async (t, world) => {
  const kv = world.connect()
  const twice = [...request.success, ...request.success]
  const began = world.clock.now()
  await fails(t, 'internal_error', repeatCommit(world.on(kv), { compares: [], success: twice }))
  await kv.close()
  await fails(
    t,
    'metastore_unavailable',
    repeatRead(world.on(kv), () => kv.get('/a')),
  )
  t.equal(world.clock.now(), began)
})

await t.test('every kind of failure has an error that a user can act on', async (t) => {
  const expected: Readonly<Record<KvErrorKind, string>> = {
    unavailable: 'metastore_unavailable',
    unknownOutcome: 'commit_outcome_unknown',
    compacted: 'metastore_unavailable',
    noSpace: 'disk_full',
    tooLarge: 'program_limit_exceeded',
    leaseNotFound: 'metastore_unavailable',
    unauthorized: 'metastore_unavailable',
    misconfigured: 'metastore_unavailable',
    invalid: 'internal_error',
    closed: 'metastore_unavailable',
  }
  for (const [kind, error] of Object.entries(expected)) {
    const cause = new KvError(kind as KvErrorKind, 'why')
    t.match(toSqlError(cause, false), { error, cause })
    t.match(toSqlError(cause, true), { error: 'commit_outcome_unknown' })
  }
})

await t.test('a change that may be done twice is never of unknown outcome', async (t) => {
  const told = (kind: KvErrorKind): Promise<never> =>
    sameDoneTwice(Promise.reject(toSqlError(new KvError(kind, 'why'), false)))
  await fails(t, 'metastore_unavailable', told('unknownOutcome'))
  await fails(t, 'program_limit_exceeded', told('tooLarge'))
  t.equal(await sameDoneTwice(Promise.resolve(1)), 1)
})
