import type { Database } from '../../sdk/database.ts'
import type { Session } from '../../sdk/session.ts'
import { DEFAULT_DATABASE } from '../../sdk/options.ts'
import { type Dialect, dialectOf } from '../dialect.ts'
import { type OpenedOutput, openOutput, standardOutput } from '../output-file.ts'
import type { FormatName } from '../formats/format.ts'
import { EXIT, type ShellIo } from '../shell-io.ts'
import { findSemicolon, isBlank, type Split, splitStatements } from '../split-statements.ts'
import type { SqlOptions } from '../sql-options.ts'
import { StatementRunner } from '../statement-runner.ts'
import { HISTORY_LINES_MAX } from './history-file.ts'
import { interpolate } from './variables.ts'

/** What the shell is set to, and the statement that is being typed. */
export class ShellState {
  readonly variables = new Map<string, string>()
  /** The lines of the statement so far. */
  buffer = ''
  /** The last statement that ran, for `\g`, `\watch` and `\e`. */
  last: string | undefined
  format: FormatName
  expanded = false
  timing: boolean
  readonly #options: SqlOptions
  readonly #io: ShellIo
  readonly #lines: string[]
  #database: Database
  #ownsDatabase = false
  #runner: StatementRunner
  #target: OpenedOutput

  constructor(database: Database, options: SqlOptions, io: ShellIo, lines: string[]) {
    this.#database = database
    this.#options = options
    this.#io = io
    this.#lines = lines
    this.format = options.format ?? 'table'
    this.timing = options.timing
    this.#target = standardOutput(io)
    this.#runner = this.#newRunner()
  }

  get database(): Database {
    return this.#database
  }

  get session(): Session {
    return this.#database
  }

  /** How the session reads text now. */
  get dialect(): Dialect {
    return dialectOf(this.session.settings)
  }

  /** Whether the statement so far is blanks and comments at most. */
  get isFresh(): boolean {
    return isBlank(this.buffer, this.dialect)
  }

  /** What the statement so far has open. */
  get open(): Split['open'] {
    return splitStatements(this.buffer, this.dialect).open
  }

  get runner(): StatementRunner {
    return this.#runner
  }

  /** Lines typed so far, in this shell and before, oldest first. */
  get lines(): readonly string[] {
    return this.#lines
  }

  typed(line: string): void {
    if (line.trim() === '') return
    this.#lines.push(line)
    if (this.#lines.length > HISTORY_LINES_MAX) this.#lines.shift()
  }

  /** Drops the statement that is being typed. */
  forget(): void {
    this.buffer = ''
  }

  prompt(): string {
    const { database } = this.session
    const name = database === DEFAULT_DATABASE ? 'nyala' : `nyala:${database}`
    const { rest, open } = splitStatements(this.buffer, this.dialect)
    // As psql has it: `*` in a transaction, `!` in one that has failed.
    const transaction = { none: '', open: '*', failed: '!' }[this.session.transactionState]
    if (rest.text === '' && open === 'nothing') return `${name}${transaction}> `
    const mark = { nothing: '-', string: "'", name: '"', comment: '*' }[open]
    return `${' '.repeat(Math.max(0, name.length - 1))}${mark}${transaction}> `
  }

  /**
   * Adds text to the statement and runs all statements that are complete now. One that fails does not keep those after it
   * from running, as in psql: each was asked for, and each tells its own error. Ctrl-C drops what has not run yet.
   */
  async addText(text: string): Promise<void> {
    let waiting = this.buffer + text
    this.buffer = ''
    for (;;) {
      // Asked anew each time: the statement that just ran may have changed the dialect.
      const { dialect } = this
      const { end } = findSemicolon(waiting, 0, dialect)
      if (end === undefined) break
      const statement = waiting.slice(0, end).trim()
      waiting = waiting.slice(end + 1)
      if (isBlank(statement, dialect)) continue
      if ((await this.runStatement(statement)) === EXIT.interrupted) return
    }
    // What follows the last semicolon begins the next statement; blanks alone begin none.
    this.buffer = waiting.trimStart()
  }

  /** Runs one statement as the shell is set now. Resolves with an exit code. */
  async runStatement(text: string, options: { readonly expanded?: boolean } = {}): Promise<number> {
    this.last = text
    return this.runSql(interpolate(text, this.variables, this.dialect), options)
  }

  /** Runs SQL that nobody typed; it is not the "last statement". */
  async runSql(sql: string, options: { readonly expanded?: boolean } = {}): Promise<number> {
    return this.#ready(options.expanded ?? this.expanded).run(sql)
  }

  /** Runs a line `\copy …`. Resolves with an exit code. */
  async copy(line: string): Promise<number> {
    return this.#ready(this.expanded).copy(line)
  }

  #ready(expanded: boolean): StatementRunner {
    const { runner } = this
    runner.output = this.#target.output
    runner.options = {
      ...runner.options,
      format: expanded ? 'vertical' : this.format,
      timing: this.timing,
    }
    return runner
  }

  /** Sends results to a file, or back to the screen. Rejects, and changes nothing, when the file cannot be opened. */
  async redirect(file: string | undefined): Promise<void> {
    const next = await openOutput(file, this.#io)
    await this.#target[Symbol.asyncDispose]()
    this.#target = next
  }

  async connect(url: string): Promise<void> {
    const next = await this.#io.connect({ url, application: 'nyala sql' })
    await this.#closeDatabase()
    this.#database = next
    this.#ownsDatabase = true
    this.#runner = this.#newRunner()
  }

  async close(): Promise<void> {
    await this.#target[Symbol.asyncDispose]()
    await this.#closeDatabase()
  }

  /** The first database is its opener's to close. */
  async #closeDatabase(): Promise<void> {
    if (this.#ownsDatabase) await this.#database.close()
  }

  #newRunner(): StatementRunner {
    const noColor = this.#options.noColor || (this.#io.environment('NO_COLOR') ?? '') !== ''
    return new StatementRunner(this.#database, this.#io, this.#target.output, {
      format: this.format,
      color: !noColor,
      progress: true,
      timing: this.timing,
      jsonErrors: this.#options.jsonErrors,
    })
  }
}
