/** Bounds on the text of one request, checked before any recursive reader sees it. */
export interface SqlLimits {
  /** `sql_text_bytes_max`: UTF-8 bytes of the whole text. */
  readonly textBytesMax: number
  /** `sql_tokens_max`: tokens of the whole text, comments not counted. */
  readonly tokensMax: number
  /** `sql_nesting_max`: open parentheses, brackets, braces and CASEs at one place; levels of types in one statement. */
  readonly nestingMax: number
  /** `sql_expression_terms_max`: operators, AND, OR, NOT, JOIN and the like of one statement. */
  readonly expressionTermsMax: number
  /** `sql_set_operations_max`: UNIONs of one statement; EXCEPT and INTERSECT count four. */
  readonly setOperationsMax: number
}

/**
 * Chosen so that a statement at any of the limits is read, guarded or refused in less than a second:
 * DuckDB takes about 2 µs a token, and a statement is parsed twice. Its own limit on the depth of trees
 * (`EXPRESSION_DEPTH_MAX`) is 1,000, and one parenthesis may cost two levels, so 400 leaves room.
 */
export const DEFAULT_SQL_LIMITS: SqlLimits = {
  textBytesMax: 1024 * 1024,
  tokensMax: 50_000,
  nestingMax: 400,
  expressionTermsMax: 10_000,
  setOperationsMax: 1_000,
}

/** `sql_expression_depth_max`: levels of a tree, as DuckDB counts them; it refuses more without harm. */
export const EXPRESSION_DEPTH_MAX = 1_000
