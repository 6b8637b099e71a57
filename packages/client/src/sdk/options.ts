import { SqlError } from '../protocol/errors.ts'
import type { TypeOptions } from './arrow/converters.ts'
import type { ClientEvent } from './events.ts'

export const DEFAULT_PORT = 7700
export const DEFAULT_DATABASE = 'default'
const SCHEME = 'nyala:'

export interface RetryOptions {
  /** Rounds over all known coordinators before a statement or a connection is given up. */
  readonly attempts?: number
  /** Milliseconds before the second round; doubled for each further one, up to `maxDelay`. */
  readonly minDelay?: number
  readonly maxDelay?: number
  /** Waits a random part of the delay, so that clients do not return all at once. */
  readonly jitter?: boolean
}

export interface ConnectOptions {
  /** `nyala://[user[:password]@]host[:port][,host[:port]…][/database][?application=…]`; `NYALA_URL` when absent. */
  readonly url?: string | undefined
  /** `host` or `host:port` of coordinators; instead of those of the URL. */
  readonly endpoints?: readonly string[] | undefined
  readonly database?: string | undefined
  /** Settings of the default session, as by `SET`. */
  readonly set?: Readonly<Record<string, string | number | boolean>> | undefined
  readonly application?: string | undefined
  /** Uses coordinators that the cluster tells of, beside the given ones. Default true. */
  readonly discover?: boolean | undefined
  readonly retry?: RetryOptions | undefined
  readonly types?: TypeOptions | undefined
  readonly onEvent?: ((event: ClientEvent) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly endpoints: readonly string[]
  readonly database: string
  readonly settings: Readonly<Record<string, string>>
  readonly application: string | undefined
  readonly discover: boolean
  readonly retry: Required<RetryOptions>
  readonly types: TypeOptions
}

/** With 8 rounds, 50 ms doubled up to 2 s: about 7 s, longer than the takeover of a coordinator or its restart. */
export const RETRY_DEFAULTS: Required<RetryOptions> = {
  attempts: 8,
  minDelay: 50,
  maxDelay: 2_000,
  jitter: true,
}

export function resolveOptions(
  options: ConnectOptions,
  environment: (name: string) => string | undefined,
): ResolvedOptions {
  const text =
    options.url ?? (options.endpoints === undefined ? environment('NYALA_URL') : undefined)
  const url = text === undefined ? undefined : parseUrl(text)
  const endpoints = (options.endpoints ?? url?.endpoints ?? []).map(parseEndpoint)
  if (endpoints.length === 0) {
    throw new SqlError('invalid_parameter_value', 'no coordinator is named', {
      hint: 'pass nyala://host:port/database to connect, or set NYALA_URL',
    })
  }
  const set = Object.entries(options.set ?? {}).map(
    ([name, value]) => [name, String(value)] as const,
  )
  return {
    endpoints: [...new Set(endpoints)],
    database: options.database ?? url?.database ?? DEFAULT_DATABASE,
    settings: { ...url?.settings, ...Object.fromEntries(set) },
    application: options.application ?? url?.application,
    discover: options.discover ?? true,
    retry: { ...RETRY_DEFAULTS, ...options.retry },
    types: options.types ?? {},
  }
}

export interface ParsedUrl {
  readonly endpoints: readonly string[]
  readonly database: string | undefined
  readonly user: string | undefined
  readonly application: string | undefined
  /** Every other parameter of the query is a setting of the session. */
  readonly settings: Readonly<Record<string, string>>
}

/** Reads a connection URL by hand: the `URL` class does not take several hosts. */
export function parseUrl(text: string): ParsedUrl {
  const match = /^([a-z][a-z0-9+.-]*:)\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text)
  if (match === null || match[1]?.toLowerCase() !== SCHEME) refuseUrl(text, 'it is not a nyala URL')
  const [, , authority = '', path, query = ''] = match
  const at = authority.lastIndexOf('@')
  const hosts = authority.slice(at + 1)
  if (hosts === '') refuseUrl(text, 'it names no host')
  const user = at < 0 ? undefined : authority.slice(0, at).split(':')[0]
  const parameters = [...new URLSearchParams(query)]
  const { application, ...settings } = Object.fromEntries(parameters) as Record<string, string>
  return {
    endpoints: hosts.split(',').map(parseEndpoint),
    database: path === undefined || path === '' ? undefined : decode(path, text),
    user: user === undefined ? undefined : decode(user, text),
    application,
    settings,
  }
}

function decode(part: string, url: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return refuseUrl(url, `"${part}" is not percent-encoded text`)
  }
}

function refuseUrl(text: string, why: string): never {
  const shown = text.replace(/:[^:@/]*@/, ':…@')
  throw new SqlError('invalid_parameter_value', `"${shown}" is not a connection URL: ${why}`, {
    hint: 'write nyala://host:port,host:port/database?application=name',
  })
}

/** `host:port` with the port filled in; IPv6 hosts in brackets. */
export function parseEndpoint(text: string): string {
  const match = /^(\[[0-9a-fA-F:.%]+\]|[^\s:[\]/@]+)(?::(\d{1,5}))?$/.exec(text.trim())
  const port = Number(match?.[2] ?? DEFAULT_PORT)
  if (match?.[1] !== undefined && port > 0 && port < 65_536) return `${match[1]}:${port}`
  throw new SqlError('invalid_parameter_value', `"${text}" is not an endpoint`, {
    hint: 'write host or host:port',
  })
}
