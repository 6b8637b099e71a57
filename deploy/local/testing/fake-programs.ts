import { fileURLToPath } from 'node:url'
import type { Programs } from '../engine-member.ts'

const fakeMember = fileURLToPath(new URL('./fake-member.js', import.meta.url))

export const fakePrograms: Programs = { coordinator: fakeMember, executor: fakeMember }
