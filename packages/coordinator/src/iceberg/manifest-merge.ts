import type { ManifestInfo } from './manifest-file.ts'

/** So many manifests of about the same number of files are written as one. */
export const MERGE_AT = 32

/**
 * The manifests of a list that are to be written as one. They are of one tier: manifests of up to 32 files, of up to
 * 1,024, and so on. So a file's entry is written once for each tier, and a list has a few dozen manifests, however many
 * commits there were. Pure.
 */
export function manifestsToMerge(manifests: readonly ManifestInfo[]): readonly ManifestInfo[] {
  const tiers = new Map<string, ManifestInfo[]>()
  for (const one of manifests) {
    if (one.content !== 0) continue
    const key = `${one.specId}:${tierOf(one)}`
    const tier = tiers.get(key)
    if (tier === undefined) tiers.set(key, [one])
    else tier.push(one)
  }
  for (const tier of tiers.values()) if (tier.length >= MERGE_AT) return tier
  return []
}

function tierOf({ added, existing, deleted }: ManifestInfo): number {
  const files = added.files + existing.files + deleted.files
  return files < MERGE_AT ? 0 : Math.floor(Math.log(files) / Math.log(MERGE_AT))
}
