export type Dialect = 'ansi' | 'impala'

export type TokenKind =
  /** A keyword or an unquoted name. */
  | 'word'
  /** `"x"` (not in Impala's dialect) or a back-ticked name. */
  | 'quoted'
  | 'string'
  | 'number'
  /** Digits that run into letters, like `2gb`: a value of SET, an error anywhere else. */
  | 'junk'
  /** `$1`, `$name`, `?`. */
  | 'parameter'
  /** `#1`. */
  | 'positional'
  /** Operators and punctuation, the text itself. */
  | 'symbol'
  /** `/*+ x *\/` and `-- +x`. */
  | 'hint'

/** One token; `start` and `end` are UTF-16 offsets in the user's text. */
export interface Token {
  readonly kind: TokenKind
  readonly start: number
  readonly end: number
  /**
   * What it stands for: the name without quotes, the text of a string with its escapes resolved, the
   * digits of a number, the name of a parameter (empty for `?`), the text of a hint.
   */
  readonly value: string
  /** An unquoted name or keyword in upper case; undefined for all other kinds. */
  readonly word: string | undefined
}

/** One statement of a script: the text it stands in and its first and last offset, without the semicolon. */
export interface StatementText {
  readonly script: string
  readonly start: number
  readonly end: number
  readonly tokens: readonly Token[]
}
