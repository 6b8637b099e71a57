import type { Expression } from '../ir.ts'
import { placed, type Raw, type ReadContext } from './context.ts'
import { isMissingBound } from './read-value.ts'

/** The OPERATOR class: constructs with a fixed meaning and a list of operands. */
export function readOperator(context: ReadContext, raw: Raw): Expression {
  const type = context.string(raw, 'type')
  const place = placed(context.at(raw))
  const rawChildren = context.objects(raw, 'children')
  if (type === 'ARRAY_SLICE') return readSlice(context, raw, rawChildren)
  const args = rawChildren.map((child) => context.expression(child))
  const [first, second] = args
  switch (type) {
    case 'OPERATOR_COALESCE':
      return { kind: 'coalesce', args, ...place }
    case 'ARRAY_CONSTRUCTOR':
      return { kind: 'array', elements: args, ...place }
    case 'GROUPING_FUNCTION':
      return { kind: 'grouping', args, ...place }
    default:
      if (first === undefined) return context.unknown(`operator ${type} without operands`, raw)
  }
  switch (type) {
    case 'COMPARE_IN':
    case 'COMPARE_NOT_IN': {
      const negated = type === 'COMPARE_NOT_IN'
      return { kind: 'in', operand: first, list: args.slice(1), negated, ...place }
    }
    case 'ARRAY_EXTRACT':
      if (second === undefined || args.length > 2) return context.unknown('subscript', raw)
      return { kind: 'subscript', operand: first, index: second, ...place }
    case 'STRUCT_EXTRACT':
      if (second?.kind !== 'constant' || typeof second.value !== 'string' || args.length > 2) {
        return context.unknown('field access', raw)
      }
      return { kind: 'field', operand: first, field: second.value, ...place }
    default:
      if (args.length > 1)
        return context.unknown(`operator ${type} with ${args.length} operands`, raw)
  }
  switch (type) {
    case 'OPERATOR_NOT':
      return { kind: 'not', operand: first, ...place }
    case 'OPERATOR_IS_NULL':
      return { kind: 'isNull', operand: first, negated: false, ...place }
    case 'OPERATOR_IS_NOT_NULL':
      return { kind: 'isNull', operand: first, negated: true, ...place }
    case 'OPERATOR_TRY':
      return { kind: 'try', operand: first, ...place }
    case 'OPERATOR_UNPACK':
      return { kind: 'unpack', operand: first, ...place }
    default:
      return context.unknown(`operator ${type}`, raw)
  }
}

function readSlice(context: ReadContext, raw: Raw, children: readonly Raw[]): Expression {
  const [operand, lower, upper, step] = children
  if (operand === undefined || lower === undefined || upper === undefined || children.length > 4) {
    return context.unknown('slice', raw)
  }
  const bound = (child: Raw | undefined): Expression | undefined =>
    child === undefined || isMissingBound(child) ? undefined : context.expression(child)
  return {
    kind: 'slice',
    operand: context.expression(operand),
    lower: bound(lower),
    upper: bound(upper),
    step: bound(step),
    ...placed(context.at(raw)),
  }
}
