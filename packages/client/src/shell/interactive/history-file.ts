import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'

/** Lines kept; the file is cut back to these when it has grown to twice as many. */
export const HISTORY_LINES_MAX = 1_000

/** The lines that people typed, oldest first, in a file that only its owner may read. */
export class HistoryFile {
  readonly #path: string
  readonly #report: (problem: string) => void
  #pending: Promise<void> = Promise.resolve()

  constructor(path: string, report: (problem: string) => void) {
    this.#path = path
    this.#report = report
  }

  /** The kept lines. Where they cannot be read, none, and the reason is reported; a missing file is no problem. */
  async load(): Promise<readonly string[]> {
    try {
      const lines = (await readFile(this.#path, 'utf8')).split('\n').filter((line) => line !== '')
      const kept = lines.slice(-HISTORY_LINES_MAX)
      if (lines.length > HISTORY_LINES_MAX * 2) await this.#rewrite(kept)
      return kept
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#fail('read', error)
      return []
    }
  }

  /** Adds a line. Writes go out one after the other; a failed one is reported once and ends nothing. */
  add(line: string): void {
    if (line.trim() === '') return
    this.#pending = this.#pending
      .then(() => appendFile(this.#path, `${line}\n`, { mode: 0o600 }))
      .catch((error: unknown) => this.#fail('write', error))
  }

  /** Resolves when all added lines are written. */
  flushed(): Promise<void> {
    return this.#pending
  }

  async #rewrite(lines: readonly string[]): Promise<void> {
    const next = `${this.#path}.new`
    await writeFile(next, `${lines.join('\n')}\n`, { mode: 0o600 })
    await rename(next, this.#path)
  }

  #fail(verb: string, error: unknown): void {
    this.#report(`cannot ${verb} history "${this.#path}": ${(error as Error).message}`)
  }
}
