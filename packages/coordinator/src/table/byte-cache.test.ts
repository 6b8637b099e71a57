import t from 'tap'
import { ByteCache } from './byte-cache.ts'

t.test('what was used least recently leaves when the bytes pass the limit', (t) => {
  const cache = new ByteCache<number>(100)
  for (let i = 0; i < 4; i++) cache.set(`k${i}`, i, 25)
  t.equal(cache.get('k0'), 0)
  cache.set('k4', 4, 25)
  t.equal(cache.get('k1'), undefined, 'k0 was used since')
  t.equal(cache.get('k0'), 0)
  t.equal(cache.bytes, 100)
  cache.set('k0', 7, 1)
  t.same([cache.get('k0'), cache.bytes, cache.size], [7, 76, 4], 'a value replaces its elder')
  t.end()
})

t.test('many small values fit, one that would empty the cache does not enter', (t) => {
  const cache = new ByteCache<string>(1000)
  for (let i = 0; i < 1000; i++) cache.set(String(i), 'v', 1)
  t.equal(cache.size, 1000)
  cache.set('huge', 'v', 251)
  t.same([cache.size, cache.get('huge')], [1000, undefined])
  cache.clear()
  t.same([cache.size, cache.bytes], [0, 0])
  t.end()
})
