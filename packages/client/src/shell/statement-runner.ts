import { SqlError } from '../protocol/errors.ts'
import type { Session, StreamOptions } from '../sdk/session.ts'
import type { Outcome, QueryStream } from '../sdk/query-stream.ts'
import { errorReport, exitCodeOf, jsonErrorReport } from './error-report.ts'
import { FORMATS, type FormatName, writeResult } from './formats/format.ts'
import type { Output } from './output.ts'
import { moveText, ProgressLine } from './progress-line.ts'
import { EXIT, type ShellIo } from './shell-io.ts'

export interface RunnerOptions {
  readonly format: FormatName
  readonly color: boolean
  readonly progress: boolean
  readonly timing: boolean
  readonly jsonErrors: boolean
}

/** Runs statements of one session, one after the other, and shows what becomes of them. */
export class StatementRunner {
  options: RunnerOptions
  output: Output
  readonly #session: Session
  readonly #io: ShellIo
  #lastQueryId: string | undefined

  constructor(session: Session, io: ShellIo, output: Output, options: RunnerOptions) {
    this.#session = session
    this.#io = io
    this.output = output
    this.options = options
  }

  /** Id of the last statement that a coordinator took, for `profile` and `summary`. */
  get lastQueryId(): string | undefined {
    return this.#lastQueryId
  }

  /** Runs one statement and resolves with an exit code. Errors of the statement are shown, not thrown. */
  async run(sql: string, statementId?: string): Promise<number> {
    return this.#guarded(sql, async (signal) => {
      const outcome = await this.#stream(sql, { signal, statementId })
      for (const notice of outcome.notices) this.#io.stderr.write(`NOTICE: ${notice}\n`)
    })
  }

  /** Runs a line `\copy …`, and resolves with an exit code as {@link run} does. */
  async copy(line: string, statementId?: string): Promise<number> {
    return this.#guarded(undefined, async (signal) => {
      const { runCopy } = await import('./copy/copy.ts')
      const context = { session: this.#session, io: this.#io, signal, statementId }
      const count = await runCopy(line, context)
      if (FORMATS[this.options.format].forPeople) await this.output.write(`COPY ${count}\n`)
      await this.output.end()
    })
  }

  async #guarded(
    sql: string | undefined,
    action: (signal: AbortSignal) => Promise<void>,
  ): Promise<number> {
    const interrupt = new AbortController()
    const release = this.#io.onInterrupt(() => interrupt.abort())
    const started = this.#io.clock.now()
    try {
      await action(interrupt.signal)
      if (this.options.timing) this.#showTime(this.#io.clock.now() - started)
      return EXIT.ok
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      this.report(error, sql)
      return interrupt.signal.aborted ? EXIT.interrupted : exitCodeOf(error)
    } finally {
      release()
    }
  }

  /** Shows the profile of the last statement, as text by `show`. Resolves with an exit code. */
  async runProfile(show: (profile: unknown) => string): Promise<number> {
    try {
      if (this.#lastQueryId === undefined)
        throw new SqlError('undefined_object', 'no query has run yet', {
          hint: 'run a query in the same session first',
        })
      await this.output.write(show(await this.#session.profile(this.#lastQueryId)))
      await this.output.end()
      return EXIT.ok
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      this.report(error)
      return exitCodeOf(error)
    }
  }

  async #stream(sql: string, how: Pick<StreamOptions, 'signal' | 'statementId'>): Promise<Outcome> {
    const format = FORMATS[this.options.format]
    const line = this.options.progress ? new ProgressLine(this.#io) : undefined
    const stream: QueryStream = this.#session.stream(sql, [], {
      ...how,
      types: format.types,
      onProgress: (progress) => line?.show(progress),
      onMoved: (move) => line?.note(moveText(move)),
    })
    // The line must be gone before the first row is written where both go to one terminal.
    void stream.columns.then(
      () => line?.erase(),
      () => undefined,
    )
    try {
      return await writeResult(stream, format, this.output, { color: this.options.color })
    } finally {
      this.#lastQueryId = stream.id ?? this.#lastQueryId
      line?.end()
      await this.output.end()
    }
  }

  report(error: SqlError, sql?: string): void {
    const text = this.options.jsonErrors ? jsonErrorReport(error) : errorReport(error, sql)
    this.#io.stderr.write(text)
  }

  #showTime(ms: number): void {
    this.#io.stderr.write(
      `Time: ${ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(3)} s`}\n`,
    )
  }
}
