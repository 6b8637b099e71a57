/** Bounds on the text of one request, checked before any parser sees it. */
export interface SqlLimits {
  /** `sql_text_bytes_max`: UTF-8 bytes of the whole text. */
  readonly textBytesMax: number
  /** `sql_tokens_max`: tokens of the whole text, comments not counted. */
  readonly tokensMax: number
  /** `sql_nesting_max`: open parentheses, brackets, braces and CASEs at one place. */
  readonly nestingMax: number
  /** `sql_expression_terms_max`: operators and AND or OR of one statement. */
  readonly expressionTermsMax: number
}

/**
 * DuckDB stops at an expression depth of 1,000 and every parenthesis of ours may cost it more than
 * one level, so 400 leaves room. Token and term counts keep the parser and the guard, which are linear,
 * under about 100 ms: a longer list of values belongs into a table.
 */
export const DEFAULT_SQL_LIMITS: SqlLimits = {
  textBytesMax: 1024 * 1024,
  tokensMax: 100_000,
  nestingMax: 400,
  expressionTermsMax: 10_000,
}
