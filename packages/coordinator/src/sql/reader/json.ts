/**
 * JSON of DuckDB as JavaScript values without losing a digit.
 *
 * BIGINT, HUGEINT, DECIMAL and DOUBLE values come as bare numbers (also `Infinity`), always under the
 * keys `value`, `upper` and `lower`. These are quoted in the text before JSON.parse sees them. The
 * pattern cannot match inside a string: there a quote is always preceded by a backslash.
 */
export function parseLossless(text: string): unknown {
  return JSON.parse(text.replace(NUMBERS, '$1"$2"'))
}

const NUMBERS =
  /((?<!\\)"(?:value|upper|lower)":)(-?(?:\d[\d.eE+-]*|[Ii]nf(?:inity)?|[Nn]a[Nn]))(?=[,}\]])/g
