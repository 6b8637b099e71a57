/** Up to so many executors each one is ranked for a key, which spreads keys evenly however few there are. */
const RANKED_MAX = 32
/** Points that a key has on the ring: with 21 the fullest executor has some 5 % more than its share. */
const PROBES = 21
/** Homes that a key has, in order of preference. */
const HOMES_MAX = 8

interface Point {
  readonly hash: number
  readonly id: string
}

/**
 * The executors that had better read what is named by a key, in order of preference: the same ones for the same key,
 * and others only for few keys when an executor comes or goes.
 *
 * Few executors are ranked by the hash of key and id (rendezvous hashing, Thaler and Ravishankar 1998). Of many, each
 * is a point on a ring; the key has several points, and the executors that follow them closest are its homes
 * (multi-probe consistent hashing, Appleton and O'Reilly 2015), so that the time grows with the logarithm only.
 */
export class Homes {
  /** By hash, then id. */
  readonly #points: Point[] = []

  add(id: string): void {
    const point = { hash: rendezvous('', id), id }
    this.#points.splice(this.#find(point), 0, point)
  }

  remove(id: string): void {
    const at = this.#find({ hash: rendezvous('', id), id })
    if (this.#points[at]?.id === id) this.#points.splice(at, 1)
  }

  of(key: string): readonly string[] {
    return this.#points.length <= RANKED_MAX ? this.#ranked(key) : this.#nearest(key)
  }

  #ranked(key: string): readonly string[] {
    return this.#points
      .map(({ id }) => ({ id, rank: rendezvous(key, id) }))
      .toSorted((a, b) => b.rank - a.rank || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id)
  }

  #nearest(key: string): readonly string[] {
    const found: { readonly id: string; readonly distance: number }[] = []
    let probe = rendezvous(key, '')
    for (let i = 0; i < PROBES; i++) {
      probe = mix(probe + 0x9e3779b9)
      const point = this.#points[this.#find({ hash: probe, id: '' })] ?? this.#points[0]
      if (point !== undefined) found.push({ id: point.id, distance: (point.hash - probe) >>> 0 })
    }
    found.sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
    return [...new Set(found.map(({ id }) => id))].slice(0, HOMES_MAX)
  }

  /** Index of the first point that is not before this one. */
  #find({ hash, id }: Point): number {
    let [low, high] = [0, this.#points.length]
    while (low < high) {
      const middle = (low + high) >> 1
      const point = this.#points[middle]
      const isBefore =
        point !== undefined && (point.hash < hash || (point.hash === hash && point.id < id))
      if (isBefore) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** FNV-1a over both names with a final mix: stable between processes, which a random tie-break would not be. */
export function rendezvous(key: string, id: string): number {
  let hash = 0x811c9dc5
  for (const text of [key, '\u0001', id]) {
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    }
  }
  return mix(hash)
}

function mix(value: number): number {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  return hash >>> 0
}
