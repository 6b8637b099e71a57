export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Structured log: one JSON object a line. A sink is passed in so that tests can read what was said. */
export interface Log {
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void
  info(event: string, fields?: Readonly<Record<string, unknown>>): void
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void
  error(event: string, fields?: Readonly<Record<string, unknown>>): void
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** A log that writes lines to `write`, dropping those below `level`. `base` goes into every line. */
export function lineLog(
  write: (line: string) => void,
  wall: () => number,
  options: { readonly level: LogLevel; readonly base?: Readonly<Record<string, unknown>> },
): Log {
  const at =
    (level: LogLevel) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      if (RANK[level] < RANK[options.level]) return
      const line = {
        time: new Date(wall()).toISOString(),
        level,
        event,
        ...options.base,
        ...fields,
      }
      write(JSON.stringify(line, replacer) + '\n')
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

function replacer(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error)
    return { name: value.name, message: value.message, stack: value.stack }
  return value
}
