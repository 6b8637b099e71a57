import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Database } from '@nyala/client'
import type { Test } from 'tap'

const SHELL = fileURLToPath(new URL('../../../packages/client/bin/nyala.js', import.meta.url))

/** What `\copy` of the shell promises, on a cluster that runs. */
export async function checkCopies(
  t: Test,
  db: Database,
  world: { readonly urls: readonly string[]; readonly dir: string },
): Promise<void> {
  const url = `nyala://${world.urls.join(',')}/default`
  const shell = (script: string): Promise<{ readonly code: number; readonly stderr: string }> =>
    new Promise((resolve) => {
      const args = [SHELL, 'sql', '--url', url, '-e', script]
      const child = execFile(process.execPath, args, { cwd: world.dir }, (_, __, stderr) =>
        resolve({ code: child.exitCode ?? -1, stderr }),
      )
    })
  const rows = async (table: string): Promise<readonly unknown[]> =>
    (await db.query(`SELECT * FROM ${table} ORDER BY id`)).rows

  await db.execute(
    'CREATE TABLE copied (id BIGINT NOT NULL, name VARCHAR, f DOUBLE, d DATE, l INT[], s STRUCT<x: INT>)',
  )
  await db.execute(`INSERT INTO copied VALUES (9007199254740993, 'a "b",
c', 'NaN', '2020-02-29', [1, NULL], {'x': 1}), (2, '', '-Infinity', NULL, [], NULL), (3, NULL, '1e300', NULL, NULL, NULL)`)
  const expected = await rows('copied')

  await t.test(
    'a table is the same after its way through a file, whatever the format',
    async (t) => {
      const formats = ['csv header match', 'json', 'jsonl', 'parquet']
      const back = formats.map((format, i) => {
        const file = `copied${i}.${format.split(' ')[0]}`
        return `create table back${i} like copied;\n\\copy copied to ${file} ${format}\n-- and\n\\copy back${i} from '${file}' ${format}\n`
      })
      t.strictSame(await shell(back.join('')), { code: 0, stderr: '' })
      for (const i of formats.keys())
        t.strictSame(await rows(`back${i}`), expected, formats[i] ?? '')
    },
  )

  await t.test(
    'what is wrong in a file is told by line and column, and nothing is copied',
    async (t) => {
      const wrong: readonly (readonly [string, RegExp])[] = [
        ['1,"a\nb",1,,,\n2,c,x,,,\n', /^ERROR 22P02: line 3, column "f": 'x' is no DOUBLE/],
        ['1,"a\nb",1,,,\n2,c,1,2020-13-01,,\n', /^ERROR 22P02: line 3, column "d" .* "2020-13-01"/],
        ['1,"a\nb",1,,,\n,c,1,,,\n', /^ERROR 23502: line 3, column "id" .* must not be NULL/],
        ['1,"a\nb",1,,,\n2\n', /^ERROR 22P04: line 3: 1 field/],
      ]
      for (const [text, message] of wrong) {
        await writeFile(join(world.dir, 'wrong.csv'), text)
        const { code, stderr } = await shell('\\copy copied from wrong.csv')
        t.equal(code, 1)
        t.match(stderr, message)
      }
      t.strictSame(await rows('copied'), expected)
    },
  )

  await t.test('a copy that fails leaves the file as it was', async (t) => {
    await writeFile(join(world.dir, 'kept.csv'), 'as it was')
    const failing = '\\copy (select cast(name as int) from copied) to kept.csv'
    t.match(await shell(failing), { code: 1, stderr: /^ERROR 22P02/ })
    t.equal(await readFile(join(world.dir, 'kept.csv'), 'utf8'), 'as it was')
    t.notOk((await readdir(world.dir)).some((name) => name.endsWith('.part')))
  })
}
