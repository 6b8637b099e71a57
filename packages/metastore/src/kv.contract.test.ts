import { silentLog, systemClock } from '@nyala/client/base'
import { Etcd3 } from 'etcd3'
import t from 'tap'
import { connectKv } from './etcd-kv.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryEtcd } from './memory-kv.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { testKvContract } from './testing/kv-contract.ts'

await t.test('in memory', async (t) => {
  const clock = new ManualClock()
  const etcd = new MemoryEtcd(clock)
  await testKvContract(t, {
    kv: etcd.connect(),
    connect: () => Promise.resolve(etcd.connect()),
    compact: (revision) => Promise.resolve(etcd.compact(revision)),
    sleep: (ms) => clock.sleep(ms),
    run: (body) => clock.run(body),
  })
})

await t.test('on etcd', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
  await using kv = await connectKv(options)
  const raw = new Etcd3({ hosts: etcd.endpoint })
  t.teardown(() => raw.close())
  await testKvContract(t, {
    kv,
    connect: () => connectKv(options),
    compact: async (revision) => {
      await raw.kv.compact({ revision, physical: true })
    },
    sleep: (ms) => systemClock.sleep(ms),
    run: (body) => body,
  })
})
