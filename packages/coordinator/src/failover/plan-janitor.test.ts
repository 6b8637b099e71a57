import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@nyala/client/base'
import type { LoggedQuery } from '@nyala/metastore'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { PLAN_GRACE_MS, PlanJanitor, planSweep } from './plan-janitor.ts'
import { ResultPlans } from './result-plan.ts'

t.test('a file is nobody’s when it was seen long enough without a record', (t) => {
  const recorded = new Set(['q2'])
  const files = ['q1.json', 'q2.json', 'q3.json.tmp']
  const [first, none] = planSweep(new Map(), { files, recorded }, 5)
  t.same(none, [])
  const [, early] = planSweep(first, { files, recorded }, 4 + PLAN_GRACE_MS)
  t.same(early, [])
  const [, due] = planSweep(first, { files, recorded }, 5 + PLAN_GRACE_MS)
  t.same(due, ['q1.json', 'q3.json.tmp'])
  const [between] = planSweep(first, { files, recorded: new Set(['q1', 'q2']) }, 6)
  t.same(planSweep(between, { files, recorded }, 5 + PLAN_GRACE_MS)[1], ['q3.json.tmp'], 'anew')
  t.end()
})

t.test('the leader removes plans that no query has', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const directory = join(dir, 'queries')
  const left = (): readonly string[] => readdirSync(directory).toSorted()
  const clock = new ManualClock()
  const late = { record: { id: 'late' } } as LoggedQuery
  let isLeader = false
  const janitor = new PlanJanitor({
    plans: new ResultPlans(dir),
    // The view does not show the record yet, the store has it.
    queryLog: {
      queries: () => [],
      read: (id) => Promise.resolve(id === 'late' ? late : undefined),
    },
    clock,
    log: silentLog,
    isLeader: () => isLeader,
  })
  await janitor.sweep()
  isLeader = true
  await janitor.sweep()
  mkdirSync(directory)
  for (const name of ['late.json', 'q1.json', 'q1.json.tmp', 'notes.txt']) {
    writeFileSync(join(directory, name), '{}')
  }
  await janitor.sweep()
  t.equal(left().length, 4)
  await clock.advance(PLAN_GRACE_MS)
  isLeader = false
  await janitor.sweep()
  isLeader = true
  await janitor.sweep()
  t.equal(left().length, 4, 'a new leader waits as long again')
  await clock.advance(PLAN_GRACE_MS)
  await janitor.sweep()
  t.same(left(), ['late.json', 'notes.txt'])
})
