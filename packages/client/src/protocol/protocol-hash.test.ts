import { createHash } from 'node:crypto'
import t from 'tap'
import { down, up } from './messages.ts'
import { PROTOCOL_HASH, PROTOCOL_VERSION } from './version.ts'

t.test('the messages are those of the recorded protocol version', async (t) => {
  const shapes = JSON.stringify({ up: up.shape, down: down.shape })
  const hash = createHash('sha256').update(shapes).digest('hex').slice(0, 16)
  t.equal(
    hash,
    PROTOCOL_HASH,
    `the messages changed: raise PROTOCOL_VERSION above ${PROTOCOL_VERSION}, say why in its history, ` +
      `and record the hash ${hash}`,
  )
})
