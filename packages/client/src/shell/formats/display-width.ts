/** Ranges of code points that take two columns of a terminal: East Asian wide and full width, and emoji. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
]

const isWide = (point: number): boolean => WIDE.some(([from, to]) => point >= from && point <= to)
const ASCII = /^[\x20-\x7e]*$/
const TAKES_NO_COLUMN = /\p{Mn}|\p{Me}|\p{Cf}/u

/** Columns that a text takes in a terminal. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const character of text) {
    if (TAKES_NO_COLUMN.test(character)) continue
    width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1
  }
  return width
}

/** Control characters would break a table or drive the terminal; they are shown as escapes. */
export function visible(text: string): string {
  if (ASCII.test(text)) return text
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) => {
    if (control === '\n') return '\\n'
    if (control === '\t') return '\\t'
    if (control === '\r') return '\\r'
    return `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
