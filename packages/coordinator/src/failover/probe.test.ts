import { systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import { probe } from './probe.ts'

t.test('a member whose address is none is not reached, and whoever asks goes on', async (t) => {
  for (const address of ['no address', 'here:99999', 'here:0', '', 'a b:1', '[::1:1']) {
    t.equal(await probe({ address, id: 'c1', pid: 1 }, clock), 'silent', address)
  }
})
