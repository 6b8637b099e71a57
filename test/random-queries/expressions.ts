import type { Prng } from '@nyala/client/base'
import { quoteName, type ScopeColumn } from './query.ts'
import { type Outside, Subqueries } from './subqueries.ts'
import type { ItemKind, Kind } from './tables.ts'

/** Levels of subqueries in subqueries. */
const LEVELS = 2

const KINDS: readonly Kind[] = [
  'int',
  'int',
  'int',
  'decimal',
  'double',
  'text',
  'date',
  'timestamp',
  'bool',
]

/** Random expressions that have one value only, whatever the order of rows, and do not fail. */
export class Expressions {
  readonly #random: Prng
  readonly #subqueries: Subqueries

  constructor(random: Prng, outside: Outside) {
    this.#random = random
    this.#subqueries = new Subqueries(random, this, outside)
  }

  kind(): Kind {
    return this.#random.pick(KINDS)
  }

  /** A column of the scope as text: qualified, or alone where only one source has it; in any case. */
  ref(column: ScopeColumn, scope: readonly ScopeColumn[]): string {
    const random = this.#random
    const isUnique =
      scope.filter((c) => c.name.toLowerCase() === column.name.toLowerCase()).length === 1
    let name = quoteName(column.name)
    if (!name.startsWith('"') && random.chance(0.1)) name = name.toUpperCase()
    if (column.source === undefined || (isUnique && random.chance(0.4))) return name
    return `${column.source}.${name}`
  }

  /** A column of a kind; undefined where the scope has none. Its name is alone only where nothing that is visible has it too. */
  column(
    kind: ItemKind,
    scope: readonly ScopeColumn[],
    visible: readonly ScopeColumn[] = scope,
  ): string | undefined {
    const found = scope.filter((c) => c.kind === kind)
    return found.length === 0 ? undefined : this.ref(this.#random.pick(found), visible)
  }

  /** Any column. */
  anyColumn(scope: readonly ScopeColumn[]): { readonly sql: string; readonly kind: ItemKind } {
    if (scope.length === 0) return { sql: "'none'", kind: 'text' }
    const column = this.#random.pick(scope)
    return { sql: this.ref(column, scope), kind: column.kind }
  }

  of(kind: Kind, scope: readonly ScopeColumn[], depth: number): string {
    const own = this.column(kind, scope)
    if (own !== undefined && (depth <= 0 || this.#random.chance(0.4))) return own
    if (depth <= 0) return this.literal(kind)
    const inner = (k: Kind): string => this.of(k, scope, depth - 1)
    switch (kind) {
      case 'int':
        return this.#random.chance(0.15) ? this.#ofNested(scope) : this.#int(inner)
      case 'big':
        return own ?? '9223372036854775806'
      case 'decimal':
        return this.#decimal(inner)
      case 'wide':
        return own ?? "CAST('12345.678901' AS DECIMAL(38,6))"
      case 'double':
        return this.#double(inner)
      case 'text':
        return this.#text(inner)
      case 'date':
        return this.#random.pick([
          `(${inner('date')} + ${this.#random.below(9)})`,
          `CAST(date_trunc('month', ${inner('date')}) AS DATE)`,
          `CAST(${inner('timestamp')} AS DATE)`,
        ])
      case 'timestamp':
        return this.#random.pick([
          `date_trunc('hour', ${inner('timestamp')})`,
          `(${inner('timestamp')} + INTERVAL 3 HOUR)`,
        ])
      case 'bool':
        return `(${this.bool(scope, depth - 1)})`
    }
  }

  literal(kind: Kind): string {
    const random = this.#random
    switch (kind) {
      case 'int':
      case 'big':
        return String(random.below(8))
      case 'decimal':
      case 'wide':
        return (random.below(400) / 4 - 40).toFixed(2)
      case 'double':
        return `CAST(${random.below(90)} AS DOUBLE)`
      case 'text':
        return random.pick(["'ann'", "'x'", "'o''hara'", "''", "'same'"])
      case 'date':
        return `DATE '2020-01-${String(random.below(28) + 1).padStart(2, '0')}'`
      case 'timestamp':
        return `TIMESTAMP '2020-01-${String(random.below(28) + 1).padStart(2, '0')} 10:00:00'`
      case 'bool':
        return random.pick(['true', 'false'])
    }
  }

  bool(scope: readonly ScopeColumn[], depth: number): string {
    const random = this.#random
    const roll = random.below(depth > 0 ? 14 : 8)
    const kind = this.kind()
    const of = (k: Kind): string => this.of(k, scope, depth - 1)
    switch (roll) {
      case 0:
        return `${this.anyColumn(scope).sql} IS ${random.chance(0.5) ? 'NOT ' : ''}NULL`
      case 1:
        return `${of('int')} IN (${[1, 2, 3].map(() => this.literal('int')).join(', ')}${random.chance(0.1) ? ', NULL' : ''})`
      case 2:
        return `${of('text')} LIKE ${random.pick(["'a%'", "'%a%'", "'_o%'", "'%'"])}`
      case 3:
        return `${of(kind)} BETWEEN ${this.literal(kind)} AND ${this.literal(kind)}`
      case 4:
        return `${of(kind)} IS ${random.chance(0.5) ? 'NOT ' : ''}DISTINCT FROM ${of(kind)}`
      case 8:
        return `(${this.bool(scope, depth - 1)} OR ${this.bool(scope, depth - 1)})`
      case 9:
        return `NOT (${this.bool(scope, depth - 1)})`
      case 10:
        return `(${this.bool(scope, depth - 1)} AND ${this.bool(scope, depth - 1)})`
      case 11:
      case 12:
        return this.#subqueries.test(scope, LEVELS)
      case 13:
        return `(${this.bool(scope, depth - 1)}) IS ${random.pick(['TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE'])}`
      default: {
        const operator = random.pick(['=', '<>', '<', '<=', '>', '>='])
        return `${of(kind)} ${operator} ${random.chance(0.6) ? this.literal(kind) : of(kind)}`
      }
    }
  }

  /** A correlated or plain subquery with one value. */
  scalarSubquery(scope: readonly ScopeColumn[]): string {
    return this.#subqueries.scalar(scope, LEVELS)
  }

  /** Values that are not of the everyday types. */
  exotic(scope: readonly ScopeColumn[]): string {
    const int = this.column('int', scope) ?? '3'
    const text = this.column('text', scope) ?? "'t'"
    const at = this.column('timestamp', scope) ?? "TIMESTAMP '2020-01-01 01:02:03'"
    const big = this.column('big', scope) ?? '9223372036854775807'
    return this.#random.pick([
      `CAST(${at} AS TIMESTAMP_S)`,
      `CAST(${at} AS TIMESTAMP_MS)`,
      `CAST(${at} AS TIMESTAMP_NS)`,
      `CAST(${at} AS TIMESTAMPTZ)`,
      `CAST(${at} AS TIME)`,
      `CAST(CAST(${at} AS TIMESTAMPTZ) AS TIMETZ)`,
      `[${int}, 1]`,
      `{'a': ${int}, 'b': ${text}}`,
      `array_value(${int}, 1)`,
      `MAP {'x': ${int}}`,
      'NULL',
      `CAST(abs(${int}) AS UINTEGER)`,
      `CAST(abs(${int}) AS UHUGEINT)`,
      `CAST(${big} AS HUGEINT) * 3`,
      `[CAST(${big} AS HUGEINT)]`,
      `{'h': CAST(${big} AS HUGEINT)}`,
      `INTERVAL (${int}) DAY`,
      `encode(${text})`,
      `CAST(md5(${text}) AS UUID)`,
      `CAST(coalesce(${int}, 1) AS BIT)`,
      `CAST(CASE WHEN ${int} > 2 THEN 'lo' ELSE 'hi' END AS ENUM('hi', 'lo'))`,
      `to_json(${int})`,
      `CAST(${int} AS VARIANT)`,
      `list_transform([1, ${int}], lambda k: k + 1)`,
      `list_filter([1, 2], lambda x: x > ${int})`,
    ])
  }

  /** A number out of a list or a struct. */
  #ofNested(scope: readonly ScopeColumn[]): string {
    const list = this.column('list', scope) ?? `[${this.of('int', scope, 0)}, NULL, 2]`
    const struct = this.column('struct', scope) ?? `{'a': ${this.of('int', scope, 0)}, 'b': 'x'}`
    return this.#random.pick([
      `len(${list})`,
      `${list}[1]`,
      `list_max(${list})`,
      `CAST(list_sum(list_transform(${list}, lambda v: v + ${this.of('int', scope, 0)})) AS BIGINT)`,
      `struct_extract(${struct}, 'a')`,
      `length(struct_extract(${struct}, 'b'))`,
      `CASE WHEN list_contains(${list}, 2) THEN 1 END`,
    ])
  }

  #int(inner: (kind: Kind) => string): string {
    const random = this.#random
    return random.pick([
      () => `(CAST(${inner('int')} AS BIGINT) + ${inner('int')})`,
      () => `(${inner('int')} % ${random.below(4) + 2})`,
      () => `length(${inner('text')})`,
      () => `CASE WHEN ${inner('bool')} THEN ${inner('int')} ELSE ${inner('int')} END`,
      () => `coalesce(${inner('int')}, ${random.below(9)})`,
      () => `extract(year FROM ${inner('date')})`,
      () => `nullif(${inner('int')}, ${random.below(4)})`,
      () => `CAST(${inner('big')} % 7 AS INTEGER)`,
      // By zero it is NULL, and what is too large is tried only.
      () => `(${inner('int')} ${random.pick(['//', '%'])} ${inner('int')})`,
      () => `TRY_CAST(${inner('big')} AS INTEGER)`,
      () => `TRY_CAST(${inner('text')} AS INTEGER)`,
    ])()
  }

  #decimal(inner: (kind: Kind) => string): string {
    return this.#random.pick([
      () => `(${inner('decimal')} * 2)`,
      () => `(${inner('decimal')} + 1.25)`,
      () => `round(${inner('decimal')}, 1)`,
      () => `CAST(${inner('int')} % 1000 AS DECIMAL(10,2))`,
      () => `coalesce(${inner('decimal')}, 0.5)`,
    ])()
  }

  #double(inner: (kind: Kind) => string): string {
    return this.#random.pick([
      () => `(${inner('double')} * 0.5)`,
      () => `(${inner('double')} + 1)`,
      () => `CAST(${inner('int')} AS DOUBLE)`,
      () => `coalesce(${inner('double')}, CAST(2 AS DOUBLE))`,
      () => `(${inner('int')} / 4)`,
      () => `(${inner('double')} / ${inner('int')})`,
      () => `(${inner('int')} / ${inner('int')})`,
      () => `(-${inner('double')})`,
    ])()
  }

  #text(inner: (kind: Kind) => string): string {
    return this.#random.pick([
      () => `upper(${inner('text')})`,
      () => `substr(${inner('text')}, 1, 2)`,
      () => `(${inner('text')} || '-' || ${inner('text')})`,
      () => `CAST(${inner('int')} AS VARCHAR)`,
      () => `coalesce(${inner('text')}, '?')`,
      () => `CASE WHEN ${inner('bool')} THEN ${inner('text')} END`,
    ])()
  }
}
