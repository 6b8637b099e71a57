import { SqlError } from '@nyala/client/protocol'
import { didYouMean } from './nearest.ts'

/** A knob of a session: `SET name = value`. */
export interface Setting {
  readonly name: string
  readonly default: string
  readonly description: string
  /** The value as it is kept, or undefined when it is none. */
  parse(text: string): string | undefined
  /** What a value must be, for the error. */
  readonly values: string
}

const choice = (name: string, values: readonly string[], description: string): Setting => ({
  name,
  default: values[0] ?? '',
  description,
  values: `one of ${values.join(', ')}`,
  parse: (text) => (values.includes(text.toLowerCase()) ? text.toLowerCase() : undefined),
})

const natural = (name: string, max: number, description: string): Setting => ({
  name,
  default: '0',
  description,
  values: `a whole number from 0 to ${max}`,
  parse: (text) =>
    /^\d{1,16}$/.test(text) && Number(text) <= max ? String(Number(text)) : undefined,
})

/**
 * What a statement sees of what others have done:
 *
 * `available`  all that anybody was told to be done before it began; while etcd does not answer, what this coordinator and
 *              the session have seen, and a notice says so
 * `strong`     all of it, or the statement fails with `metastore_unavailable`
 * `session`    what this coordinator has seen, and at the least what the session has; etcd is not asked
 */
export const READ_CONSISTENCIES = ['available', 'strong', 'session'] as const
export type ReadConsistency = (typeof READ_CONSISTENCIES)[number]

/** About three weeks: a timer that is told to wait longer than 2^31 ms does not wait at all. */
const TIMEOUT_MAX_S = 2_000_000

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tb: 1000 ** 4,
  tib: 1024 ** 4,
}

/** Bytes of `512MB`, `2g` or `1073741824`; undefined where the text is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = UNITS[(match?.[2] ?? '').toLowerCase()]
  if (match === null || unit === undefined) return undefined
  const size = Math.floor(Number(match[1]) * unit)
  return Number.isSafeInteger(size) ? size : undefined
}

const bytes = (name: string, initial: string, description: string): Setting => ({
  name,
  default: initial,
  description,
  values: 'a size such as 512MB or 2GB',
  parse: (text) => (parseBytes(text) === undefined ? undefined : text.trim()),
})

export const SETTINGS: readonly Setting[] = [
  choice(
    'distribution',
    ['auto', 'force', 'single'],
    'whether queries are divided among executors: auto when it pays, force whenever a rule exists, single never',
  ),
  bytes(
    'distribution_min_bytes',
    '16MB',
    'with distribution = auto, inputs smaller than this run as one fragment',
  ),
  bytes(
    'broadcast_max_bytes',
    '64MB',
    'a side of a join up to this size may be given to every task whole',
  ),
  bytes('mem_limit', '0', 'memory of each task; 0 shares the memory of the executor'),
  bytes(
    'max_spill_bytes',
    '0',
    'disk that a query may take on each executor: for segments, and for what each of its tasks spills; 0 what the executor has',
  ),
  {
    ...natural(
      'queue_timeout_s',
      TIMEOUT_MAX_S,
      'seconds that a query waits until it may run, before it fails',
    ),
    default: '60',
  },
  {
    ...natural(
      'idle_in_transaction_timeout_s',
      TIMEOUT_MAX_S,
      'seconds after which a transaction in which nothing runs is rolled back; 0 never',
    ),
    default: '300',
  },
  {
    ...natural(
      'idle_result_timeout_s',
      TIMEOUT_MAX_S,
      'seconds after which a result is given up whose client reads nothing of it; 0 never',
    ),
    default: '300',
  },
  natural('query_timeout_s', TIMEOUT_MAX_S, 'seconds after which a query is canceled; 0 never'),
  natural(
    'max_rows',
    Number.MAX_SAFE_INTEGER,
    'a query with more rows fails, at the latest when each of its tasks has made as many; 0 no limit',
  ),
  choice(
    'read_consistency',
    READ_CONSISTENCIES,
    'what of others a statement sees: available all that was committed before it, and what was seen while etcd does not answer, with a notice; strong all, or it fails; session what its session has seen',
  ),
  choice(
    'profile',
    ['off', 'on', 'auto'],
    'whether executors collect what each operator did for `profile;`, at some per cent of the time; auto where the input is not tiny',
  ),
  choice(
    'sql_dialect',
    ['ansi', 'impala'],
    'how text is read: in impala "x" is a string, in ansi it is a name',
  ),
  {
    name: 'timezone',
    default: 'UTC',
    description: 'time zone of TIMESTAMP WITH TIME ZONE',
    values: 'a time zone such as UTC or Europe/Berlin',
    parse: (text) => (isTimeZone(text) ? text : undefined),
  },
]

function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z0-9_+\-/]{1,64}$/.test(text)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).format(0) !== ''
  } catch {
    return false
  }
}

const BY_NAME = new Map(SETTINGS.map((setting) => [setting.name, setting]))

/** The setting of a name, whatever its case. Fails with `undefined_object` naming the nearest. */
export function settingOf(name: string): Setting {
  const setting = BY_NAME.get(name.toLowerCase())
  if (setting !== undefined) return setting
  throw new SqlError('undefined_object', `setting "${name}" does not exist`, {
    hint: didYouMean(name, BY_NAME.keys()) ?? 'SET ALL lists them',
  })
}

/** The value as it is kept. Fails with `invalid_parameter_value`. */
export function parseSetting(name: string, text: string): string {
  const setting = settingOf(name)
  const value = setting.parse(text.trim())
  if (value !== undefined) return value
  throw new SqlError('invalid_parameter_value', `setting "${setting.name}" cannot be "${text}"`, {
    hint: `it must be ${setting.values}`,
  })
}

/** Values of settings, by their names, as they are kept. */
export type SettingValues = Readonly<Record<string, string>>

const checked = (values: readonly (readonly [string, string])[]): SettingValues =>
  Object.fromEntries(values.map(([name, text]) => [settingOf(name).name, parseSetting(name, text)]))

/** `name=value,name=value`. Fails with `undefined_object` and `invalid_parameter_value`. */
export function parseDefaults(text: string): SettingValues {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  return checked(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at > 0) return [pair.slice(0, at).trim(), pair.slice(at + 1)]
      throw new SqlError('invalid_parameter_value', `"${pair}" is not name=value`)
    }),
  )
}

/** Those that change a plan; the time zone by the partitions that a predicate leaves. */
const PLAN_SETTINGS = [
  'distribution',
  'distribution_min_bytes',
  'broadcast_max_bytes',
  'sql_dialect',
  'timezone',
]

/** A session's settings with their defaults, typed. */
export class SessionSettings {
  readonly #values: Readonly<Record<string, string>>

  /**
   * Values that a client sent; each is checked, as any client may send anything. `defaults` are what this cluster has in
   * place of the defaults of the settings, and have been checked.
   */
  constructor(values: Readonly<Record<string, string>>, defaults: SettingValues = {}) {
    this.#values = { ...defaults, ...checked(Object.entries(values)) }
  }

  get(name: string): string {
    const setting = settingOf(name)
    return this.#values[setting.name] ?? setting.default
  }

  bytes(name: string): number {
    return parseBytes(this.get(name)) ?? 0
  }

  number(name: string): number {
    return Number(this.get(name))
  }

  get distribution(): 'auto' | 'force' | 'single' {
    return this.get('distribution') as 'auto' | 'force' | 'single'
  }

  get readConsistency(): ReadConsistency {
    return this.get('read_consistency') as ReadConsistency
  }

  get dialect(): 'ansi' | 'impala' {
    return this.get('sql_dialect') as 'ansi' | 'impala'
  }

  /** Everything that changes a plan, as one text; part of the key of the plan cache. */
  get planKey(): string {
    return PLAN_SETTINGS.map((name) => this.get(name)).join('|')
  }
}
