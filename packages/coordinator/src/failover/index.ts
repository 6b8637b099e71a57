export * from './detection.ts'
export * from './duties.ts'
export * from './failover.ts'
export * from './launcher.ts'
