import t from 'tap'
import {
  parseBytes,
  parseDefaults,
  parseSetting,
  SessionSettings,
  settingOf,
  SETTINGS,
} from './settings.ts'

/** More milliseconds than a timer of this platform can wait. */
const TIMER_LIMIT_MS = 2 ** 31

t.test('every default is a value of its setting', async (t) => {
  for (const setting of SETTINGS)
    t.equal(setting.parse(setting.default), setting.default, setting.name)
})

t.test('names are known in any case, and unknown ones get the nearest', async (t) => {
  t.equal(settingOf('Distribution').name, 'distribution')
  t.throws(() => settingOf('distributon'), {
    error: 'undefined_object',
    message: 'setting "distributon" does not exist',
    hint: /did you mean "distribution"/,
  })
  t.throws(() => settingOf('zzzzzz'), {
    error: 'undefined_object',
    message: /./,
    hint: 'SET ALL lists them',
  })
  t.throws(() => settingOf('__proto__'), { error: 'undefined_object', message: /__proto__/ })
})

t.test('choices are read in any case and kept in one', async (t) => {
  t.equal(parseSetting('distribution', ' FORCE '), 'force')
  t.throws(() => parseSetting('distribution', 'often'), {
    error: 'invalid_parameter_value',
    message: 'setting "distribution" cannot be "often"',
    hint: 'it must be one of auto, force, single',
  })
})

t.test('sizes', async (t) => {
  const sizes: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['17', 17],
    ['2g', 2 * 1024 ** 3],
    ['2GB', 2e9],
    ['1.5 MiB', 1.5 * 1024 ** 2],
    ['512MB', 512e6],
    [' 1 k ', 1024],
    ['-1', undefined],
    ['1e9', undefined],
    ['1xb', undefined],
    ['', undefined],
    ['g', undefined],
    ['1.GB', undefined],
    ['NaN', undefined],
    ['99999999999999TB', undefined],
  ]
  for (const [text, bytes] of sizes) t.equal(parseBytes(text), bytes, `"${text}"`)
  t.throws(() => parseSetting('mem_limit', '99999999999999TB'), {
    error: 'invalid_parameter_value',
    message: /./,
    hint: /a size such as/,
  })
})

t.test('whole numbers', async (t) => {
  t.equal(parseSetting('max_rows', '007'), '7')
  for (const text of ['-1', '1.5', '', 'x', '1e3', '99999999999999999999']) {
    t.throws(
      () => parseSetting('max_rows', text),
      { error: 'invalid_parameter_value', message: /./, hint: /./ },
      text,
    )
  }
})

t.test('a timeout is no longer than a timer can wait', async (t) => {
  t.equal(parseSetting('query_timeout_s', '86400'), '86400')
  t.throws(() => parseSetting('query_timeout_s', String(TIMER_LIMIT_MS / 1000)), {
    error: 'invalid_parameter_value',
    message: /./,
    hint: /it must be a whole number from 0 to/,
  })
})

t.test('time zones are those that exist', async (t) => {
  for (const zone of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5']) {
    t.equal(parseSetting('timezone', zone), zone)
  }
  for (const zone of ['Nowhere/At_All', "UTC'; DROP", '', 'UTC UTC', '../etc']) {
    t.throws(
      () => parseSetting('timezone', zone),
      { error: 'invalid_parameter_value', message: /./, hint: /./ },
      zone,
    )
  }
})

t.test('a session has defaults for what it was not told, and refuses what is none', async (t) => {
  const settings = new SessionSettings({ DISTRIBUTION: 'Single', mem_limit: '1GB' })
  t.equal(settings.distribution, 'single')
  t.equal(settings.dialect, 'ansi')
  t.equal(settings.bytes('mem_limit'), 1e9)
  t.equal(settings.number('query_timeout_s'), 0)
  t.throws(() => new SessionSettings({ nonsense: '1' }), {
    error: 'undefined_object',
    message: /./,
  })
  t.throws(() => new SessionSettings({ max_rows: 'many' }), {
    error: 'invalid_parameter_value',
    message: /./,
  })
  t.throws(() => settings.get('nonsense'), { error: 'undefined_object', message: /./ })
})

t.test('whatever changes a plan is in its key', async (t) => {
  const key = (values: Readonly<Record<string, string>>): string =>
    new SessionSettings(values).planKey
  const other: Readonly<Record<string, string>> = {
    distribution: 'force',
    distribution_min_bytes: '1',
    broadcast_max_bytes: '1',
    sql_dialect: 'impala',
    timezone: 'Asia/Tokyo',
  }
  for (const [name, value] of Object.entries(other)) t.not(key({ [name]: value }), key({}), name)
  t.equal(key({ max_rows: '5' }), key({}))
})

t.test('a cluster has defaults of its own, which a session may change', async (t) => {
  const defaults = parseDefaults('Query_Timeout_s = 600, mem_limit=2GB,')
  t.same(defaults, { query_timeout_s: '600', mem_limit: '2GB' })
  t.same(parseDefaults(''), {})
  const settings = new SessionSettings({ mem_limit: '1GB' }, defaults)
  t.equal(settings.number('query_timeout_s'), 600)
  t.equal(settings.bytes('mem_limit'), 1e9)
  t.equal(settings.number('max_rows'), 0)
  t.throws(() => parseDefaults('query_timeout_s'), {
    error: 'invalid_parameter_value',
    message: /name=value/,
  })
  t.throws(() => parseDefaults('query_timeout_s=soon'), {
    error: 'invalid_parameter_value',
    message: /soon/,
  })
  t.throws(() => parseDefaults('query_timeouts=1'), {
    error: 'undefined_object',
    message: /query_timeouts/,
  })
})
