export * from './memory-kv.ts'
export { MemoryStore } from './memory-store.ts'
