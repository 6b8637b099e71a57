import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  circumstancesOf,
  type FaultRow,
  isMet,
  lineOf,
  readRows,
  withTable,
} from './failover-results.ts'

const README = new URL('../../../README.md', import.meta.url)

const row: FaultRow = {
  name: 'leader-kill',
  fault: 'leader SIGKILL',
  what: 'new leader',
  samplesMs: Array.from({ length: 200 }, (_, i) => i + 1),
  goal: { p: 0.99, ms: 199 },
  bad: [],
  calls: 900,
  secondsPerInjection: 2,
  measuredAt: '2026-11-22',
  machine: 'a machine',
  load: 1.5,
}

t.test('the README shows the rows that were measured, and no others', async (t) => {
  const readme = readFileSync(README, 'utf8')
  t.equal(withTable(readme, await readRows()), readme)
})

t.test('a row tells its percentiles, and whether the goal was met', async (t) => {
  t.equal(
    lineOf(row),
    '| leader SIGKILL | new leader | 200 | 101 ms | 199 ms | 200 ms | p99 ≤ 199 ms | yes | 900 |',
  )
  t.ok(isMet(row))
  t.notOk(isMet({ ...row, goal: { p: 0.99, ms: 198 } }), 'late')
  t.notOk(isMet({ ...row, goal: { p: 1, ms: 199 } }), 'late once, where none may be')
  t.notOk(isMet({ ...row, bad: ['2 rows lost, 0 doubled'] }), 'in time, but wrong')
  t.notOk(isMet({ ...row, samplesMs: [] }), 'not measured')
})

t.test('a README without a place for the table is refused', async (t) => {
  t.throws(() => withTable('# Nyala', [row]), /has no/)
})

t.test('a machine is named once, and days only where they differ', async (t) => {
  const other = { ...row, fault: 'leader SIGSTOP', load: 3 }
  t.equal(
    circumstancesOf([row, row, other]),
    'Measured on 2026-11-22, loads of 1.5 to 3.0 before: a machine.',
  )
  t.match(
    circumstancesOf([row, { ...row, clusters: 3 }]),
    / Clusters struck at once: 1 \(.+\), 3 \(.+\)\.$/,
  )
  t.equal(
    circumstancesOf([row, { ...other, measuredAt: '2026-11-23', load: 1.5 }]),
    'Measured on 2026-11-22 (leader SIGKILL), 2026-11-23 (leader SIGSTOP), a load of 1.5 before: a machine.',
  )
})
