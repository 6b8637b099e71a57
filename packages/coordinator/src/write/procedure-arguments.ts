import { positionAt, SqlError } from '@nyala/client/protocol'
import type { Mirror } from '../bind/mirror.ts'
import { parseBytes } from '../bind/settings.ts'
import { renderExpression } from '../sql/renderer.ts'
import type { SqlFrontEnd } from '../sql/front-end.ts'
import type { ExecuteProcedure, ProcedureArgument } from '../sql/statement.ts'
import type { StatementContext } from '../server/statement-context.ts'

const UNITS_MS = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
} as const

/** The arguments of a procedure by name, as texts of their values. Each is asked for once, and none is left over. */
export class ProcedureArguments {
  readonly #values: ReadonlyMap<string, { readonly value: string; readonly at: number }>
  readonly #text: string

  private constructor(
    values: ReadonlyMap<string, { readonly value: string; readonly at: number }>,
    text: string,
  ) {
    this.#values = values
    this.#text = text
  }

  /**
   * Computes the arguments. `known`: their names, the first of which an argument without a name is. Fails with
   * `syntax_error` for any other, and with what is wrong with an expression.
   */
  static async compute(
    statement: ExecuteProcedure,
    known: readonly string[],
    using: {
      readonly frontEnd: SqlFrontEnd
      readonly mirror: Mirror
      readonly context: StatementContext
    },
  ): Promise<ProcedureArguments> {
    const { context, frontEnd, mirror } = using
    const values = new Map<string, { readonly value: string; readonly at: number }>()
    for (const [i, argument] of statement.args.entries()) {
      const name = argument.name ?? known[i]
      const position = positionAt(context.sql, argument.at)
      if (name === undefined || !known.includes(name) || values.has(name)) {
        throw new SqlError('syntax_error', wrongArgument(statement, argument, values), {
          position,
          hint: known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`,
        })
      }
      const { dialect } = context.settings
      const expression = await frontEnd.parseExpression(argument.text, { dialect })
      const timezone = context.settings.get('timezone')
      const value = await mirror.constant(renderExpression(expression), timezone)
      if (value === null) {
        const message = `the argument ${name} of ${statement.procedure} is NULL`
        throw new SqlError('invalid_parameter_value', message, { position })
      }
      values.set(name, { value, at: argument.at })
    }
    return new ProcedureArguments(values, context.sql)
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.value
  }

  /** Fails with `invalid_parameter_value`. */
  count(name: string): number | undefined {
    return this.#read(name, 'a whole number above 0', (value) =>
      /^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined,
    )
  }

  bytes(name: string): number | undefined {
    return this.#read(name, "a size such as '128MB'", parseBytes)
  }

  /** Milliseconds. */
  duration(name: string): number | undefined {
    return this.#read(name, "a duration such as '7d' or '90m'", (value) => {
      const [, amount, unit] = /^(\d{1,9}(?:\.\d+)?)\s*(ms|[smhdw])$/.exec(value) ?? []
      if (amount === undefined) return undefined
      return Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS]
    })
  }

  #read<T>(name: string, what: string, read: (value: string) => T | undefined): T | undefined {
    const found = this.#values.get(name)
    if (found === undefined) return undefined
    const value = read(found.value)
    if (value !== undefined) return value
    throw new SqlError('invalid_parameter_value', `"${found.value}" is not ${what}`, {
      position: positionAt(this.#text, found.at),
    })
  }
}

function wrongArgument(
  { procedure }: ExecuteProcedure,
  { name }: ProcedureArgument,
  values: ReadonlyMap<string, unknown>,
): string {
  if (name === undefined) return `${procedure} is given too many arguments`
  return values.has(name)
    ? `the argument ${name} of ${procedure} is given twice`
    : `${procedure} has no argument ${name}`
}
