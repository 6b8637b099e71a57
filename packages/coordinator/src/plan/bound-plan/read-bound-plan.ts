import type { Column } from '@nyala/client/protocol'
import type { KernelFunctions } from '../../bind/functions.ts'
import type { ScanTable } from '../../bind/scan-tables.ts'
import { typeText } from '../../sql/sql-types.ts'
import { parseLossless } from '../../sql/reader/json.ts'
import type { LogicalPlan } from '../logical/relation.ts'
import { ColumnNames } from './column-names.ts'
import { allColumns } from './plan-scope.ts'
import { checkKeys, keySet, objectOf, objectsOf, type Raw, Refusal, refuse } from './raw.ts'
import { readRelation } from './read-relation.ts'

export interface BoundPlanContext {
  /** The tables that the plan reads, by the names that it has for them. */
  readonly tables: ReadonlyMap<string, ScanTable>
  readonly functions: KernelFunctions
  /** The columns of the user's query, of which the plan must have the types. */
  readonly columns: readonly Column[]
}

/**
 * The kernel's bound plan, as `json_serialize_plan` gives it, as a logical plan; or why it is not read, in words that
 * follow "one fragment: ". It is a closed world: an operator, expression or part that is not known here is refused, so
 * that no version of the kernel can say what is overlooked.
 */
export function readBoundPlan(json: string, context: BoundPlanContext): LogicalPlan | string {
  try {
    return read(parse(json), context)
  } catch (error) {
    if (error instanceof Refusal) {
      return /^it /.test(error.message) ? error.message : `it has ${error.message}`
    }
    throw error
  }
}

const PLAN_KEYS = keySet('error', 'plans')
function parse(json: string): Raw {
  let value: unknown
  try {
    value = parseLossless(json)
  } catch {
    // Numbers that JSON has no word for.
    return refuse('a value that JSON cannot say')
  }
  const raw = objectOf(value, 'the plan')
  if (raw['error'] !== false) return refuse(`no plan (${String(raw['error_message'])})`)
  checkKeys(raw, PLAN_KEYS, 'the plan')
  const [plan, ...more] = objectsOf(raw, 'plans')
  if (plan === undefined || more.length > 0) return refuse('more than one statement')
  return plan
}

function read(raw: Raw, context: BoundPlanContext): LogicalPlan {
  let id = 0
  const { relation, columns } = readRelation(raw, {
    names: new ColumnNames(),
    functions: context.functions,
    tables: context.tables,
    ctes: new Map(),
    dependents: [],
    nextId: () => id++,
  })
  const wanted = context.columns
  if (columns.length !== wanted.length) refuse('another number of columns than the query')
  const outputs = allColumns(columns).map((column, i) => {
    const { name, type } = wanted[i] ?? refuse('fewer columns')
    if (plainText(typeText(column.type)) !== plainText(type)) {
      refuse(`type ${typeText(column.type)} where the query has ${type}`)
    }
    return { column, name }
  })
  return { root: relation, outputs }
}

/** Types are printed with names in quotes by one and, where they are plain words, without by the other. */
const plainText = (type: string): string => type.replaceAll('"', '')
