import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ListeningPids } from './listening-pid.ts'

/** A directory that looks as /proc does: sockets that listen, and the descriptors of processes. */
async function openProc(test: Test) {
  const proc = await mkdtemp(join(tmpdir(), 'nyala-proc-'))
  test.teardown(() => rm(proc, { recursive: true, force: true }))
  await mkdir(join(proc, 'net'))
  return {
    proc,
    /** Inodes of listening sockets by port. */
    listen: async (sockets: Readonly<Record<number, number>>): Promise<void> => {
      const lines = Object.entries(sockets).map(([port, inode]) => {
        const local = `0100007F:${Number(port).toString(16).toUpperCase().padStart(4, '0')}`
        return `   0: ${local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 ${inode} 1`
      })
      await writeFile(join(proc, 'net', 'tcp'), ['  sl  local_address …', ...lines, ''].join('\n'))
    },
    hold: async (pid: number, ...inodes: readonly number[]): Promise<void> => {
      const directory = join(proc, String(pid), 'fd')
      await rm(join(proc, String(pid)), { recursive: true, force: true })
      await mkdir(directory, { recursive: true })
      for (const [i, inode] of inodes.entries()) {
        await symlink(`socket:[${inode}]`, join(directory, String(i)))
      }
    },
  }
}

t.test('the process that listens at an address of this machine is found', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const found = await new ListeningPids().at([`127.0.0.1:${port}`, '192.0.2.1:2379'])
  t.strictSame(found, [process.platform === 'linux' ? process.pid : null, null])
})

t.test('processes are looked through once for a socket, and again for another one', async (t) => {
  const { proc, listen, hold } = await openProc(t)
  const pids = new ListeningPids(proc)
  await hold(11, 701, 702)
  await hold(12, 703)
  await listen({ 2379: 702, 2479: 703, 2579: 704 })
  const all = ['127.0.0.1:2379', 'localhost:2479', '127.0.0.1:2579', '127.0.0.1:2679']
  t.strictSame(await pids.at(all), [11, 12, null, null], '704 is of a user who shows nothing')
  for (const [pid, inode] of [
    [11, 703],
    [12, 702],
  ] as const)
    await hold(pid, inode)
  t.strictSame(await pids.at(all), [11, 12, null, null], 'nobody was asked again')
  await listen({ 2379: 705, 2479: 703 })
  await hold(13, 705)
  t.strictSame(await pids.at(all), [13, 12, null, null], 'of a new socket everybody is')
  await listen({})
  t.strictSame(await pids.at(all), [null, null, null, null])
  await hold(14, 705)
  await hold(13)
  await listen({ 2379: 705 })
  t.strictSame(await pids.at(all), [14, null, null, null], 'a number that came again is another')
})

t.test('a machine that shows no processes is no error', async (t) => {
  t.strictSame(await new ListeningPids('/nowhere').at(['127.0.0.1:2379']), [null])
})
