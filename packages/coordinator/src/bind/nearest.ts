/** Edit distance (Levenshtein 1966) of two names, folded; `limit + 1` as soon as it must exceed `limit`. */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    let best = i
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const value = Math.min(change, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1)
      current.push(value)
      best = Math.min(best, value)
    }
    if (best > limit) return limit + 1
    previous = current
  }
  return previous[b.length] ?? 0
}

/** Up to three of `candidates` that a person may have meant by `name`, nearest first. */
export function nearestNames(name: string, candidates: Iterable<string>): readonly string[] {
  const wanted = name.toLowerCase()
  const limit = Math.max(2, Math.floor(wanted.length / 3))
  const found: { readonly candidate: string; readonly distance: number }[] = []
  for (const candidate of candidates) {
    const folded = candidate.toLowerCase()
    const contains = wanted.length >= 3 && (folded.includes(wanted) || wanted.includes(folded))
    const distance = Math.min(editDistance(wanted, folded, limit), contains ? limit : limit + 1)
    if (distance <= limit) found.push({ candidate, distance })
  }
  return found
    .toSorted((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map((f) => f.candidate)
}

/** `did you mean "a" or "b"?`, or undefined where nothing is near. */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const names = nearestNames(name, candidates).map((n) => `"${n}"`)
  if (names.length === 0) return undefined
  return `did you mean ${names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`}?`
}
