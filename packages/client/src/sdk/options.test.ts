import t from 'tap'
import { parseEndpoint, parseUrl, resolveOptions } from './options.ts'

const none = (): undefined => undefined

t.test('a URL names hosts, database, application and settings', async (t) => {
  t.strictSame(
    parseUrl('nyala://me:p%40w@c1:7701,c2,[::1]:7703/sales?application=etl&mem_limit=2GB'),
    {
      endpoints: ['c1:7701', 'c2:7700', '[::1]:7703'],
      database: 'sales',
      user: 'me',
      application: 'etl',
      settings: { mem_limit: '2GB' },
    },
  )
  t.match(parseUrl('nyala://h'), { endpoints: ['h:7700'], database: undefined })
  t.match(parseUrl('nyala://h/'), { database: undefined })
  t.match(parseUrl('nyala://h/d%C3%BCsseldorf'), { database: 'düsseldorf' })
})

t.test('what is not a URL is refused, and no password is repeated', async (t) => {
  for (const text of [
    '',
    'h:7700',
    'http://h',
    'nyala://',
    'nyala:///db',
    'nyala://h:99999',
    'nyala://a b',
  ]) {
    t.throws(() => parseUrl(text), { code: '22023' }, text)
  }
  try {
    parseUrl('nyala://me:secret@/db')
    t.fail('it was accepted')
  } catch (error) {
    t.notMatch((error as Error).message, /secret/)
  }
  t.throws(() => parseUrl('nyala://h/%zz'), { message: /not percent-encoded/ })
})

t.test('an endpoint has a port', async (t) => {
  t.equal(parseEndpoint('host'), 'host:7700')
  t.equal(parseEndpoint(' 10.0.0.1:1 '), '10.0.0.1:1')
  for (const text of ['', ':1', 'h:', 'h:0', 'h:x', 'h:1:2', '::1']) {
    t.throws(() => parseEndpoint(text), { code: '22023' }, text)
  }
})

t.test('options go before the URL, and the URL before the environment', async (t) => {
  const environment = (name: string): string | undefined =>
    name === 'NYALA_URL' ? 'nyala://env:1/envdb' : undefined
  t.match(resolveOptions({}, environment), { endpoints: ['env:1'], database: 'envdb' })
  t.match(resolveOptions({ url: 'nyala://u:2/db' }, environment), {
    endpoints: ['u:2'],
    database: 'db',
  })
  t.match(
    resolveOptions(
      { url: 'nyala://u:2/db?a=1', endpoints: ['e:3', 'e:3'], database: 'x', set: { b: 2 } },
      none,
    ),
    { endpoints: ['e:3'], database: 'x', settings: { a: '1', b: '2' } },
  )
  t.match(resolveOptions({ endpoints: ['e'] }, environment), {
    endpoints: ['e:7700'],
    database: 'default',
    discover: true,
    retry: { attempts: 8 },
  })
  t.throws(() => resolveOptions({}, none), { code: '22023', message: 'no coordinator is named' })
})
