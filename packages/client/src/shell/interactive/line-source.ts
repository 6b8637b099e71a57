import { createInterface, type Interface } from 'node:readline'
import type { ShellIo } from '../shell-io.ts'
import { HISTORY_LINES_MAX } from './history-file.ts'
import type { Completions } from './completion.ts'

export interface LineSourceOptions {
  readonly history: readonly string[]
  readonly complete: (line: string) => Promise<Completions>
}

/** What came from the keyboard. */
export type Input =
  | { readonly kind: 'line'; readonly text: string }
  /** Ctrl-C; `line` is what had been typed. */
  | { readonly kind: 'interrupt'; readonly line: string }
  | { readonly kind: 'end' }

type RawInput = { setRawMode?: (raw: boolean) => unknown }

/**
 * Lines from a terminal, with editing, history and completion by node:readline. While a statement runs the terminal is
 * given back: Ctrl-C is then a signal to the process, and what is typed waits for its turn.
 */
export class LineSource {
  readonly #io: ShellIo
  readonly #readline: Interface
  readonly #inputs: Input[] = []
  #waiter: ((input: Input) => void) | undefined
  #ended = false

  constructor(io: ShellIo, options: LineSourceOptions) {
    this.#io = io
    this.#readline = createInterface({
      input: io.stdin,
      output: io.stdout,
      terminal: true,
      history: [...options.history].reverse(),
      historySize: HISTORY_LINES_MAX,
      removeHistoryDuplicates: true,
      completer: (
        line: string,
        done: (error: Error | null, result: [string[], string]) => void,
      ) => {
        options.complete(line).then(
          ([hits, completed]) => done(null, [hits, completed]),
          () => done(null, [[], line]),
        )
      },
    })
    this.#readline.on('line', (text) => this.#push({ kind: 'line', text }))
    this.#readline.on('SIGINT', () => this.#push({ kind: 'interrupt', line: this.#readline.line }))
    this.#readline.on('close', () => {
      this.#ended = true
      this.#push({ kind: 'end' })
    })
  }

  /** The next input; shows the prompt unless a line is waiting already. */
  next(prompt: string): Promise<Input> {
    const waiting = this.#inputs.shift()
    if (waiting !== undefined) return Promise.resolve(waiting)
    if (this.#ended) return Promise.resolve({ kind: 'end' })
    return new Promise((resolve) => {
      this.#waiter = resolve
      this.#readline.setPrompt(prompt)
      this.#readline.prompt()
    })
  }

  /** Forgets what has been typed on the present line, and whatever was waiting behind it. */
  clear(): void {
    this.#inputs.length = 0
    if (this.#readline.line === '') return
    // As people do it: to the end of the line, and away with all before.
    this.#readline.write(null, { ctrl: true, name: 'e' })
    this.#readline.write(null, { ctrl: true, name: 'u' })
  }

  /** Puts a text where the next line is typed. */
  type(text: string): void {
    this.#readline.write(text)
  }

  /** Gives the terminal back while `work` runs. */
  async suspended<T>(work: () => Promise<T>): Promise<T> {
    const raw = this.#io.stdin as RawInput
    this.#readline.pause()
    raw.setRawMode?.(false)
    try {
      return await work()
    } finally {
      if (!this.#ended) {
        raw.setRawMode?.(true)
        this.#readline.resume()
      }
    }
  }

  close(): void {
    this.#readline.close()
  }

  #push(input: Input): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter === undefined) this.#inputs.push(input)
    else waiter(input)
  }
}
