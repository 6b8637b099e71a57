import { parseArgs } from 'node:util'
import { writeSample } from './writer.ts'

/** Writes a sample in a process of its own, whose memory goes with it; prints what each table got as one line of JSON. */
const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: '' },
    sf: { type: 'string', default: '' },
    connections: { type: 'string', default: '1' },
  },
})
const tables = await writeSample({
  dir: values.dir,
  scaleFactor: Number(values.sf),
  connections: Number(values.connections),
})
process.stdout.write(`${JSON.stringify(tables)}\n`)
