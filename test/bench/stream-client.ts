import { connect } from '@nyala/client'

/** Streams a statement's Arrow batches and counts rows, in a process of its own; prints one line of JSON. */
const [url = '', sql = ''] = process.argv.slice(2)
const dismissed = new Promise((resolve) => process.stdin.once('end', resolve))
await using db = await connect({ url, application: 'bench stream' })
// What it takes to be there at all is not what is measured: the parent counts from this line on.
process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
await new Promise((resolve) => process.stdin.once('data', resolve))
let rows = 0
let columns = 0
for await (const batch of db.stream(sql).batches()) {
  rows += batch.numRows
  columns = batch.numCols
}
process.stdout.write(`${JSON.stringify({ rows, columns })}\n`)
// Stays until the parent has read its times.
await dismissed
