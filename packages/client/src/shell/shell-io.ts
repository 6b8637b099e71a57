import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { ConnectOptions } from '../sdk/options.ts'
import type { Database } from '../sdk/database.ts'

/** Everything of the process that a command touches; tests pass their own. */
export interface ShellIo {
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined }
  readonly stdout: Writable & {
    readonly isTTY?: boolean | undefined
    readonly columns?: number | undefined
  }
  readonly stderr: Writable & {
    readonly isTTY?: boolean | undefined
    readonly columns?: number | undefined
  }
  readonly environment: (name: string) => string | undefined
  /** The user's home directory. */
  readonly home: string
  readonly clock: Clock
  readonly connect: (options: ConnectOptions) => Promise<Database>
  /** Calls `action` when the user interrupts; the returned function ends that. */
  readonly onInterrupt: (action: () => void) => () => void
}

/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  failed: 1,
  cannotConnect: 2,
  usage: 3,
  outcomeUnknown: 4,
  interrupted: 130,
} as const

/** A wrong command line or configuration: the message says what, and the command ends with {@link EXIT.usage}. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
