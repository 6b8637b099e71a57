import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import t, { type Test } from 'tap'
import { openCluster } from './cluster.ts'
import {
  CLAIM_FILE,
  claimDirectory,
  decideClaim,
  type DirectoryClaim,
  requireOwnDirectory,
} from './directory-claim.ts'
import { Keys } from './keys.ts'
import { MemoryEtcd, type MemoryKv, type MemoryKvFaults } from './memory-kv.ts'

const root = mkdtempSync(join(tmpdir(), 'nyala-claims-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))

/** A simulated etcd. Files are on a real disk, so time is real, too. */
class World {
  readonly #etcd = new MemoryEtcd(clock)
  readonly keys: Keys = new Keys('test')

  connect(faults: MemoryKvFaults = {}): MemoryKv {
    return this.#etcd.connect(faults)
  }

  on(kv: MemoryKv) {
    return { kv, keys: this.keys, clock }
  }
}

const inWorld = (
  t: Test,
  about: string,
  body: (t: Test, world: World) => Promise<void>,
): Promise<unknown> => t.test(about, (test) => body(test, new World()))

let made = 0
const newPath = (): string => join(root, String(++made), 'warehouse')
const read = (path: string): DirectoryClaim =>
  JSON.parse(readFileSync(join(path, CLAIM_FILE), 'utf8')) as DirectoryClaim

async function claim(world: World, path: string, name = 'test'): Promise<string> {
  const options = { ...world.on(world.connect()), keys: new Keys(name) }
  const record = await openCluster(options)
  await claimDirectory(options, record, { what: 'warehouse', path })
  return record.id
}

t.test('what is done about a directory goes by its file and by what etcd has', async (t) => {
  const found = { format: 1, clusterId: 'a', clusterName: 'n', directoryId: 'd' } as const
  t.equal(decideClaim('a', undefined, undefined), 'make')
  t.equal(decideClaim('a', found, undefined), 'register')
  t.equal(decideClaim('a', found, 'd'), 'ours')
  t.equal(decideClaim('b', found, undefined), 'foreign')
  t.equal(decideClaim('b', found, 'd'), 'foreign')
  t.equal(decideClaim('a', found, 'e'), 'other')
  t.equal(decideClaim('a', undefined, 'd'), 'unnamed')
})

await inWorld(t, 'members that start together name a directory once', async (t, world) => {
  const path = newPath()
  const ids = await Promise.all([1, 2, 3].map(() => claim(world, path)))
  t.match(read(path), { clusterId: ids[0], clusterName: 'test' })
  await claim(world, path)
  t.strictSame(readdirSync(path), [CLAIM_FILE], 'nothing else is left')
})

await inWorld(t, 'of two clusters that start on one directory one gets it', async (t, world) => {
  const path = newPath()
  const ended = await Promise.allSettled(['one', 'two'].map((name) => claim(world, path, name)))
  const [first, ...more] = ended.filter((one) => one.status === 'fulfilled')
  t.strictSame(more, [])
  const refused = ended.find((one) => one.status === 'rejected')?.reason as Error
  const { clusterId, clusterName } = read(path)
  t.equal(first?.value, clusterId)
  t.match(refused, { error: 'foreign_directory', code: '55000' })
  for (const part of [path, clusterId, clusterName]) t.match(refused.message, part)
})

await inWorld(
  t,
  'a cluster keeps to its directory, wherever that has been moved',
  async (t, world) => {
    const [path, other] = [newPath(), newPath()]
    await claim(world, path)
    await t.rejects(claim(world, other), { message: /it has no/ })
    renameSync(join(path, '..'), join(other, '..'))
    await claim(world, other)
    // As by another cluster of the same etcd and name that was there before.
    const copy = { ...read(other), directoryId: 'x' }
    writeFileSync(join(other, CLAIM_FILE), JSON.stringify(copy))
    await t.rejects(claim(world, other), { message: /directory id is "x"/ })
    await world.connect().commitIf({
      compares: [],
      success: [{ kind: 'delete', key: world.keys.directory('warehouse') }],
    })
    await claim(world, other)
  },
)

await inWorld(
  t,
  'of two directories that are named at once the other one is free again',
  async (t, world) => {
    const paths = [newPath(), newPath()]
    const ended = await Promise.allSettled(paths.map((path) => claim(world, path)))
    const kept = ended.findIndex((one) => one.status === 'fulfilled')
    t.not(kept, -1)
    t.equal(ended.filter((one) => one.status === 'fulfilled').length, 1)
    await claim(world, paths[kept] ?? '')
    await claim(world, paths[1 - kept] ?? '', 'elsewhere')
  },
)

await inWorld(t, 'whatever the network loses, the claim comes to be', async (t, world) => {
  const path = newPath()
  for (const fate of ['loseReply', 'loseRequest'] as const) {
    let calls = 0
    const kv = world.connect({ fate: () => (calls++ % 2 === 0 ? fate : 'pass') })
    const record = await openCluster(world.on(kv))
    await claimDirectory(world.on(kv), record, { what: 'warehouse', path })
    t.equal(read(path).clusterId, record.id)
  }
})

await inWorld(
  t,
  'what lies in the directory of another cluster is refused, however deep',
  async (t, world) => {
    const path = newPath()
    const id = await claim(world, path)
    const deep = join(path, 'a', 'b')
    await requireOwnDirectory(deep, { name: 'test', id })
    await requireOwnDirectory(root, { name: 'test', id: 'other' })
    await t.rejects(requireOwnDirectory(deep, { name: 'mine', id: 'other' }), {
      error: 'foreign_directory',
      message: new RegExp(`belongs to cluster "test" of id "${id}".*"mine" of id "other"`),
    })
    writeFileSync(join(path, CLAIM_FILE), '{')
    await t.rejects(claim(world, path), { message: /cannot be read/ })
  },
)
