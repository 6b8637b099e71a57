/** The property of a table that says how large its data files are to be, as other writers know it. */
const TARGET_FILE_SIZE = 'write.target-file-size-bytes'
/** Where a table does not say it: a data file is closed, and another one begun, at about this size. */
export const FILE_BYTES_DEFAULT: number = 256 * 1024 * 1024
/** Smaller ones would be footers more than rows. */
export const FILE_BYTES_MIN: number = 64 * 1024
/** Larger ones are read by one task for too long. */
export const FILE_BYTES_MAX: number = 4 * 1024 * 1024 * 1024

/** About how many bytes a data file of a table with these properties has at the most. What is no size is no property. Pure. */
export function targetFileBytes(properties: Readonly<Record<string, string>> | undefined): number {
  const text = properties?.[TARGET_FILE_SIZE]
  if (text === undefined || !/^\d{1,15}$/.test(text)) return FILE_BYTES_DEFAULT
  return Math.min(FILE_BYTES_MAX, Math.max(FILE_BYTES_MIN, Number(text)))
}
