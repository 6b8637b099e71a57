export * from './fragment.ts'
export * from './listing.ts'
export * from './messages.ts'
export * from './render-source.ts'
