import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { type Log, silentLog, systemClock } from '@nyala/client/base'
import t from 'tap'
import type { LocalCluster } from './cluster.ts'
import { callEtcd, differenceInEtcd, isEtcdHealthy, membersOfEtcd } from './etcd-calls.ts'
import { LauncherError } from './launcher-error.ts'
import { isPortFree } from './ports.ts'
import { isAlive, processBirth } from './process-identity.ts'
import { readState } from './state-file.ts'
import { type StartOptions, startLocalCluster } from './start.ts'
import { fakePrograms } from './testing/fake-programs.ts'
import { temporaryDirectory } from './testing/temporary-directory.ts'

const start = (dir: string, options: Partial<StartOptions> = {}): Promise<LocalCluster> =>
  startLocalCluster({
    dir,
    variables: process.env,
    programs: fakePrograms,
    coordinators: 2,
    executors: 1,
    ...options,
  })

/** What the fake member was started with. */
async function argumentsOf(address: string): Promise<Readonly<Record<string, unknown>>> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return JSON.parse(Buffer.concat(chunks).toString()) as Readonly<Record<string, unknown>>
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = systemClock.now() + 60_000
  while (!(await condition())) {
    if (systemClock.now() > deadline) throw new Error('waited 15 s in vain')
    await systemClock.sleep(10)
  }
}

t.setTimeout(120_000)

t.test('a cluster runs the processes it was asked for and leaves none', async (t) => {
  const dir = await temporaryDirectory(t)
  const cluster = await start(dir, { etcd: 3, threads: 2, memoryBytes: 1 << 28, roots: ['/usr'] })
  const { processes, url } = cluster
  t.same(
    processes.map(({ id, role }) => [id, role]),
    [
      ['etcd1', 'etcd'],
      ['etcd2', 'etcd'],
      ['etcd3', 'etcd'],
      ['c1', 'coordinator'],
      ['c2', 'coordinator'],
      ['e1', 'executor'],
    ],
  )
  const address = (id: string): string => processes.find((one) => one.id === id)?.address ?? ''
  t.equal(url, `nyala://${address('c1')},${address('c2')}/default`)
  t.same(await argumentsOf(address('e1')), {
    id: 'e1',
    cluster: 'local',
    etcd: cluster.etcdEndpoints.join(','),
    listen: address('e1'),
    dir: join(dir, 'data'),
    root: ['/usr', dir],
    threads: '2',
    memory: String(1 << 28),
  })
  t.match(await argumentsOf(address('c2')), { id: 'c2', threads: undefined })
  const state = await readState(dir)
  t.match(state, { url, state: 'ready', etcd: cluster.etcdEndpoints, cluster: 'local' })
  t.same(
    state?.processes.map(({ pid }) => pid),
    processes.map(({ pid }) => pid),
  )

  await cluster.stop()
  t.same(cluster.processes, [])
  for (const { pid } of processes) t.equal(await processBirth(pid), undefined)
  t.equal(await readState(dir), undefined)
})

t.test('the same directory can be started again with its data', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await start(dir)
  const { url, etcdEndpoints } = first
  const put = await fetch(`${etcdEndpoints[0] ?? ''}/v3/kv/put`, {
    method: 'POST',
    body: JSON.stringify({ key: btoa('kept'), value: btoa('yes') }),
  })
  t.equal(put.status, 200)
  await first.stop()
  await using second = await start(dir)
  t.same(second.etcdEndpoints, etcdEndpoints)
  t.not(second.url, url, 'coordinators and executors may move')
  const got = await fetch(`${etcdEndpoints[0] ?? ''}/v3/kv/range`, {
    method: 'POST',
    body: JSON.stringify({ key: btoa('kept') }),
  })
  t.match(await got.json(), { kvs: [{ value: btoa('yes') }] })
})

t.test('data of three etcd members is not opened with one', async (t) => {
  const dir = await temporaryDirectory(t)
  await (await start(dir, { etcd: 3 })).stop()
  await t.rejects(start(dir, { etcd: 1 }), { exitCode: 3, message: /data of 3 etcd members/ })
})

t.test('a second cluster in a directory in use is refused', async (t) => {
  const dir = await temporaryDirectory(t)
  await using cluster = await start(dir)
  await t.rejects(start(dir), {
    message: `a cluster already runs in "${dir}": ${cluster.url}`,
    exitCode: 3,
    hint: /nyala down/,
  })
  t.equal(cluster.processes.length, 4, 'the first one goes on')
})

t.test('what a crashed supervisor wrote does not stop the next one', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await start(dir)
  const path = join(dir, 'cluster.json')
  const left = readFileSync(path)
  await first.stop()
  // The same process numbers, all gone or somebody else's: this test runs under one of them.
  const stale = JSON.parse(left.toString()) as { supervisor: { birth: string } }
  stale.supervisor.birth = 'another/1'
  await writeFile(path, JSON.stringify(stale))
  await using second = await start(dir)
  t.match(await readState(dir), { state: 'ready', url: second.url })
})

t.test('a taken port is named', async (t) => {
  const dir = await temporaryDirectory(t)
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const error = await start(dir, { portBase: port - 1 }).catch((e: unknown) => e)
  t.match(error, { exitCode: 3, message: `port ${port} of "c1" on 127.0.0.1 is already in use` })
  t.ok(error instanceof LauncherError)
  t.notOk(existsSync(join(dir, 'cluster.json')))
})

t.test('a member that does not start takes the rest down and its log is quoted', async (t) => {
  const dir = await temporaryDirectory(t)
  const variables = { ...process.env, FAKE_MEMBER: 'refuse' }
  await t.rejects(start(dir, { variables }), {
    message: /executor "e1" at 127.0.0.1:\d+ did not start: exited with code 1/,
    hint: /the disk is on fire/,
  })
  t.equal(await readState(dir), undefined)
})

t.test('a killed member comes back at the same address when asked to', async (t) => {
  const dir = await temporaryDirectory(t)
  await using cluster = await start(dir)
  const before = cluster.processes.find((one) => one.id === 'c2')
  t.ok(before)
  cluster.kill('c2')
  await cluster.exited('c2')
  t.notOk(cluster.processes.some((one) => one.id === 'c2'))
  t.throws(() => cluster.kill('c2'), { message: '"c2" does not run' })
  await cluster.restart('c2')
  const after = cluster.processes.find((one) => one.id === 'c2')
  t.equal(after?.address, before?.address)
  t.not(after?.pid, before?.pid)
  t.throws(() => cluster.kill('c9'), { message: 'no member "c9" in the cluster' })
})

t.test('a supervised member comes back by itself, etcd too', async (t) => {
  const dir = await temporaryDirectory(t)
  await using cluster = await start(dir, { restart: true })
  for (const id of ['e1', 'etcd1']) {
    const find = () => cluster.processes.find((one) => one.id === id)
    const before = find()
    cluster.kill(id)
    await until(() => find() !== undefined && find()?.pid !== before?.pid)
    await until(async () => !(await isPortFree(Number(before?.address.split(':')[1]))))
    t.equal(find()?.address, before?.address)
    // The first new process may find its port still taken and be followed by another.
    const recorded = async () => (await readState(dir))?.processes.find((one) => one.id === id)
    await until(async () => {
      const pid = (await recorded())?.pid
      return pid !== undefined && pid !== before?.pid && pid === find()?.pid
    })
  }
})

t.test(
  'a member of etcd that has lost its data joins anew, and has what the others have',
  async (t) => {
    const dir = await temporaryDirectory(t)
    const data = join(dir, 'etcd', 'etcd1')
    const lose = (): Promise<void> => rm(data, { recursive: true })
    const first = await start(dir, { etcd: 3, restart: true })
    const [own = ''] = first.etcdEndpoints
    const idOf = async (name: string): Promise<string | undefined> =>
      (await membersOfEtcd(own)).find((one) => one.name === name)?.ID
    const ids = [await idOf('etcd1'), await idOf('etcd2')]
    await callEtcd(own, 'kv/put', { key: btoa('kept'), value: btoa('yes') })
    // So that it notices nothing before it is gone.
    first.kill('etcd1', 'SIGSTOP')
    await lose()
    first.kill('etcd1', 'SIGKILL')
    await until(async () => (await isEtcdHealthy(own)) && (await idOf('etcd1')) !== undefined)
    t.not(await idOf('etcd1'), ids[0], 'it has another id')
    t.equal(await idOf('etcd2'), ids[1], 'the others have theirs')
    t.equal(await differenceInEtcd(first.etcdEndpoints), undefined)
    await first.stop()

    // It would be the first to be started.
    await lose()
    await using second = await start(dir, { etcd: 3 })
    const serializable = { key: btoa('kept'), serializable: true }
    t.match(await callEtcd(own, 'kv/range', serializable), { kvs: [{ value: btoa('yes') }] })
    t.equal(await differenceInEtcd(second.etcdEndpoints), undefined)
  },
)

t.test('the only member of etcd does not start without what it had', async (t) => {
  const dir = await temporaryDirectory(t)
  await (await start(dir)).stop()
  await rm(join(dir, 'etcd', 'etcd1'), { recursive: true })
  await t.rejects(start(dir), { message: /the data of etcd's only member "etcd1" is gone/ })
})

t.test('of several clusters opened in one directory at once one starts', async (t) => {
  const dir = await temporaryDirectory(t)
  // Of a start that was killed: its process is gone.
  await symlink('4194305 another/1', join(dir, 'start.lock'))
  const opened = await Promise.allSettled([start(dir), start(dir), start(dir)])
  const [cluster, another] = opened.flatMap((one) =>
    one.status === 'fulfilled' ? [one.value] : [],
  )
  t.teardown(() => Promise.all([cluster?.stop(), another?.stop()]))
  t.ok(cluster)
  t.equal(another, undefined)
  for (const one of opened) {
    if (one.status === 'rejected') {
      t.match(one.reason, { exitCode: 3, message: `another cluster is just starting in "${dir}"` })
    }
  }
  t.match(await readState(dir), { url: cluster?.url, etcd: cluster?.etcdEndpoints })
  t.same((await readdir(dir)).sort(), ['cluster.json', 'data', 'etcd', 'layout.json', 'logs'])
})

t.test('members are stopped also where nothing can be written down', async (t) => {
  const dir = await temporaryDirectory(t)
  const cluster = await start(dir)
  t.teardown(() => cluster.stop())
  const state = await readState(dir)
  // What is written first, under a name that is taken, cannot be written: as on a full disk.
  await mkdir(join(dir, `cluster.json.${process.pid}.next`))
  await cluster.stop()
  t.equal(state?.processes.length, 4)
  for (const one of state?.processes ?? []) t.equal(await isAlive(one), false, one.id)
  t.equal(await readState(dir), undefined)
})

t.test('a member for which no process can be made is tried again and again', async (t) => {
  const dir = await temporaryDirectory(t)
  const failures: unknown[] = []
  const log: Log = {
    ...silentLog,
    warn: (event, fields) => {
      if (event === 'memberRestartFailed') failures.push(fields?.['error'])
    },
  }
  await using cluster = await start(dir, { restart: true, log })
  const find = () => cluster.processes.find((one) => one.id === 'e1')
  const before = find()
  await rename(join(dir, 'logs'), join(dir, 'elsewhere'))
  cluster.kill('e1')
  await until(() => failures.length >= 2)
  t.match(failures[0], { message: /executor "e1" at .* did not start: .*ENOENT/ })
  t.equal(find(), undefined)
  await rename(join(dir, 'elsewhere'), join(dir, 'logs'))
  await until(() => find() !== undefined)
  t.equal(find()?.address, before?.address)
})

t.test('a paused member does not hold up the end', async (t) => {
  const dir = await temporaryDirectory(t)
  const cluster = await start(dir)
  cluster.kill('e1', 'SIGSTOP')
  const started = systemClock.now()
  await cluster.stop()
  t.ok(systemClock.now() - started < 5_000)
})

t.test('members that ignore the request to stop are killed', async (t) => {
  const dir = await temporaryDirectory(t)
  const cluster = await start(dir, { variables: { ...process.env, FAKE_MEMBER: 'deaf' } })
  const state = await readState(dir)
  const stopped = cluster.stop()
  cluster.killNow()
  await stopped
  for (const one of state?.processes ?? []) t.equal(await isAlive(one), false)
})
