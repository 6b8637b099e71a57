import { type BatchCursor, readOffsets } from './buffers.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Text values of a column. Where all of its bytes are ASCII, which is common, one decoding serves the whole column and
 * a value is a slice of it; else each value is decoded on its own.
 */
export function readTexts(cursor: BatchCursor, length: number, wide: boolean): string[] {
  const offsets = readOffsets(cursor.buffer(), length, wide)
  const bytes = cursor.buffer()
  const start = offsets[0] ?? 0
  const end = offsets[length] ?? 0
  const whole = decoder.decode(bytes.subarray(start, end))
  const texts = new Array<string>(length)
  // No character has more UTF-16 units than bytes, so equal lengths mean that each byte is one unit.
  if (whole.length === end - start) {
    let from = 0
    for (let row = 0; row < length; row++) {
      const to = (offsets[row + 1] as number) - start
      texts[row] = whole.substring(from, to)
      from = to
    }
    return texts
  }
  for (let row = 0; row < length; row++) {
    texts[row] = decoder.decode(bytes.subarray(offsets[row], offsets[row + 1]))
  }
  return texts
}
