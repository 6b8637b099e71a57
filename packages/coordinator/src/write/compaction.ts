import type { DataFile } from '../iceberg/manifest-file.ts'

/** Files below this are written anew with others, unless the statement says another size. */
export const SMALL_FILE_BYTES = 128 * 1024 * 1024

/** A data file, and the partition spec that it was written by. */
export interface SpecFile {
  readonly file: DataFile
  readonly specId: number
}

/**
 * The files of a table that are worth writing anew: those smaller than the threshold that share their partition with
 * another such, and those of an older partition spec. Pure.
 */
export function smallFiles(
  files: readonly SpecFile[],
  { threshold, specId }: { readonly threshold: number; readonly specId: number },
): readonly DataFile[] {
  const partitions = new Map<string, DataFile[]>()
  const chosen: DataFile[] = []
  for (const one of files) {
    if (one.specId !== specId) chosen.push(one.file)
    else if (one.file.bytes < threshold) {
      const key = partitionKey(one.file)
      const others = partitions.get(key)
      if (others === undefined) partitions.set(key, [one.file])
      else others.push(one.file)
    }
  }
  for (const group of partitions.values()) if (group.length > 1) chosen.push(...group)
  return chosen
}

const partitionKey = (file: DataFile): string =>
  JSON.stringify(file.partition, (_, value: unknown) =>
    typeof value === 'bigint' ? { bigint: String(value) } : value,
  )
