import { isWithin } from './roots.ts'

/** How Hive writes NULL as a directory. */
const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'

export interface PartitionValue {
  readonly key: string
  readonly value: string | null
}

/** The values of the `key=value` directories between a directory and a file below it, in order and decoded. */
export function partitionValues(path: string, from: string): readonly PartitionValue[] {
  const below = isWithin(path, from) ? path.slice(from.length) : path
  const directories = below.split('/').slice(0, -1)
  return directories.flatMap((directory) => {
    const at = directory.indexOf('=')
    if (at <= 0) return []
    const value = decode(directory.slice(at + 1))
    return [{ key: decode(directory.slice(0, at)), value: value === HIVE_NULL ? null : value }]
  })
}

/** Percent escapes as Hive writes them; a text that has malformed ones stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return text
    throw error
  }
}
