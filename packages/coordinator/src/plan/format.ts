/** `12.3 MB`: decimal units, as file managers and DuckDB have them. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`
}

/** Nanoseconds as `41 ms`. */
export const formatNs = (ns: number): string => `${Math.round(ns / 1e6)} ms`
