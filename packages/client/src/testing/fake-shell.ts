import { PassThrough, Writable } from 'node:stream'
import { systemClock } from '../base/clock.ts'
import { deferred } from '../base/deferred.ts'
import { connect } from '../sdk/index.ts'
import type { ShellIo } from '../shell/shell-io.ts'

/** A stream that keeps what is written, and lets a test wait for a text. */
export class Screen extends Writable {
  isTTY: boolean | undefined
  columns = 100
  text = ''
  #changed = deferred<void>()

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    const changed = this.#changed
    this.#changed = deferred<void>()
    changed.resolve()
    done()
  }

  /** Resolves when `wanted` has been written, after what was written before `from`. */
  async until(wanted: string | RegExp, from = 0): Promise<void> {
    const found = (): boolean => {
      const text = this.text.slice(from)
      return typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)
    }
    while (!found()) await this.#changed.promise
  }
}

export interface FakeShellOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly home?: string
  readonly terminal?: boolean
}

/** The outside of a shell for tests: a keyboard, two screens, an environment and Ctrl-C. */
export class FakeShell {
  readonly stdin: PassThrough & { isTTY?: boolean }
  readonly stdout = new Screen()
  readonly stderr = new Screen()
  readonly io: ShellIo
  readonly #interrupts = new Set<() => void>()

  constructor(options: FakeShellOptions = {}) {
    const terminal = options.terminal ?? false
    this.stdin = Object.assign(new PassThrough(), { isTTY: terminal })
    this.stdout.isTTY = terminal
    this.stderr.isTTY = terminal
    this.io = {
      stdin: this.stdin,
      stdout: this.stdout,
      stderr: this.stderr,
      environment: (name) => options.environment?.[name],
      home: options.home ?? '/nowhere',
      clock: systemClock,
      connect,
      onInterrupt: (action) => {
        this.#interrupts.add(action)
        return () => this.#interrupts.delete(action)
      },
    }
  }

  /** True while a command listens for Ctrl-C. */
  get interruptible(): boolean {
    return this.#interrupts.size > 0
  }

  interrupt(): void {
    for (const action of [...this.#interrupts]) action()
  }

  /** What is on the screen, without colours and cursor movements. */
  get plain(): string {
    return this.stdout.text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
  }
}
