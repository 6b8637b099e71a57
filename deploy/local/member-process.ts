import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { type Clock, type Log } from '@nyala/client/base'
import { LauncherError } from './launcher-error.ts'
import { type ProcessIdentity, processBirth, sendSignal } from './process-identity.ts'

export type MemberRole = 'etcd' | 'coordinator' | 'executor'

/** What a member is started with. */
export interface MemberSpec {
  readonly id: string
  readonly role: MemberRole
  /** `host:port` that it serves. */
  readonly address: string
  readonly command: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly logPath: string
  /**
   * Called before each process is made; resolves with what that one is given beyond the command. Rejects with the signal's
   * reason when aborted.
   */
  readonly prepare?: (options: { readonly signal: AbortSignal }) => Promise<readonly string[]>
  /** What ends it; a paused process that is killed needs no waking. */
  readonly stopSignal: 'SIGTERM' | 'SIGKILL'
  /** Resolves once the member serves; rejects with the signal's reason when aborted. */
  readonly ready: (child: ChildProcess, options: { readonly signal: AbortSignal }) => Promise<void>
}

export interface MemberProcessOptions {
  readonly clock: Clock
  readonly log: Log
  /** Called after each change of the process id, before anything else happens. */
  readonly onProcess: () => Promise<void>
}

/**
 * A member that does not serve by then is started anew, and has twice as long: on a machine that is very busy it would
 * else be killed each time shortly before it served.
 */
const READY_TIMEOUT_MS = 30_000
const READY_TIMEOUT_MAX_MS = 240_000
/** Time to finish what is being written; an etcd member under load takes longest. */
const STOP_TIMEOUT_MS = 10_000
/** Restarts wait this long at first, twice as long each time, up to the maximum. */
const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 10_000
/**
 * Whoever lived so long is started again after the least wait: starts this far apart strain nobody, and a member that is
 * lost for the fifth time in a minute to something outside it is not to be away for longer than the first time.
 */
const STABLE_AFTER_MS = 5_000
/** A log this large is set aside at the next start; with it a member holds at most twice as much. */
const LOG_BYTES_MAX = 16 * 1024 * 1024
/** How much of a log is quoted when a member fails to start. */
const LOG_TAIL_LINES = 8

/**
 * One member over all its processes.
 *
 *              start              ready
 *   stopped ──────────► starting ───────► running ──┐ exit, supervised
 *      ▲                   ▲  └─ exit ──► error     ▼
 *      │ stop              └─────────── waiting (back-off)
 *      └── from every state
 *
 * Only `supervise` leads to `waiting`: until then an exit before `ready` fails `start`, and a later one just ends in
 * `stopped`.
 */
export class MemberProcess {
  readonly spec: MemberSpec
  readonly #options: MemberProcessOptions
  #child: ChildProcess | undefined
  #identity: ProcessIdentity | undefined
  #exited: Promise<string> = Promise.resolve('not started')
  #supervised = false
  #stopping = new AbortController()
  #backoffMs = BACKOFF_MIN_MS
  #readyTimeoutMs = READY_TIMEOUT_MS
  #startedAt = 0
  #cancelRestart: (() => void) | undefined

  constructor(spec: MemberSpec, options: MemberProcessOptions) {
    this.spec = spec
    this.#options = options
  }

  /** The process that runs now; undefined when none does. */
  get identity(): ProcessIdentity | undefined {
    return this.#child === undefined ? undefined : this.#identity
  }

  /** Starts a process and waits until it serves. Fails with a {@link LauncherError} that quotes its log. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#stopping = new AbortController()
    const timeout = new AbortController()
    const limitMs = this.#readyTimeoutMs
    const cancel = this.#options.clock.after(limitMs, () => {
      this.#readyTimeoutMs = Math.min(READY_TIMEOUT_MAX_MS, 2 * limitMs)
      timeout.abort(new Error(`not ready after ${limitMs} ms`))
    })
    const signals = [timeout.signal, this.#stopping.signal, options.signal]
    const signal = AbortSignal.any(signals.filter((one) => one !== undefined))
    try {
      const more = (await this.spec.prepare?.({ signal })) ?? []
      signal.throwIfAborted()
      const child = this.#spawn(more)
      await this.#record(child)
      const exit = this.#exited.then((how) => Promise.reject(new Error(how)))
      await Promise.race([this.spec.ready(child, { signal }), exit])
      this.#readyTimeoutMs = READY_TIMEOUT_MS
      this.#options.log.info('memberReady', { id: this.spec.id, pid: child.pid })
    } catch (error) {
      timeout.abort(error)
      throw this.#startError(error)
    } finally {
      cancel()
    }
  }

  /** From now on an exit that nobody asked for is followed by a new start. */
  supervise(): void {
    this.#supervised = true
    if (this.#child === undefined && this.#cancelRestart === undefined) {
      this.#restartLater('not running')
    }
  }

  /** Sends a signal to the process; fails when none runs. */
  kill(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid === undefined || !sendSignal(pid, signal)) {
      throw new LauncherError(`"${this.spec.id}" does not run`)
    }
  }

  /** Resolves when no process of the member runs. */
  async exited(): Promise<void> {
    await this.#exited
  }

  /** Asks the process to stop, and kills it with all that it started when it does not. Never restarts it. */
  async stop(): Promise<void> {
    this.#supervised = false
    this.#cancelRestart?.()
    this.#cancelRestart = undefined
    this.#stopping.abort(new Error('stopped'))
    const pid = this.#child?.pid
    if (pid === undefined) return
    const cancel = this.#options.clock.after(STOP_TIMEOUT_MS, () => {
      this.#options.log.warn('memberKilled', { id: this.spec.id, pid, afterMs: STOP_TIMEOUT_MS })
      this.killNow()
    })
    sendSignal(pid, this.spec.stopSignal)
    // A paused process takes no signal but this one.
    sendSignal(pid, 'SIGCONT')
    await this.#exited
    cancel()
  }

  /** Kills the process `pid`, where it is still this member's, and all that it started; supervised, another one follows. */
  replace(pid: number): void {
    if (this.#child?.pid === pid) sendSignal(-pid, 'SIGKILL')
  }

  /** Kills the process and all that it started, at once. */
  killNow(): void {
    this.#supervised = false
    const pid = this.#child?.pid
    // A member leads a process group of its own, which its children belong to.
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL')
  }

  #spawn(more: readonly string[]): ChildProcess {
    setAsideLargeLog(this.spec.logPath)
    const log = openSync(this.spec.logPath, 'a')
    const [program, ...args] = [...endWithSupervisor(), ...this.spec.command, ...more]
    // A session of its own: the terminal's Ctrl-C reaches the supervisor only, which stops its members in order.
    this.#startedAt = this.#options.clock.now()
    let child: ChildProcess
    try {
      child = spawn(program as string, args, {
        stdio: ['ignore', 'pipe', log],
        detached: true,
        env: { ...this.spec.variables },
      })
    } finally {
      closeSync(log)
    }
    this.#child = child
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(`cannot be run: ${error.message}`))
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
      )
    })
    void this.#exited.then((how) => this.#onExit(child, how))
    return child
  }

  async #record(child: ChildProcess): Promise<void> {
    if (child.pid === undefined) return
    const birth = await processBirth(child.pid)
    if (birth !== undefined) this.#identity = { pid: child.pid, birth }
    await this.#options.onProcess()
  }

  #onExit(child: ChildProcess, how: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#identity = undefined
    this.#options.log.info('memberExited', { id: this.spec.id, pid: child.pid, how })
    if (this.#supervised) this.#restartLater(how)
  }

  #restartLater(why: string): void {
    if (this.#options.clock.now() - this.#startedAt >= STABLE_AFTER_MS) {
      this.#backoffMs = BACKOFF_MIN_MS
    }
    const waitMs = this.#backoffMs
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, waitMs * 2)
    this.#options.log.warn('memberRestarts', { id: this.spec.id, why, waitMs })
    this.#cancelRestart = this.#options.clock.after(waitMs, () => {
      this.#cancelRestart = undefined
      void this.start().catch((error: unknown) => this.#onRestartFailed(error))
    })
  }

  #onRestartFailed(error: unknown): void {
    if (!this.#supervised) return
    this.#options.log.warn('memberRestartFailed', { id: this.spec.id, error })
    // A process that runs but never got ready is ended here; its exit leads to the next try.
    const pid = this.#child?.pid
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL')
    // Where none was even made, as on a machine without room for one, there is no exit to wait for.
    if (this.#child === undefined && this.#cancelRestart === undefined) {
      this.#restartLater(error instanceof Error ? error.message : String(error))
    }
  }

  #startError(cause: unknown): LauncherError {
    const why = cause instanceof Error ? cause.message : String(cause)
    const tail = logTail(this.spec.logPath)
    return new LauncherError(
      `${this.spec.role} "${this.spec.id}" at ${this.spec.address} did not start: ${why}`,
      {
        hint: `its log "${this.spec.logPath}" ends with:\n${tail}`,
        cause,
      },
    )
  }
}

/**
 * Linux ends a member when its supervisor is gone, however that ended: nothing then lingers that nobody watches.
 * Elsewhere `nyala down` finds it through the state file.
 */
function endWithSupervisor(): readonly string[] {
  return existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'TERM', '--'] : []
}
const SETPRIV = '/usr/bin/setpriv'

function setAsideLargeLog(path: string): void {
  if (existsSync(path) && statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`)
}

function logTail(path: string): string {
  if (!existsSync(path)) return '(there is none)'
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  return lines.slice(-LOG_TAIL_LINES).join('\n')
}
