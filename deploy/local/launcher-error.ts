/** Exit codes of the programs here that are not 0; the same ones as the shell's. */
export const EXIT_FAILED = 1
export const EXIT_USAGE = 3
export const EXIT_INTERRUPTED = 130

/** Why a local cluster, or a command about one, cannot go on: says what, and in `hint` what to do. */
export class LauncherError extends Error {
  override readonly name = 'LauncherError'
  readonly hint: string | undefined
  /** What the program should exit with. */
  readonly exitCode: number

  constructor(
    message: string,
    options: {
      readonly hint?: string | undefined
      readonly exitCode?: number | undefined
      readonly cause?: unknown
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.hint = options.hint
    this.exitCode = options.exitCode ?? EXIT_FAILED
  }
}

/** A wrong option or a machine that is not ready: exit code 3. */
export const configurationError = (message: string, hint?: string): LauncherError =>
  new LauncherError(message, { hint, exitCode: EXIT_USAGE })
