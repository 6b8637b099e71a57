import { join } from 'node:path'
import { SqlError } from '../../protocol/errors.ts'
import type { Database } from '../../sdk/database.ts'
import { errorReport } from '../error-report.ts'
import { EXIT, type ShellIo } from '../shell-io.ts'
import type { SqlOptions } from '../sql-options.ts'
import { completeLine } from './completion.ts'
import { HistoryFile } from './history-file.ts'
import { LineSource } from './line-source.ts'
import { parseMeta, parseWordCommand } from './meta-commands.ts'
import { MetaRunner } from './meta-runner.ts'
import { ShellState } from './shell-state.ts'

/**
 * The interactive shell: reads lines, gathers them into statements, and runs each as its semicolon comes.
 *
 *   line ──► backslash or word command ─────────────────► run
 *        └─► statement so far ──► its semicolon came ───► run, the rest begins the next one
 */
export async function runInteractive(
  database: Database,
  options: SqlOptions,
  io: ShellIo,
): Promise<number> {
  const history = new HistoryFile(
    options.historyFile ?? join(io.home, '.nyala_history'),
    (problem) => io.stderr.write(`${problem}\n`),
  )
  const lines = [...(await history.load())]
  const state = new ShellState(database, options, io, lines)
  if (options.output !== undefined) await state.redirect(options.output)
  const source = new LineSource(io, {
    history: lines,
    complete: (line) => completeLine(state.session, state.buffer, line),
  })
  const shell = new InteractiveShell(state, source, history, io)
  try {
    io.stdout.write(welcome(database))
    return await shell.run()
  } finally {
    source.close()
    await state.close()
    await history.flushed()
  }
}

function welcome(database: Database): string {
  const { cluster, version } = database.server ?? { cluster: '?', version: '?' }
  return `nyala ${version}, cluster ${cluster}, coordinator ${database.coordinator ?? '?'}. \\? lists commands, \\q quits.\n`
}

class InteractiveShell {
  readonly #state: ShellState
  readonly #source: LineSource
  readonly #history: HistoryFile
  readonly #io: ShellIo
  readonly #meta: MetaRunner

  constructor(state: ShellState, source: LineSource, history: HistoryFile, io: ShellIo) {
    this.#state = state
    this.#source = source
    this.#history = history
    this.#io = io
    this.#meta = new MetaRunner(state, io)
  }

  async run(): Promise<number> {
    for (;;) {
      const input = await this.#source.next(this.#state.prompt())
      switch (input.kind) {
        case 'line':
          if (!(await this.#onLine(input.text))) return EXIT.ok
          break
        case 'interrupt':
          this.#onInterrupt(input.line)
          break
        case 'end':
          this.#io.stdout.write('\n')
          return EXIT.ok
      }
    }
  }

  /** At an empty prompt Ctrl-C tells how to leave; else it forgets what was typed. */
  #onInterrupt(line: string): void {
    this.#io.stdout.write('^C\n')
    if (line === '' && this.#state.isFresh) this.#io.stdout.write('\\q quits\n')
    this.#source.clear()
    this.#state.buffer = ''
  }

  /** False when the shell is to end. */
  async #onLine(text: string): Promise<boolean> {
    this.#history.add(text)
    this.#state.typed(text)
    return this.#source.suspended(async () => {
      try {
        return await this.#dispatch(text)
      } catch (error) {
        // An error of one command ends that command; the shell goes on.
        if (!(error instanceof SqlError)) throw error
        this.#io.stderr.write(errorReport(error, undefined))
        return true
      }
    })
  }

  async #dispatch(text: string): Promise<boolean> {
    const state = this.#state
    const fresh = state.isFresh
    if (text.trimStart().startsWith('\\') && state.open === 'nothing') {
      const call = parseMeta(text)
      if (typeof call !== 'string') return this.#meta.run(call)
      this.#io.stderr.write(`${call}\n`)
      return true
    }
    const word = fresh ? parseWordCommand(text) : undefined
    if (word !== undefined) return this.#meta.runWord(word)
    await state.addText(`${text}\n`)
    return true
  }
}
