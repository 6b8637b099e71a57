/**
 * Items that wait, by who sent them: each sender has its turn, and its own items go first in, first out. A sender that
 * has had its turn goes behind all others.
 */
export class FairQueue<T> {
  readonly #bySender = new Map<string, T[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  push(sender: string, item: T): void {
    const items = this.#bySender.get(sender)
    if (items === undefined) this.#bySender.set(sender, [item])
    else items.push(item)
    this.#size++
  }

  /** The item whose turn it is; it stays. */
  peek(): T | undefined {
    const first = this.#bySender.values().next()
    return first.done === true ? undefined : first.value[0]
  }

  /** Takes the item whose turn it is. */
  take(): T | undefined {
    const first = this.#bySender.entries().next()
    if (first.done === true) return undefined
    const [sender, items] = first.value
    const item = items.shift()
    this.#size--
    this.#bySender.delete(sender)
    if (items.length > 0) this.#bySender.set(sender, items)
    return item
  }

  /** Takes an item out of turn; its sender keeps its turn. False where it does not wait. */
  remove(sender: string, item: T): boolean {
    const items = this.#bySender.get(sender)
    const at = items?.indexOf(item) ?? -1
    if (items === undefined || at < 0) return false
    items.splice(at, 1)
    this.#size--
    if (items.length === 0) this.#bySender.delete(sender)
    return true
  }
}
