import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlanningWorld } from '@nyala/coordinator/testing'
import t from 'tap'
import { fillCatalog } from '../plan/catalog.ts'
import { DIRECTORY, readPlan, statementOf } from './support.ts'

const APPROVED = new URL('operators.txt', DIRECTORY)
/** Writes what there is now; the difference is for a person to read and to commit. */
const isUpdate = process.env['UPDATE'] === '1'

async function transcript(world: PlanningWorld): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(new URL('operators.sql', DIRECTORY), 'utf8')
  const entries = new Map<string, string>()
  for (const part of text.split(/^-- name: /m)) {
    const [name = '', ...lines] = part.trim().split('\n')
    if (name === '') continue
    const sql = lines.join('\n')
    const { bound, plan } = await readPlan(world, sql)
    const written =
      typeof plan === 'string'
        ? `refused: ${plan}`
        : statementOf(plan, bound, { layout: 'readable', table: (table) => table })
    entries.set(name, `-- name: ${name}\n${sql}\n----\n${written}\n`)
  }
  return entries
}

t.test('queries are read as plans and written again as was approved', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-plans-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await PlanningWorld.open(directory)
  await fillCatalog(world)
  const entries = await transcript(world)
  if (isUpdate) await writeFile(APPROVED, [...entries.values()].join('\n'))
  const approved = await readFile(APPROVED, 'utf8').catch(() => '')
  const known = new Map(
    approved
      .split(/\n(?=-- name: )/)
      .map((part) => [/^-- name: (.*)/.exec(part)?.[1], part.trim()]),
  )
  for (const [name, text] of entries) {
    t.equal(text.trim(), known.get(name), name)
    t.equal(text.includes('\nrefused: '), name.startsWith('refused'), `${name}: read or refused`)
  }
  t.equal(known.size, entries.size, 'nothing is approved that is not asked')
})
