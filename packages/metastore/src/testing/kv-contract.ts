import { deferred } from '@nyala/client/base'
import type { Test } from 'tap'
import {
  COMMIT_BYTES_MAX,
  COMMIT_OPERATIONS_MAX,
  type Kv,
  type KvError,
  type LeaseId,
  type Operation,
  type WatchEvent,
} from '../kv.ts'
import { failsKv } from './failures.ts'

/** One store under test. Each test uses its own `prefix` of it. */
export interface KvHarness {
  readonly kv: Kv
  readonly connect: () => Promise<Kv>
  readonly compact: (revision: number) => Promise<void>
  readonly sleep: (ms: number) => Promise<void>
  /** Runs a test's body, letting time go by where time is simulated. */
  readonly run: <T>(body: Promise<T>) => Promise<T>
}

type Body = (t: Test, kv: Kv, prefix: string, harness: KvHarness) => Promise<void>

/** What every `Kv` must do, so that what is tested on the one in memory holds on etcd. */
export async function testKvContract(t: Test, harness: KvHarness): Promise<void> {
  for (const [claim, body] of Object.entries({ ...COMMITS, ...LEASES, ...WATCHES, ...LIMITS })) {
    const prefix = `/contract/${claim.replaceAll(' ', '-')}/`
    await t.test(claim, (test) => harness.run(body(test, harness.kv, prefix, harness)))
  }
}

const put = (key: string, value = 'x', lease?: LeaseId): Operation => ({
  kind: 'put',
  key,
  value,
  lease,
})

const write = async (kv: Kv, ...success: readonly Operation[]): Promise<number> =>
  (await kv.commitIf({ compares: [], success })).revision

const keysOf = async (kv: Kv, prefix: string, revision?: number): Promise<readonly string[]> =>
  (await kv.range(prefix, { revision })).items.map((item) => item.key.slice(prefix.length))

const COMMITS: Readonly<Record<string, Body>> = {
  'a key can be created if absent only once': async (t, kv, prefix) => {
    const key = `${prefix}a`
    const create = (value: string): ReturnType<Kv['commitIf']> =>
      kv.commitIf({
        compares: [{ kind: 'absent', key }],
        success: [put(key, value)],
        failure: [{ kind: 'get', key }],
      })
    const first = await create('one')
    const second = await create('two')
    t.equal(first.succeeded, true)
    t.equal(second.succeeded, false)
    const [response] = second.responses
    t.ok(response?.kind === 'get' && response.item?.value === 'one')
    const { item } = await kv.get(key)
    t.equal(item?.createRevision, first.revision)
    t.equal(item?.modRevision, first.revision)
    t.equal(second.revision, first.revision, 'a commit that writes nothing makes no revision')
  },

  'all compares must hold': async (t, kv, prefix) => {
    const [a, b] = [`${prefix}a`, `${prefix}b`]
    const created = await write(kv, put(a, '1'))
    const changed = await write(kv, put(a, '2'))
    const attempt = async (...compares: Parameters<Kv['commitIf']>[0]['compares']) =>
      (await kv.commitIf({ compares, success: [] })).succeeded
    t.equal(await attempt({ kind: 'createRevision', key: a, equals: created }), true)
    t.equal(await attempt({ kind: 'createRevision', key: a, equals: changed }), false)
    t.equal(await attempt({ kind: 'modRevision', key: a, equals: changed }), true)
    t.equal(await attempt({ kind: 'modRevision', key: a, equals: created }), false)
    t.equal(await attempt({ kind: 'modRevision', key: b, equals: 0 }), true, 'absent is 0')
    t.equal(await attempt({ kind: 'value', key: a, equals: '2' }), true)
    t.equal(await attempt({ kind: 'value', key: a, equals: '1' }), false)
    t.equal(await attempt({ kind: 'value', key: b, equals: '' }), false, 'absent has no value')
    t.equal(await attempt({ kind: 'absent', key: b }), true)
    t.equal(await attempt({ kind: 'absent', key: b }, { kind: 'absent', key: a }), false)
  },

  'a commit writes all its keys at one revision and reads its own writes': async (
    t,
    kv,
    prefix,
  ) => {
    const [a, b] = [`${prefix}a`, `${prefix}b`]
    const { responses, revision } = await kv.commitIf({
      compares: [],
      success: [put(a, '1'), put(b, '2'), { kind: 'get', key: a }],
    })
    t.equal(responses.length, 3)
    const read = responses[2]
    t.ok(read?.kind === 'get' && read.item?.value === '1')
    const { items } = await kv.range(prefix)
    t.same(
      items.map((item) => [item.value, item.modRevision]),
      [
        ['1', revision],
        ['2', revision],
      ],
    )
  },

  'a key that is deleted and put again has a new create revision': async (t, kv, prefix) => {
    const key = `${prefix}a`
    const first = await write(kv, put(key))
    await write(kv, { kind: 'delete', key })
    t.equal((await kv.get(key)).item, undefined)
    const second = await write(kv, put(key))
    t.ok(second > first)
    t.equal((await kv.get(key)).item?.createRevision, second)
  },

  'deleting what is not there makes no revision': async (t, kv, prefix) => {
    const before = await write(kv, put(`${prefix}a`))
    const result = await kv.commitIf({
      compares: [],
      success: [
        { kind: 'delete', key: `${prefix}b` },
        { kind: 'deletePrefix', prefix: `${prefix}none/` },
      ],
    })
    t.equal(result.revision, before)
    t.same(result.responses, [
      { kind: 'delete', deleted: 0 },
      { kind: 'delete', deleted: 0 },
    ])
  },

  'a prefix is deleted whole and nothing else': async (t, kv, prefix) => {
    await write(kv, put(`${prefix}a/1`), put(`${prefix}a/2`), put(`${prefix}a0`), put(`${prefix}a`))
    const { responses } = await kv.commitIf({
      compares: [],
      success: [{ kind: 'deletePrefix', prefix: `${prefix}a/` }],
    })
    t.same(responses, [{ kind: 'delete', deleted: 2 }])
    t.same(await keysOf(kv, prefix), ['a', 'a0'])
  },

  'a range is in byte order, at one revision, also of the past': async (t, kv, prefix) => {
    const names = ['b', 'a', 'é', 'Z', 'a/b', 'ab']
    const then = await write(kv, ...names.map((name) => put(prefix + name)))
    await write(kv, { kind: 'delete', key: `${prefix}b` }, put(`${prefix}c`))
    t.same(await keysOf(kv, prefix, then), ['Z', 'a', 'a/b', 'ab', 'b', 'é'])
    t.same(await keysOf(kv, prefix), ['Z', 'a', 'a/b', 'ab', 'c', 'é'])
  },

  'any text survives as key and value': async (t, kv, prefix) => {
    const text = `"\\\n\u0000 日本 🦓 ${'ü'.repeat(1000)}`
    await write(kv, put(prefix + text, text), put(`${prefix}empty`, ''))
    t.equal((await kv.get(prefix + text)).item?.value, text)
    t.equal((await kv.get(`${prefix}empty`)).item?.value, '')
  },

  'a large range is read whole, in pages at one revision': async (t, kv, prefix) => {
    const total = 80 * COMMIT_OPERATIONS_MAX
    for (let from = 0; from < total; from += COMMIT_OPERATIONS_MAX) {
      const ids = Array.from({ length: COMMIT_OPERATIONS_MAX }, (_, i) => from + i)
      await write(kv, ...ids.map((id) => put(prefix + String(id).padStart(6, '0'), String(id))))
    }
    const { items } = await kv.range(prefix)
    t.equal(items.length, total)
    t.ok(items.every((item, i) => item.value === String(i)))
    const after = items[99]?.key
    const part = await kv.range(prefix, { after, limit: 20 })
    t.same(
      part.items.map(({ value }) => Number(value)),
      Array.from({ length: 20 }, (_, i) => 100 + i),
    )
    const rest = await kv.range(prefix, { after: items.at(-2)?.key, limit: 20 })
    t.same(rest.items, items.slice(-1))
    t.same((await kv.range(prefix, { after: items.at(-1)?.key })).items, [])
  },
}

const LEASES: Readonly<Record<string, Body>> = {
  'revoking a lease deletes its keys at one revision': async (t, kv, prefix) => {
    const { lease } = await kv.grantLease(60)
    const before = await write(kv, put(`${prefix}a`, '1', lease), put(`${prefix}b`, '2', lease))
    t.equal((await kv.get(`${prefix}a`)).item?.lease, lease)
    await kv.revokeLease(lease)
    t.same(await keysOf(kv, prefix), [])
    t.equal((await kv.get(`${prefix}a`)).revision, before + 1)
    await kv.revokeLease(lease)
    t.equal(await kv.keepAlive(lease), 0, 'and a renewal says so')
  },

  'a lease that is not renewed ends with its keys': async (t, kv, prefix, harness) => {
    const kept = await kv.grantLease(2)
    const left = await kv.grantLease(2)
    await write(kv, put(`${prefix}kept`, 'x', kept.lease), put(`${prefix}left`, 'x', left.lease))
    for (let i = 0; i < 8; i++) {
      await harness.sleep(500)
      t.ok((await kv.keepAlive(kept.lease)) >= 1)
    }
    t.same(await keysOf(kv, prefix), ['kept'])
    t.equal(await kv.keepAlive(left.lease), 0)
    await kv.revokeLease(kept.lease)
  },

  'a put under a lease that is gone does nothing': async (t, kv, prefix) => {
    const { lease } = await kv.grantLease(60)
    await kv.revokeLease(lease)
    const success = [put(`${prefix}a`), put(`${prefix}b`, 'x', lease)]
    await failsKv(t, 'leaseNotFound', kv.commitIf({ compares: [], success }))
    t.same(await keysOf(kv, prefix), [])
  },

  'a later put decides which lease a key has': async (t, kv, prefix) => {
    const first = await kv.grantLease(60)
    const second = await kv.grantLease(60)
    const [moved, freed] = [`${prefix}moved`, `${prefix}freed`]
    await write(kv, put(moved, '1', first.lease), put(freed, '1', first.lease))
    await write(kv, put(moved, '2', second.lease), put(freed, '2'))
    await kv.revokeLease(first.lease)
    t.same(await keysOf(kv, prefix), ['freed', 'moved'])
    await kv.revokeLease(second.lease)
    t.same(await keysOf(kv, prefix), ['freed'])
  },
}

/** Collects what a watch tells; `next` waits for more. */
class Recorder {
  readonly events: WatchEvent[] = []
  readonly batches: (readonly WatchEvent[])[] = []
  readonly compacted = deferred<number>()
  readonly disconnected = deferred<KvError>()
  readonly #stop: () => void
  #waiting: { readonly count: number; readonly done: ReturnType<typeof deferred<void>> } | undefined

  constructor(kv: Kv, prefix: string, from: number) {
    this.#stop = kv.watch(prefix, from, {
      events: (events) => {
        this.events.push(...events)
        this.batches.push(events)
        if (this.events.length >= (this.#waiting?.count ?? Infinity)) this.#waiting?.done.resolve()
      },
      compacted: (revision) => this.compacted.resolve(revision),
      disconnected: (error) => this.disconnected.resolve(error),
    })
  }

  async until(count: number): Promise<readonly string[]> {
    if (this.events.length < count) {
      this.#waiting = { count, done: deferred<void>() }
      await this.#waiting.done.promise
    }
    return this.events.map((event) =>
      event.kind === 'put' ? `${event.item.key}=${event.item.value}` : `${event.key} deleted`,
    )
  }

  stop(): void {
    this.#stop()
  }
}

const WATCHES: Readonly<Record<string, Body>> = {
  'a watch tells of past and coming changes in order': async (t, kv, prefix) => {
    const [a, b] = [`${prefix}a`, `${prefix}b`]
    const from = await write(kv, put(a, '1'))
    await write(kv, put(`${prefix.slice(0, -1)}0`, 'a neighbour'))
    await write(kv, put(a, '2'))
    const watch = new Recorder(kv, prefix, from)
    await watch.until(2)
    const deleted = await write(kv, { kind: 'delete', key: a })
    await write(kv, put(b, '3'))
    t.same(await watch.until(4), [`${a}=1`, `${a}=2`, `${a} deleted`, `${b}=3`])
    const event = watch.events[2]
    t.ok(event?.kind === 'delete' && event.modRevision === deleted)
    watch.stop()
  },

  'the events of one commit come together': async (t, kv, prefix) => {
    const watch = new Recorder(kv, prefix, (await kv.get(prefix)).revision + 1)
    const ids = Array.from({ length: COMMIT_OPERATIONS_MAX }, (_, i) => i)
    const revision = await write(kv, ...ids.map((id) => put(`${prefix}${id}`)))
    await watch.until(ids.length)
    t.equal(watch.batches.length, 1)
    t.ok(watch.events.every((e) => e.kind === 'put' && e.item.modRevision === revision))
    watch.stop()
  },

  'a watch sees a lease take its keys away': async (t, kv, prefix) => {
    const { lease } = await kv.grantLease(60)
    const from = await write(kv, put(`${prefix}a`, 'x', lease))
    const watch = new Recorder(kv, prefix, from + 1)
    await kv.revokeLease(lease)
    t.same(await watch.until(1), [`${prefix}a deleted`])
    watch.stop()
  },

  'a stopped watch says nothing more': async (t, kv, prefix) => {
    const from = await write(kv, put(`${prefix}a`, '1'))
    const stopped = new Recorder(kv, prefix, from)
    const going = new Recorder(kv, prefix, from)
    await stopped.until(1)
    stopped.stop()
    await write(kv, put(`${prefix}a`, '2'))
    await going.until(2)
    t.equal(stopped.events.length, 1)
    going.stop()
  },

  'history that was compacted is reported as such': async (t, kv, prefix, harness) => {
    const old = await write(kv, put(`${prefix}a`, '1'))
    await write(kv, put(`${prefix}a`, '2'))
    const now = await write(kv, put(`${prefix}a`, '3'))
    await harness.compact(now)
    const watch = new Recorder(kv, prefix, old)
    t.equal(await watch.compacted.promise, now)
    await failsKv(t, 'compacted', kv.range(prefix, { revision: old }))
    t.same(await keysOf(kv, prefix, now), ['a'], 'the compacted revision itself is kept')
  },
}

const LIMITS: Readonly<Record<string, Body>> = {
  'a commit that is too large is refused before it is sent': async (t, kv, prefix) => {
    const many = Array.from({ length: COMMIT_OPERATIONS_MAX + 1 }, (_, i) => put(`${prefix}${i}`))
    await failsKv(t, 'tooLarge', kv.commitIf({ compares: [], success: many }))
    const large = [put(`${prefix}a`, 'x'.repeat(COMMIT_BYTES_MAX))]
    await failsKv(t, 'tooLarge', kv.commitIf({ compares: [], success: large }))
    t.same(await keysOf(kv, prefix), [])
  },

  'the largest commit that is allowed is taken': async (t, kv, prefix) => {
    const overhead = Buffer.byteLength(`${prefix}a`)
    await write(kv, put(`${prefix}a`, 'x'.repeat(COMMIT_BYTES_MAX - overhead)))
    t.same(await keysOf(kv, prefix), ['a'])
  },

  'a key is written once at most by one commit': async (t, kv, prefix) => {
    const key = `${prefix}a`
    const twice = [put(key), put(key)]
    await failsKv(t, 'invalid', kv.commitIf({ compares: [], success: twice }))
    const both: Operation[] = [{ kind: 'delete', key }, put(key)]
    await failsKv(t, 'invalid', kv.commitIf({ compares: [], success: both }))
    const under: Operation[] = [put(key), { kind: 'deletePrefix', prefix }]
    await failsKv(t, 'invalid', kv.commitIf({ compares: [], success: under }))
    t.same(await keysOf(kv, prefix), [])
  },

  'a closed connection refuses calls': async (t, _kv, prefix, harness) => {
    const own = await harness.connect()
    await own.get(prefix)
    await own.close()
    await failsKv(t, 'closed', own.get(prefix))
    await failsKv(t, 'closed', own.commitIf({ compares: [], success: [put(prefix)] }))
  },
}
