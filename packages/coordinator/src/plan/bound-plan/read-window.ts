import type { WindowCall } from '../../sql/ir.ts'
import { type Raw, refuse, textOf } from './raw.ts'
import type { Scope } from './read-expression.ts'

export function readWindowColumn(raw: Raw, _scope: Scope): WindowCall {
  return refuse(`the window function ${textOf(raw, 'type')}`)
}
