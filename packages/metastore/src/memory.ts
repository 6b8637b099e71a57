export { ManualClock } from './manual-clock.ts'
export * from './memory-kv.ts'
export { MemoryStore } from './memory-store.ts'
export * from './testing/catalog-verbs.ts'
