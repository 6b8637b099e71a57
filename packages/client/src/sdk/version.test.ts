import { readFile } from 'node:fs/promises'
import t from 'tap'
import { CLIENT_VERSION } from './version.ts'

t.test('the client says the version of its package', async (t) => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  t.match(JSON.parse(text), { name: '@nyala/client', version: CLIENT_VERSION })
})
