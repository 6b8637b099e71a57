import { readFile, writeFile } from 'node:fs/promises'
import {
  connect,
  type Database,
  param,
  type ParameterValue,
  type Session,
  SqlError,
} from '@nyala/client'
import type { Test } from 'tap'
import { parseSuite, type QueryRecord, type StatementRecord, withRows } from './script.ts'
import { rowText, sameLine, typeLetter } from './value-text.ts'

export interface SuiteOptions {
  /** URLs of the coordinators, each alone. */
  readonly coordinators: readonly string[]
  readonly data: string
  /** Rewrites the rows of queries by what they are; for a person to read and to commit. */
  readonly update: boolean
}

/** Runs the records of a suite in order, each an assertion of `t`, in a database of the suite's own. */
export async function runSuite(
  t: Test,
  path: URL,
  name: string,
  options: SuiteOptions,
): Promise<void> {
  const text = await readFile(path, 'utf8')
  await using world = new SuiteWorld(options)
  await world.begin(`suite_${name.replaceAll(/\W+/g, '_')}`)
  const changes = new Map<QueryRecord, readonly string[]>()
  for (const record of parseSuite(text)) {
    const claim = `line ${record.first + 1}: ${'sql' in record ? record.sql : record.kind}`
    switch (record.kind) {
      case 'coordinator':
        await world.goOnAt(Number(record.value) - 1)
        break
      case 'session':
        await world.switchTo(record.value)
        break
      case 'parameters':
        world.parameters = parseParameters(record.value)
        break
      case 'statement':
        await checkStatement(t, world, record, claim)
        break
      case 'query': {
        const rows = await checkQuery(t, world, record, claim)
        if (rows !== undefined && record.order !== 'contains') changes.set(record, rows)
      }
    }
  }
  if (options.update) await writeFile(path, withRows(text, changes))
}

/** Sessions by name, each at one coordinator at a time. */
class SuiteWorld implements AsyncDisposable {
  readonly #options: SuiteOptions
  readonly #databases = new Map<number, Database>()
  readonly #sessions = new Map<string, Session>()
  #database = 'default'
  #at = 0
  #name = 'first'
  parameters: readonly ParameterValue[] = []

  constructor(options: SuiteOptions) {
    this.#options = options
  }

  get session(): Session {
    const session = this.#sessions.get(this.#name)
    if (session === undefined) throw new Error('the suite has not begun')
    return session
  }

  async begin(database: string): Promise<void> {
    const first = await this.#connection(0)
    await first.execute(`DROP DATABASE IF EXISTS ${database} CASCADE`)
    await first.execute(`CREATE DATABASE ${database}`)
    this.#database = database
    await this.switchTo('first')
  }

  async switchTo(name: string): Promise<void> {
    this.#name = name
    if (this.#sessions.has(name)) return
    const connection = await this.#connection(this.#at)
    this.#sessions.set(name, await connection.session({ database: this.#database }))
  }

  /** The same conversation with another coordinator: database, settings, and what it has seen. */
  async goOnAt(coordinator: number): Promise<void> {
    const { database, settings, revision } = this.session
    this.#at = coordinator
    const connection = await this.#connection(coordinator)
    this.#sessions.set(this.#name, await connection.session({ database, set: settings, revision }))
  }

  /** A session as this one is, but for how it distributes; what it sets is not seen by this one. */
  async sessionWith(distribution: (typeof MODES)[number]): Promise<Session> {
    const { database, settings, revision } = this.session
    const connection = await this.#connection(this.#at)
    return connection.session({ database, set: { ...settings, distribution }, revision })
  }

  /** The text with the suite's places in it. */
  expand(sql: string): string {
    return sql.replaceAll('${data}', this.#options.data)
  }

  /** A text of an answer, with the places by their names again. */
  collapse(text: string): string {
    return text.replaceAll(this.#options.data, '${data}')
  }

  takeParameters(): readonly ParameterValue[] {
    const { parameters } = this
    this.parameters = []
    return parameters
  }

  async #connection(coordinator: number): Promise<Database> {
    const known = this.#databases.get(coordinator)
    if (known !== undefined) return known
    const url = this.#options.coordinators[coordinator]
    if (url === undefined) throw new Error(`there is no coordinator ${coordinator + 1}`)
    const types = { date: 'string', timestamp: 'string' } as const
    const database = await connect({ url, discover: false, types })
    this.#databases.set(coordinator, database)
    return database
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const database of this.#databases.values()) await database.close()
  }
}

async function checkStatement(
  t: Test,
  world: SuiteWorld,
  record: StatementRecord,
  claim: string,
): Promise<void> {
  const { expect } = record
  const parameters = world.takeParameters()
  try {
    const result = await world.session.execute(world.expand(record.sql), parameters)
    if (expect.kind === 'error') t.fail(`${claim}: succeeds, and should fail with ${expect.code}`)
    else if (expect.kind === 'notice') t.match(result.notices.join('\n'), expect.pattern, claim)
    else if (expect.command === undefined) t.pass(claim)
    else t.equal(result.command, expect.command, claim)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    const text = world.collapse(errorText(error))
    if (expect.kind !== 'error') t.fail(`${claim}: ${text}`)
    else if (error.code !== expect.code) t.equal(text, `error of ${expect.code}`, claim)
    else {
      t.match(text, expect.pattern, claim)
      await checkSameError(t, world, { record, claim, parameters, code: expect.code })
    }
  }
}

/** What fails fails in every way to run it. */
async function checkSameError(
  t: Test,
  world: SuiteWorld,
  run: {
    readonly record: StatementRecord
    readonly claim: string
    readonly parameters: readonly ParameterValue[]
    readonly code: string
  },
): Promise<void> {
  const { record, claim, parameters, code } = run
  // Another session does not see what this one's transaction has changed.
  if (!READS.test(record.sql) || world.session.transactionState !== 'none') return
  for (const mode of MODES) {
    const session = await world.sessionWith(mode)
    const error = await session.execute(world.expand(record.sql), parameters).then(
      () => undefined,
      (e: unknown) => e,
    )
    if (error instanceof SqlError && error.code === code) continue
    t.fail(`${claim}: ${mode}: ${error instanceof SqlError ? errorText(error) : 'succeeds'}`)
  }
}

/** All that an error says: `message (line 1, column 8; hint: …; detail: …)`. */
function errorText(error: SqlError): string {
  const { position, hint, detail } = error
  const parts = [
    ...(position === undefined ? [] : [`line ${position.line}, column ${position.column}`]),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
    ...(detail === undefined ? [] : [`detail: ${detail}`]),
  ]
  return `${error.code} ${error.message}${parts.length === 0 ? '' : ` (${parts.join('; ')})`}`
}

/** The rows as lines; undefined where there are none to be had. */
async function checkQuery(
  t: Test,
  world: SuiteWorld,
  record: QueryRecord,
  claim: string,
): Promise<readonly string[] | undefined> {
  const parameters = world.takeParameters()
  let lines: string[]
  try {
    lines = await linesOf(t, world, { record, claim, session: world.session, parameters })
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    t.fail(`${claim}: ${world.collapse(errorText(error))}`)
    return undefined
  }
  if (record.order === 'contains') checkContained(t, lines, record, claim)
  else if (isSame(lines, record)) t.pass(claim)
  else t.same(lines, record.rows, claim)
  const isAlone = world.session.transactionState === 'none'
  if (isAlone && record.order !== 'contains' && READS.test(record.sql)) {
    for (const mode of MODES) {
      const session = await world.sessionWith(mode)
      const again = await linesOf(t, world, { record, claim, session, parameters })
      const [wanted, got] = hasOrder(record) ? [lines, again] : [lines.toSorted(), again.toSorted()]
      if (!isSame(got, { ...record, rows: wanted })) t.same(got, wanted, `${claim}: ${mode}`)
    }
  }
  return lines
}

/** What is read is read again in these ways to run it, and has to be the same. */
const MODES = ['force', 'single'] as const
const READS = /^\s*(\(|SELECT\b|WITH\b|VALUES\b|FROM\b)/i

/** False where rows may come in any order: of what a suite shows in order not all has been said to have one. */
const hasOrder = ({ order, sql }: QueryRecord): boolean =>
  order === 'rowsort' || /\bORDER BY\b[^()]*$/i.test(sql)

/** The rows of a query as the suite writes them; its types are asserted. */
async function linesOf(
  t: Test,
  world: SuiteWorld,
  run: {
    readonly record: QueryRecord
    readonly claim: string
    readonly session: Session
    readonly parameters: readonly ParameterValue[]
  },
): Promise<string[]> {
  const { record, claim, session, parameters } = run
  const stream = session.stream(world.expand(record.sql), parameters)
  const lines: string[] = []
  for await (const batch of stream.columnBatches()) {
    for (let row = 0; row < batch.length; row++) {
      lines.push(world.collapse(rowText(batch.columns.map((column) => column[row]))))
    }
  }
  const columns = await stream.columns
  const types = columns.map(typeLetter).join('')
  if (types !== record.types) t.equal(types, record.types, `${claim}: types`)
  if (record.order === 'rowsort') lines.sort()
  if (record.names) lines.unshift(columns.map((c) => c.name).join(' | '))
  return lines
}

const isSame = (lines: readonly string[], record: QueryRecord): boolean =>
  lines.length === record.rows.length &&
  lines.every((line, i) => sameLine(line, record.rows[i] ?? '', record.types))

function checkContained(
  t: Test,
  lines: readonly string[],
  record: QueryRecord,
  claim: string,
): void {
  let at = 0
  for (const wanted of record.rows) {
    const found = lines.findIndex((line, i) => i >= at && line.includes(wanted))
    if (found < 0) {
      t.fail(`${claim}: no line has "${wanted}"`, { lines })
      return
    }
    at = found
  }
  t.pass(claim)
}

function parseParameters(text: string): readonly ParameterValue[] {
  return (JSON.parse(text) as readonly unknown[]).map(parseParameter)
}

/** A value as JSON has it; `{"bytes": "00ff"}` is a Uint8Array and `{"type": …, "value": …}` has its type said. */
function parseParameter(value: unknown): ParameterValue {
  if (Array.isArray(value)) return value.map(parseParameter)
  if (typeof value !== 'object' || value === null) return value as ParameterValue
  if ('bytes' in value) return Uint8Array.from(Buffer.from(String(value.bytes), 'hex'))
  const typed = value as { readonly type: string; readonly value: string | null }
  return param(typed.value, typed.type)
}
