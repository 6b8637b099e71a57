import { type Deferred, deferred } from '@nyala/client/base'
import t from 'tap'
import { SharedInquiry } from './shared-inquiry.ts'

/** What was begun and is to be answered by the test. */
function openInquiry() {
  const begun: Deferred<number>[] = []
  const inquiry = new SharedInquiry(() => {
    const one = deferred<number>()
    begun.push(one)
    return one.promise
  })
  return { inquiry, begun }
}

t.test('many who ask at once cost two inquiries, and nobody gets an old answer', async (t) => {
  const { inquiry, begun } = openInquiry()
  const first = inquiry.ask()
  const later = [inquiry.ask(), inquiry.ask(), inquiry.ask()]
  t.equal(begun.length, 1)
  begun[0]?.resolve(1)
  t.equal(await first, 1)
  t.equal(begun.length, 2, 'what was asked meanwhile begins now')
  const last = inquiry.ask()
  begun[1]?.resolve(2)
  t.strictSame(await Promise.all(later), [2, 2, 2])
  begun[2]?.resolve(3)
  t.equal(await last, 3)
  t.equal(begun.length, 3)
})

t.test('an inquiry that fails does so for those who share it, and for nobody after', async (t) => {
  const { inquiry, begun } = openInquiry()
  const first = inquiry.ask()
  const second = inquiry.ask()
  begun[0]?.reject(new Error('no answer'))
  await t.rejects(first, /no answer/)
  begun[1]?.resolve(2)
  t.equal(await second, 2)
  const third = inquiry.ask()
  begun[2]?.resolve(3)
  t.equal(await third, 3)
})
