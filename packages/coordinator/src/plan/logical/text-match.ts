/** How a function compares a text, its first argument, with a pattern, its second. */
export interface TextMatch {
  /** `part`: the pattern is found somewhere, or at the end, or by other wildcards than those of LIKE. */
  readonly pattern: 'like' | 'prefix' | 'part'
  readonly isNegated: boolean
  readonly ignoresCase: boolean
}

const match = (pattern: TextMatch['pattern'], how: Partial<TextMatch> = {}): TextMatch => ({
  ...{ pattern, isNegated: false, ignoresCase: false },
  ...how,
})

/** By the name that the parser gives the function; each is NULL where an argument is, and fails for none. */
export const TEXT_MATCHES: ReadonlyMap<string, TextMatch> = new Map([
  ['~~', match('like')],
  ['like', match('like')],
  ['!~~', match('like', { isNegated: true })],
  ['not_like', match('like', { isNegated: true })],
  ['~~*', match('like', { ignoresCase: true })],
  ['ilike', match('like', { ignoresCase: true })],
  ['!~~*', match('like', { isNegated: true, ignoresCase: true })],
  ['not_ilike', match('like', { isNegated: true, ignoresCase: true })],
  ['^@', match('prefix')],
  ['starts_with', match('prefix')],
  ['prefix', match('prefix')],
  ['suffix', match('part')],
  ['ends_with', match('part')],
  ['contains', match('part')],
  ['~~~', match('part')],
])
