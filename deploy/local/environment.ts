import type { Clock } from '@nyala/client/base'
import type { Programs } from './engine-member.ts'

/** What a program takes from the outside world, handed in by its `main.ts`. */
export interface Environment {
  readonly clock: Clock
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly directory: string
  /** A line for the person or program that called: standard output. */
  readonly print: (line: string) => void
  /** A line about what goes on: standard error. */
  readonly report: (line: string) => void
  /** The script that runs, for starting it again in the background. */
  readonly program: string
  /** Other programs than the installed ones for coordinators and executors. */
  readonly programs?: Programs
}
