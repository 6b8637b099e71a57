import { displayWidth, visible } from './formats/display-width.ts'

/** Columns of text under their names, two blanks apart. */
export function textTable(names: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [names, ...rows].map((cells) => cells.map(visible))
  const widths = names.map((_, i) =>
    Math.max(...lines.map((cells) => displayWidth(cells[i] ?? ''))),
  )
  return lines
    .map((cells) =>
      cells
        .map((text, i) => text + ' '.repeat((widths[i] ?? 0) - displayWidth(text)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}
