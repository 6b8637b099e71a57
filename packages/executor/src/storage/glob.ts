/** A path is a pattern where it has one of these. */
const SPECIAL = /[*?[]/

export const isPattern = (path: string): boolean => SPECIAL.test(path)

/** A pattern in parts: the directory above the first special character, and the segments below it. */
export interface Pattern {
  readonly base: string
  readonly segments: readonly Segment[]
}

/** One level of a path, or `**`, which stands for any number of levels. */
export type Segment =
  | { readonly kind: 'anyDepth' }
  | { readonly kind: 'name'; readonly matches: (name: string) => boolean }

/** Patterns as DuckDB has them: `*`, `?`, `[abc]`, `[a-c]`, `[!abc]` within a name, and `**` for directories. */
export function parsePattern(path: string): Pattern {
  const parts = path.split('/')
  const first = parts.findIndex((part) => SPECIAL.test(part))
  const base = parts.slice(0, first).join('/')
  return { base: base === '' ? '/' : base, segments: parts.slice(first).map(parseSegment) }
}

function parseSegment(part: string): Segment {
  if (part === '**') return { kind: 'anyDepth' }
  if (!SPECIAL.test(part)) return { kind: 'name', matches: (name) => name === part }
  const regex = new RegExp(`^${translate(part)}$`, 'su')
  // A hidden name must be asked for.
  const takesHidden = part.startsWith('.')
  return {
    kind: 'name',
    matches: (name) => (takesHidden || !name.startsWith('.')) && regex.test(name),
  }
}

function translate(part: string): string {
  let regex = ''
  for (let i = 0; i < part.length; i++) {
    const char = part.charAt(i)
    if (char === '*') regex += '.*'
    else if (char === '?') regex += '.'
    else if (char === '[') {
      const end = closingBracket(part, i)
      if (end < 0) regex += '\\['
      else {
        regex += characterClass(part.slice(i + 1, end))
        i = end
      }
    } else regex += escape(char)
  }
  return regex
}

/** A bracket right after the opening one, or after `!`, is a member of the class. */
function closingBracket(part: string, open: number): number {
  const from = part.charAt(open + 1) === '!' ? open + 3 : open + 2
  return part.indexOf(']', from)
}

function characterClass(inside: string): string {
  const negated = inside.startsWith('!')
  const members = negated ? inside.slice(1) : inside
  return `[${negated ? '^' : ''}${members.replaceAll(/[\\\]^[]/g, '\\$&')}]`
}

const escape = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
