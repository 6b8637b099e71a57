import type { ColumnRef, ComparisonOperator, Expression } from '../../sql/ir.ts'
import { visitTree } from '../../sql/ir/tree.ts'
import type { JoinCondition, JoinRelation, JoinType, PlanColumn } from '../logical/relation.ts'
import {
  checkEmpty,
  checkKeys,
  childOf,
  keySet,
  listOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
  truthOf,
} from './raw.ts'
import {
  checkType,
  conjunctsOf,
  type Found,
  type OperatorReader,
  type PlanScope,
  type RelationReader,
  scopeOf,
} from './plan-scope.ts'
import {
  comparisonOperator,
  type Inputs,
  readAll,
  readExpression,
  type Scope,
  typeOf,
} from './read-expression.ts'
import { BOOLEAN, readType } from './read-type.ts'

const JOIN_KEYS = keySet(
  'type',
  'children',
  'join_type',
  'mark_index',
  'left_projection_map',
  'right_projection_map',
  'conditions',
  'mark_types',
  'duplicate_eliminated_columns',
  'delim_flipped',
)
const ANY_KEYS = keySet(
  'type',
  'children',
  'join_type',
  'mark_index',
  'left_projection_map',
  'right_projection_map',
  'condition',
)
const DELIM_GET_KEYS = keySet('type', 'children', 'table_index', 'chunk_types')

const TYPES: Readonly<Record<string, JoinType>> = {
  INNER: 'inner',
  LEFT: 'left',
  RIGHT: 'right',
  FULL: 'full',
  SEMI: 'semi',
  ANTI: 'anti',
  MARK: 'mark',
  SINGLE: 'single',
}

/** Readers of all operators of two inputs that are joined, and of what stands for the left one on the right side. */
export function joinReaders(read: RelationReader): Readonly<Record<string, OperatorReader>> {
  return {
    LOGICAL_CROSS_PRODUCT: {
      keys: keySet('type', 'children'),
      read(raw, plan) {
        const [left, right] = bothSides(raw)
        return joined('inner', { left: read(left, plan), right: read(right, plan) }, plan)
      },
    },
    LOGICAL_COMPARISON_JOIN: {
      keys: JOIN_KEYS,
      read(raw, plan) {
        checkEmpty(raw, 'duplicate_eliminated_columns')
        const [left, right] = bothSides(raw)
        return readComparisonJoin(raw, { left: read(left, plan), right: read(right, plan) }, plan)
      },
    },
    LOGICAL_DELIM_JOIN: {
      keys: JOIN_KEYS,
      read: (raw, plan) => readDependentJoin(raw, plan, read),
    },
    LOGICAL_ANY_JOIN: {
      keys: ANY_KEYS,
      read(raw, plan) {
        const [left, right] = bothSides(raw)
        return readAnyJoin(raw, { left: read(left, plan), right: read(right, plan) }, plan)
      },
    },
    LOGICAL_DELIM_GET: { keys: DELIM_GET_KEYS, read: readDependent },
  }
}

interface Sides {
  readonly left: Found
  readonly right: Found
}

function bothSides(raw: Raw): readonly [Raw, Raw] {
  const [left, right, ...more] = objectsOf(raw, 'children')
  if (left === undefined || right === undefined || more.length > 0) return refuse('a join of two')
  return [left, right]
}

function joinType(raw: Raw): JoinType {
  const name = textOf(raw, 'join_type')
  return TYPES[name] ?? refuse(`a join of type ${name}`)
}

type Conditions = Pick<JoinRelation, 'conditions' | 'residual' | 'dependent'>
const NO_CONDITIONS: Conditions = { conditions: [], residual: [] }

function joined(
  type: JoinType,
  { left, right }: Sides,
  plan: PlanScope,
  more: Conditions = NO_CONDITIONS,
): Found {
  const mark = type === 'mark' ? plan.names.column('', 'mark', BOOLEAN) : undefined
  const relation: JoinRelation = {
    kind: 'join',
    type,
    left: left.relation,
    right: right.relation,
    ...more,
    ...(mark === undefined ? {} : { mark }),
  }
  return { relation, columns: outputs(type, { left, right }, mark) }
}

function outputs(type: JoinType, { left, right }: Sides, mark: PlanColumn | undefined): Inputs {
  if (type === 'semi' || type === 'anti') return left.columns
  return type === 'mark' ? [...left.columns, mark] : [...left.columns, ...right.columns]
}

const CONDITION_KEYS = keySet('left', 'right', 'comparison')

function readConditions(
  raw: Raw,
  { left, right }: Sides,
  plan: PlanScope,
): readonly JoinCondition[] {
  checkEmpty(raw, 'left_projection_map')
  checkEmpty(raw, 'right_projection_map')
  const scopes = { left: scopeOf(plan, left.columns), right: scopeOf(plan, right.columns) }
  return objectsOf(raw, 'conditions').map((condition) => {
    checkKeys(condition, CONDITION_KEYS, 'a condition of a join')
    const [l, r] = [childOf(condition, 'left'), childOf(condition, 'right')]
    checkType(typeOf(l), typeOf(r))
    return {
      operator: comparisonOperator(condition, 'comparison'),
      left: readExpression(l, scopes.left),
      right: readExpression(r, scopes.right),
    }
  })
}

function readComparisonJoin(raw: Raw, sides: Sides, plan: PlanScope): Found {
  const conditions = readConditions(raw, sides, plan)
  const type = joinType(raw)
  if (conditions.length === 0 && type === 'mark') refuse('a mark without conditions')
  return joined(type, sides, plan, { conditions, residual: [] })
}

function readDependentJoin(raw: Raw, plan: PlanScope, read: RelationReader): Found {
  if (truthOf(raw, 'delim_flipped')) refuse('a dependent join that is flipped')
  const [leftRaw, rightRaw] = bothSides(raw)
  const left = read(leftRaw, plan)
  const eliminated = objectsOf(raw, 'duplicate_eliminated_columns')
  const columns = readAll(eliminated, scopeOf(plan, left.columns))
  const types = eliminated.map(typeOf)
  const id = plan.nextId()
  plan.dependents.push({ id, columns, types })
  const right = read(rightRaw, plan)
  plan.dependents.pop()
  const sides = { left, right }
  const conditions = readConditions(raw, sides, plan)
  return joined(joinType(raw), sides, plan, {
    conditions,
    residual: [],
    dependent: { id, columns },
  })
}

function readDependent(raw: Raw, plan: PlanScope): Found {
  const join = plan.dependents.at(-1) ?? refuse('a dependent scan outside of any join')
  const types = listOf(raw, 'chunk_types').map(readType)
  if (types.length !== join.types.length) return refuse('a dependent scan of other columns')
  const columns = types.map((type, i) => {
    checkType(join.types[i], type)
    const expression = join.columns[i]
    const name = expression?.kind === 'column' ? (expression.path[0] ?? '') : ''
    return plan.names.column(name, 'outer', type)
  })
  return { relation: { kind: 'dependent', id: join.id, columns }, columns }
}

/** One condition over both sides: equalities and the like between them are told from the rest. */
function readAnyJoin(raw: Raw, sides: Sides, plan: PlanScope): Found {
  checkEmpty(raw, 'left_projection_map')
  checkEmpty(raw, 'right_projection_map')
  const { left, right } = sides
  const scope: Scope = scopeOf(plan, [...left.columns, ...right.columns])
  const owners = { left: namesOf(left.columns), right: namesOf(right.columns) }
  const conditions: JoinCondition[] = []
  const residual: Expression[] = []
  for (const conjunct of conjunctsOf(readExpression(childOf(raw, 'condition'), scope))) {
    const condition = conditionOf(conjunct, owners)
    if (condition === undefined) residual.push(conjunct)
    else conditions.push(condition)
  }
  return joined(joinType(raw), sides, plan, { conditions, residual })
}

const namesOf = (columns: Inputs): ReadonlySet<string> =>
  new Set(columns.flatMap((c) => (c === undefined ? [] : [c.name])))

const FLIPPED: Readonly<Record<ComparisonOperator, ComparisonOperator>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '>': '<',
  '<=': '>=',
  '>=': '<=',
  'is distinct from': 'is distinct from',
  'is not distinct from': 'is not distinct from',
}

interface Owners {
  readonly left: ReadonlySet<string>
  readonly right: ReadonlySet<string>
}

/** A comparison of something of the left side with something of the right. */
export function conditionOf(expression: Expression, owners: Owners): JoinCondition | undefined {
  if (expression.kind !== 'comparison') return undefined
  const { operator, left, right } = expression
  const [first, second] = [ownerOf(left, owners), ownerOf(right, owners)]
  if (first === 'left' && second === 'right') return { operator, left, right }
  if (first === 'right' && second === 'left') {
    return { operator: FLIPPED[operator], left: right, right: left }
  }
  return undefined
}

function ownerOf(expression: Expression, { left, right }: Owners): 'left' | 'right' | undefined {
  let [isLeft, isRight] = [false, false]
  visitTree(expression, (node) => {
    if (node.kind !== 'column') return undefined
    const name = (node as ColumnRef).path[0] ?? ''
    isLeft ||= left.has(name)
    isRight ||= right.has(name)
    return undefined
  })
  if (isLeft === isRight) return undefined
  return isLeft ? 'left' : 'right'
}
