import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

/**
 * A program that keeps what the launcher asks of coordinators and executors, and nothing more: it listens, prints its
 * ready line, and ends when told to. FAKE_MEMBER makes it misbehave: `refuse` ends it before it is ready, `deaf` makes
 * it ignore SIGTERM.
 */
const { values } = parseArgs({
  options: {
    id: { type: 'string' },
    cluster: { type: 'string' },
    etcd: { type: 'string' },
    listen: { type: 'string' },
    dir: { type: 'string' },
    root: { type: 'string', multiple: true },
    threads: { type: 'string' },
    memory: { type: 'string' },
  },
})
const behaviour = process.env['FAKE_MEMBER']
const { id = '', listen = '' } = values

if (behaviour === 'refuse' && id === 'e1') {
  process.stderr.write('the disk is on fire\n')
  process.exit(1)
}
const [host, port] = listen.split(':')
const server = createServer((socket) => {
  socket.once('error', () => socket.destroy())
  socket.end(JSON.stringify(values))
})
server.listen(Number(port), host, () => {
  process.stdout.write('warming up\n')
  process.stdout.write(
    JSON.stringify({ ready: true, id, address: listen, pid: process.pid }) + '\n',
  )
})
process.on('SIGTERM', () => {
  if (behaviour === 'deaf') return
  // Long enough that a stop which does not wait is seen.
  void sleep(50).then(() => process.exit(0))
})
