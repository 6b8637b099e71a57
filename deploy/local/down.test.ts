import { writeFileSync } from 'node:fs'
import { systemClock } from '@nyala/client/base'
import t from 'tap'
import { stopCluster } from './down.ts'
import { pathsOf } from './layout.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { type ClusterState, createState, readState } from './state-file.ts'
import { temporaryDirectory } from './testing/temporary-directory.ts'

const member = (id: string, role: 'etcd' | 'executor', pid: number) => ({
  id,
  role,
  address: `127.0.0.1:${pid}`,
  pid,
  birth: `boot/${pid}`,
})

const state = (supervisorPid: number, pids: readonly [number, number]): ClusterState => ({
  format: 1,
  cluster: 'local',
  url: 'nyala://127.0.0.1:1/default',
  state: 'ready',
  etcd: [],
  roots: [],
  startedAt: 0,
  supervisor: { pid: supervisorPid, birth: `boot/${supervisorPid}` },
  processes: [member('etcd1', 'etcd', pids[0]), member('e1', 'executor', pids[1])],
})

/** Processes that end when they are told to; `onSignal` is what else happens then. */
function processTable(running: readonly ProcessIdentity[], onSignal: (pid: number) => unknown) {
  const alive = new Map(running.map(({ pid, birth }) => [pid, birth]))
  const signalled: number[] = []
  return {
    alive,
    signalled,
    isAlive: ({ pid, birth }: ProcessIdentity) => Promise.resolve(alive.get(pid) === birth),
    sendSignal: (pid: number) => {
      signalled.push(pid)
      alive.delete(pid)
      onSignal(pid)
      return true
    },
  }
}

t.test('a process that took the number of an etcd that ended is left alone', async (t) => {
  const dir = await temporaryDirectory(t)
  const before = state(1, [11, 12])
  await createState(dir, before)
  const table = processTable(before.processes, (pid) => {
    if (pid === 12) table.alive.set(11, 'boot/somebody-else')
  })
  t.equal(await stopCluster(dir, systemClock, table), 2)
  t.notOk(table.signalled.includes(11))
  t.equal(table.alive.get(11), 'boot/somebody-else')
  t.equal(await readState(dir), undefined)
})

t.test(
  'a cluster that starts in the directory while another is stopped is left alone',
  async (t) => {
    const dir = await temporaryDirectory(t)
    const [before, next] = [state(1, [11, 12]), state(2, [21, 22])]
    await createState(dir, before)
    const table = processTable([before.supervisor, ...next.processes, next.supervisor], (pid) => {
      // The supervisor removed its state, and the next one is faster than we are.
      if (pid === 1) writeFileSync(pathsOf(dir).state, JSON.stringify(next))
    })
    t.equal(await stopCluster(dir, systemClock, table), 1)
    t.same([...new Set(table.signalled)], [1])
    t.same(await readState(dir), next)
  },
)
