import { once } from 'node:events'
import { connect } from '@nyala/client'

/**
 * A client in a process of its own that reads the beginning of a result, prints a line about it, and then neither reads on
 * nor ends: it is there to be killed. It ends with its standard input.
 */
const [url = '', database = '', sql = '', wanted = ''] = process.argv.slice(2)
const db = await connect({ url, database, set: { distribution: 'force' } })
const stream = db.stream(sql)
let rows = 0
const batches = stream.columnBatches()
while (rows < Number(wanted)) {
  const next = await batches.next()
  if (next.done === true) break
  rows += next.value.length
}
const said = { query: stream.id, coordinator: stream.coordinator, rows }
process.stdout.write(`${JSON.stringify(said)}\n`)
process.stdin.resume()
await once(process.stdin, 'end')
process.exit()
