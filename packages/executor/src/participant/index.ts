export * from './participant.ts'
