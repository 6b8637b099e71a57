import type { Progress } from '../sdk/query-stream.ts'
import type { Move } from '../sdk/statement.ts'
import type { ShellIo } from './shell-io.ts'

const BAR_COLUMNS = 20
/** A terminal is not repainted more often than this. */
const REPAINT_MS = 100
const ERASE_LINE = '\r\u001b[2K'
const DEFAULT_COLUMNS = 80
/** The terminal echoes Ctrl-C as `^C`; that must not wrap, or the line could not be erased. */
const CARET_C_COLUMNS = 4

/** One line on standard error that shows how far the statement is: repainted in place on a terminal, and erased. */
export class ProgressLine {
  readonly #io: ShellIo
  #shownAt = -Infinity
  #visible = false
  #ended = false

  constructor(io: ShellIo) {
    this.#io = io
  }

  show(progress: Progress): void {
    const now = this.#io.clock.now()
    if (this.#ended || now - this.#shownAt < REPAINT_MS) return
    this.#shownAt = now
    const text = progressText(progress)
    if (this.#io.stderr.isTTY !== true) {
      this.#io.stderr.write(`${text}\n`)
      return
    }
    const columns = this.#io.stderr.columns ?? DEFAULT_COLUMNS
    this.#io.stderr.write(`${ERASE_LINE}${[...text].slice(0, columns - CARET_C_COLUMNS).join('')}`)
    this.#visible = true
  }

  /** A line of its own that stays, between two of progress. */
  note(text: string): void {
    this.erase()
    this.#io.stderr.write(`${text}\n`)
  }

  erase(): void {
    if (this.#visible) this.#io.stderr.write(ERASE_LINE)
    this.#visible = false
  }

  end(): void {
    this.#ended = true
    this.erase()
  }
}

/** `c1 was lost, going on with c2 at row 1200000` */
export function moveText({ from, to, resumed, rows }: Move): string {
  const lost = from === undefined ? 'the query was begun elsewhere' : `${from} was lost`
  return resumed ? `${lost}, going on with ${to} at row ${rows}` : `${lost}, running again on ${to}`
}

/** `0:13 ▕██████░░░▏ 64 %  6.45M rows · 473k rows/s · 41 MB/s · tasks 175/855 (34 running) · 3 executors` */
export function progressText(progress: Progress): string {
  const { fraction, rowsRead, tasksDone, tasksTotal, tasksRunning, executors } = progress
  const done = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_COLUMNS)
  const bar = `▕${'█'.repeat(done)}${'░'.repeat(BAR_COLUMNS - done)}▏`
  const parts = [
    `${shortCount(rowsRead)} rows`,
    `${shortCount(progress.rowsPerSecond)} rows/s`,
    `${shortCount(progress.bytesPerSecond)}B/s`,
    `tasks ${tasksDone}/${tasksTotal} (${tasksRunning} running)`,
    `${executors} ${executors === 1 ? 'executor' : 'executors'}`,
  ]
  const percent = Math.floor(Math.min(1, Math.max(0, fraction)) * 100)
  return `${clockText(progress.elapsedMs)} ${bar} ${percent} % ${progress.state}  ${parts.join(' · ')}`
}

function clockText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

const UNITS = ['', 'k', 'M', 'G', 'T'] as const

/** Three digits and a unit: `473k`, `6.45M`. */
export function shortCount(value: number): string {
  let scaled = value
  let unit = 0
  while (scaled >= 999.5 && unit < UNITS.length - 1) {
    scaled /= 1000
    unit++
  }
  const text = unit === 0 ? String(Math.round(scaled)) : scaled.toPrecision(3)
  return `${text}${UNITS[unit]}`
}
