/** What a client did in one transaction, in its order, and what it was shown. */
export type Operation =
  /** Puts a value at the end of a list. */
  | { readonly kind: 'append'; readonly key: string; readonly value: number }
  | { readonly kind: 'list'; readonly key: string; readonly values: readonly number[] }
  /** Puts values into a set, in one statement. */
  | { readonly kind: 'add'; readonly key: string; readonly values: readonly number[] }
  | { readonly kind: 'set'; readonly key: string; readonly values: readonly number[] }
  /** What accounts hold, by their names. */
  | { readonly kind: 'accounts'; readonly balances: Readonly<Record<string, number>> }
  /** Which element of a ring follows which. */
  | { readonly kind: 'ring'; readonly next: Readonly<Record<string, number>> }

/** `unknown`: its client was not told how it ended. */
export type End = 'committed' | 'aborted' | 'unknown'

/** One transaction, as its client knows it; a statement of its own is one, too. */
export interface Transaction {
  readonly id: string
  /** Transactions of one session come one after another, and each sees what the one before has seen and done. */
  readonly session: string
  /** What its client was about: `add`, `transfer` … */
  readonly kind?: string
  /** The coordinator that it was sent to; another one may have answered. */
  readonly coordinator?: string
  readonly end: End
  /** Why it did not commit. */
  readonly error?: string
  /** Milliseconds of one clock for all clients. */
  readonly began: number
  readonly ended: number
  /** The catalog revision that its session had seen when it began: it reads nothing older. */
  readonly token: number
  /** The one that its session had seen when it ended. */
  readonly revision: number
  readonly operations: readonly Operation[]
}

export type History = readonly Transaction[]

/** What is not as it was promised. */
export interface Anomaly {
  /** As in the literature: `G1a`, `G-single-session`, `lost`, `wrong-total` … */
  readonly name: string
  readonly text: string
}

export const lineOf = (transaction: Transaction): string => `${JSON.stringify(transaction)}\n`

/** The history of a file with one transaction a line. */
export const parseHistory = (text: string): History =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Transaction)
