import type { CatalogSnapshot } from '@nyala/metastore'

/** What of a statement is concerned with which snapshot it reads. */
export interface AheadContext {
  readonly catalog: CatalogSnapshot
  askNewest(): void
  newest(): Promise<CatalogSnapshot>
}

type Attempt<T> =
  | { readonly kind: 'made'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }

/**
 * Work that has no effects, done on the snapshot at hand while etcd is asked whether there is a newer one. Where there is,
 * what was made, or how it failed, is nothing: it is done again.
 *
 * Where others commit all the time the snapshot at hand is old each time. So once it was, the next one waits for etcd
 * first, until one snapshot at hand was the newest.
 */
export class WorkAhead {
  #isWorthwhile = true

  /** What `work` makes of the newest snapshot, and the context with that. Fails as `work` does, or as `newest` does. */
  async run<C extends AheadContext, T>(
    context: C,
    work: (context: C) => Promise<T>,
  ): Promise<{ readonly value: T; readonly context: C }> {
    const attempt = this.#isWorthwhile ? await this.#attempt(context, work) : undefined
    const catalog = await context.newest()
    this.#isWorthwhile = catalog === context.catalog
    if (attempt === undefined || !this.#isWorthwhile) {
      const inner = { ...context, catalog }
      return { value: await work(inner), context: inner }
    }
    if (attempt.kind === 'failed') throw attempt.error
    return { value: attempt.value, context }
  }

  async #attempt<C extends AheadContext, T>(
    context: C,
    work: (context: C) => Promise<T>,
  ): Promise<Attempt<T>> {
    context.askNewest()
    try {
      return { kind: 'made', value: await work(context) }
    } catch (error) {
      return { kind: 'failed', error }
    }
  }
}
