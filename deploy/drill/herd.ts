import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { deferred, type Deferred } from '@nyala/client/base'
import type { Question } from './facts.ts'

/** A connection that a client of a herd has made. */
export interface HerdConnect {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly wallMs: number
  readonly coordinator: string
}

/** A client has lost its coordinator and come to another, whether that answers it in time or not. */
export interface HerdReturn {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly wallMs: number
  /** The coordinator that was lost. */
  readonly from: string
  /** Address of the first other that it dialled. */
  readonly to: string
}

/** What the clients of a herd did at one order. */
export interface HerdResult {
  /** Of every call, milliseconds. */
  readonly tookMs: readonly number[]
  /** Calls that ended with a typed error, the first of which are told. An untyped one ends the process. */
  readonly failed: number
  readonly errors: readonly string[]
  /** Answers that are not what is known to be right. */
  readonly wrong: number
  readonly connects: readonly HerdConnect[]
  readonly returns: readonly HerdReturn[]
}

export type HerdSaid = { readonly kind: 'midway' } | ({ readonly kind: 'done' } & HerdResult)

export interface HerdOptions {
  readonly clients: number
  readonly url: string
  readonly database: string
  readonly questions: readonly Question[]
  readonly variables: Readonly<Record<string, string | undefined>>
}

/** Clients are spread over so many processes: one would be busier than the cluster. */
const PROCESSES = 2

/** Many clients at once, in processes of their own, which end with this one. */
export class Herd implements AsyncDisposable {
  readonly #options: HerdOptions
  readonly #parts: readonly HerdPart[]

  constructor(options: HerdOptions) {
    this.#options = options
    this.#parts = Array.from({ length: PROCESSES }, () => new HerdPart(options.variables))
  }

  /** All connect at once. */
  async connect(): Promise<HerdResult> {
    const { clients, url, database, questions } = this.#options
    const each = Math.ceil(clients / PROCESSES)
    return this.#order({ kind: 'connect', url, database, clients: each, questions }).done
  }

  /** Each asks so many questions, one after another; `midway` resolves when a quarter of all is answered. */
  ask(times: number): { readonly midway: Promise<unknown>; readonly done: Promise<HerdResult> } {
    return this.#order({ kind: 'ask', times })
  }

  #order(order: object): { readonly midway: Promise<unknown>; readonly done: Promise<HerdResult> } {
    const parts = this.#parts.map((part) => part.order(order))
    const midway = Promise.all(parts.map((part) => part.midway))
    const done = Promise.all(parts.map((part) => part.done)).then(together)
    // Where one fails both do, and one of them may be nobody's.
    midway.catch(() => undefined)
    done.catch(() => undefined)
    return { midway, done }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.end()))
  }
}

const together = (results: readonly HerdResult[]): HerdResult => ({
  tookMs: results.flatMap(({ tookMs }) => tookMs),
  failed: results.reduce((sum, one) => sum + one.failed, 0),
  errors: results.flatMap(({ errors }) => errors),
  wrong: results.reduce((sum, one) => sum + one.wrong, 0),
  connects: results.flatMap(({ connects }) => connects),
  returns: results.flatMap(({ returns }) => returns),
})

/** One process of a herd, which does one thing at a time. */
class HerdPart {
  readonly #process: ChildProcess
  readonly #gone = deferred<void>()
  #midway: Deferred<void> = deferred()
  #done: Deferred<HerdResult> = deferred()

  constructor(variables: HerdOptions['variables']) {
    const program = fileURLToPath(new URL('./herd-main.js', import.meta.url))
    const child = spawn(process.execPath, [program], {
      env: { ...variables },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#process = child
    // What is written to a process that has ended is of no interest: its end is told.
    child.stdin.on('error', () => undefined)
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
    const fail = (reason: Error): void => {
      this.#midway.reject(reason)
      this.#done.reject(reason)
      this.#gone.resolve()
    }
    child.once('error', fail)
    child.once('exit', (code, signal) => fail(new Error(`clients ended: ${code ?? signal}`)))
  }

  order(order: object): { readonly midway: Promise<void>; readonly done: Promise<HerdResult> } {
    this.#midway = deferred()
    this.#done = deferred()
    const [midway, done] = [this.#midway.promise, this.#done.promise]
    midway.catch(() => undefined)
    done.catch(() => undefined)
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`)
    return { midway, done }
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone.promise
  }

  #onLine(line: string): void {
    const said = JSON.parse(line) as HerdSaid
    if (said.kind === 'midway') this.#midway.resolve()
    else this.#done.resolve(said)
  }
}
