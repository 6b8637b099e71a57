import { type Clock, systemClock } from '@nyala/client/base'
import { type Kv, KvError } from '@nyala/metastore'
import { MemoryEtcd } from '@nyala/metastore/memory'

/** How the store answers commits: as it should; not at all, with the commit done or not; nor reads. */
export type StoreMood = 'answers' | 'does, and is not heard' | 'is not reached' | 'is silent'

/** A store in memory whose answers to commits can be lost. */
export function unheardStore(): { readonly kv: Kv; set(mood: StoreMood): void } {
  const etcd = new MemoryEtcd(systemClock).connect()
  let mood: StoreMood = 'answers'
  const commitIf: Kv['commitIf'] = async (request, options) => {
    if (mood === 'is not reached' || mood === 'is silent')
      throw new KvError('unknownOutcome', 'no answer')
    const result = await etcd.commitIf(request, options)
    if (mood !== 'answers') throw new KvError('unknownOutcome', 'no answer')
    return result
  }
  const get: Kv['get'] = async (key, options) => {
    if (mood === 'is silent') throw new KvError('unavailable', 'no answer')
    return etcd.get(key, options)
  }
  const kv = new Proxy<Kv>(etcd, {
    get(target, name) {
      if (name === 'commitIf') return commitIf
      if (name === 'get') return get
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { kv, set: (next) => (mood = next) }
}

/** Sleeps take no time, so that whoever asks again and again for seconds is done at once. */
export function hurriedClock(): Clock {
  let ms = 0
  return {
    ...systemClock,
    now: () => ms,
    sleep: (forMs) => {
      ms += forMs
      return Promise.resolve()
    },
  }
}
