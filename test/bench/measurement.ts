/** A number that was measured, beside what it should be. */
export interface Measurement {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** `most` means that the value should not be larger, `least` that it should not be smaller. */
  readonly goal: { readonly kind: 'most' | 'least'; readonly value: number } | undefined
  /** How it came about: spread, what it is compared with. */
  readonly detail: string
}

export const met = ({ value, goal }: Measurement): boolean | undefined => {
  if (goal === undefined) return undefined
  return goal.kind === 'most' ? value <= goal.value : value >= goal.value
}

/** The value that a share `p` of the samples does not exceed. Takes at least one sample. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]
  if (value === undefined) throw new RangeError('percentile of no samples')
  return value
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5)

/** `12.3 … 20.1`: the range that samples were in. */
export const spread = (samples: readonly number[]): string =>
  `${round(Math.min(...samples))} … ${round(Math.max(...samples))}`

/** Three significant digits, but no fewer than the whole number. */
export function round(value: number): string {
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 6))
}
