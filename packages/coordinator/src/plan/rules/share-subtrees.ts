/**
 * What a query asks for twice is computed once: parts of the plan that make the same rows become a WITH above all of it.
 * They need not have the same columns. Runs after all other rules, as these bring what was written alike into one form.
 */
import { equalIr } from '../../sql/ir/equal.ts'
import { someNode } from '../../sql/ir/tree.ts'
import {
  columnRef,
  columnsOf,
  inputsOf,
  type LogicalPlan,
  type PlanColumn,
  type Relation,
  withInputs,
} from '../logical/relation.ts'
import { typesOfRelation } from '../logical/types.ts'
import type { Scan } from '../scan.ts'
import { Merger } from './merge-relation.ts'
import { pruneColumns } from './prune-columns.ts'

export interface ShareBy {
  readonly scans: ReadonlyMap<number, Scan>
  /** True where computing it once in place of so many times is worth writing it down. */
  readonly isWorth: (shared: Relation, times: number) => boolean
}

/** The same plan where nothing is shared. */
export function shareSubtrees(plan: LogicalPlan, by: ShareBy): LogicalPlan {
  const root = new Sharing(plan.root, by).share()
  return root === plan.root ? plan : pruneColumns({ ...plan, root })
}

/** A part of the plan, and what its columns are called in what stands for it. */
interface Use {
  readonly part: Relation
  readonly names: ReadonlyMap<string, string>
}

interface Shared {
  readonly definition: Relation
  readonly uses: readonly Use[]
}

class Sharing {
  readonly #root: Relation
  readonly #by: ShareBy
  readonly #names: Set<string>
  readonly #shapes = new Map<Relation, string | undefined>()
  readonly #sizes = new Map<Relation, number>()
  /** Parts of what is shared, which is not looked at again. */
  readonly #taken = new Set<Relation>()
  readonly #replaced = new Map<Relation, Relation>()
  #nextId = 0

  constructor(root: Relation, by: ShareBy) {
    this.#root = root
    this.#by = by
    this.#names = new Set(typesOfRelation(root).keys())
  }

  share(): Relation {
    const definitions: { readonly id: number; readonly definition: Relation }[] = []
    for (const alike of this.#candidates()) {
      for (const shared of this.#classes(alike.filter((part) => !this.#taken.has(part)))) {
        if (shared.uses.length < 2) continue
        if (!this.#by.isWorth(shared.definition, shared.uses.length)) continue
        const id = this.#nextId++
        definitions.push({ id, definition: shared.definition })
        for (const use of shared.uses) this.#replace(use, id, shared.definition)
      }
    }
    if (definitions.length === 0) return this.#root
    return definitions.reduceRight<Relation>(
      (body, { id, definition }) => ({ kind: 'with', id, definition, body, implicit: true }),
      this.#withUses(this.#root),
    )
  }

  /** Parts of one shape, the largest first. */
  #candidates(): readonly (readonly Relation[])[] {
    const byShape = new Map<string, Relation[]>()
    const visit = (relation: Relation): void => {
      inputsOf(relation).forEach(visit)
      if (relation.kind === 'with') this.#nextId = Math.max(this.#nextId, relation.id + 1)
      const shape = this.#shapeOf(relation)
      if (shape === undefined || relation.kind === 'scan' || relation.kind === 'values') return
      const alike = byShape.get(shape)
      if (alike === undefined) byShape.set(shape, [relation])
      else alike.push(relation)
    }
    visit(this.#root)
    const sizeOf = ([part]: readonly Relation[]): number =>
      part === undefined ? 0 : (this.#sizes.get(part) ?? 0)
    return [...byShape.values()]
      .filter((alike) => alike.length > 1)
      .sort((a, b) => sizeOf(b) - sizeOf(a))
  }

  /** What two relations must have in common to make the same rows; undefined where they cannot be told to. */
  #shapeOf(relation: Relation): string | undefined {
    const inputs = inputsOf(relation)
    // What is written down loses its order: that of a LIMIT goes with it, any other stays where it is.
    const isFirst = relation.kind === 'limit' && relation.input.kind === 'sort'
    const read = isFirst ? inputsOf(relation.input) : inputs
    const below = read.map((input) => this.#shapes.get(input))
    const size = inputs.reduce((sum, input) => sum + (this.#sizes.get(input) ?? 0), 1)
    this.#sizes.set(relation, size)
    const isKnown = below.every((shape) => shape !== undefined) && !hasLambda(relation)
    const own = isKnown ? ownShape(relation, this.#by.scans) : undefined
    const shape =
      own === undefined ? undefined : `${own}${isFirst ? ' in order' : ''}(${below.join()})`
    this.#shapes.set(relation, shape)
    return shape
  }

  /** Those of them that are the same, together. */
  #classes(parts: readonly Relation[]): readonly Shared[] {
    const classes: { definition: Relation; readonly uses: Use[] }[] = []
    const by = {
      sameScan: (a: number, b: number) => sameFiles(this.#by.scans.get(a), this.#by.scans.get(b)),
      freshName: (name: string) => this.#freshName(name),
    }
    const put = (part: Relation): void => {
      for (const one of [...classes, undefined]) {
        const merger = new Merger(by)
        const definition = merger.merge(one?.definition, part)
        if (definition === undefined) continue
        const use = { part, names: merger.names }
        if (one === undefined) classes.push({ definition, uses: [use] })
        else {
          one.definition = definition
          one.uses.push(use)
        }
        return
      }
    }
    parts.forEach(put)
    return classes
  }

  #freshName(name: string): string {
    const base = name.replace(/_\d+$/, '')
    let number = 2
    while (this.#names.has(`${base}_${number}`)) number++
    const fresh = `${base}_${number}`
    this.#names.add(fresh)
    return fresh
  }

  /** Just the columns of the part, in their order: what stands above may count all of them. */
  #replace({ part, names }: Use, id: number, definition: Relation): void {
    const wanted = columnsOf(part)
    const own = new Map(wanted.map((column) => [names.get(column.name), column.name] as const))
    const shared = columnsOf(definition)
    const columns = shared.map((column) => ({
      ...column,
      name: own.get(column.name) ?? this.#freshName(column.name),
    }))
    const cte: Relation = { kind: 'cte', id, columns }
    const isSame =
      columns.length === wanted.length && columns.every((c, i) => c.name === wanted[i]?.name)
    const nameOf = (column: PlanColumn): string =>
      columns[shared.findIndex((c) => c.name === names.get(column.name))]?.name ?? column.name
    const items = wanted.map((column) => ({
      column,
      expression: columnRef({ name: nameOf(column) }),
    }))
    this.#replaced.set(part, isSame ? cte : { kind: 'project', input: cte, items })
    const take = (relation: Relation): void => {
      this.#taken.add(relation)
      inputsOf(relation).forEach(take)
    }
    take(part)
  }

  #withUses(relation: Relation): Relation {
    const use = this.#replaced.get(relation)
    if (use !== undefined) return use
    return withInputs(
      relation,
      inputsOf(relation).map((input) => this.#withUses(input)),
    )
  }
}

/** The parameters of a lambda look like columns, and may be called as one of them is. */
const hasLambda = (relation: Relation): boolean => {
  const inputs: readonly unknown[] = inputsOf(relation)
  return Object.values(relation).some(
    (field) =>
      !inputs.includes(field) && field !== inputs && someNode(field, (n) => n.kind === 'lambda'),
  )
}

function ownShape(relation: Relation, scans: ReadonlyMap<number, Scan>): string | undefined {
  switch (relation.kind) {
    case 'scan': {
      const scan = scans.get(relation.scan)
      return scan === undefined ? undefined : JSON.stringify([scan.database, scan.table])
    }
    case 'join':
      return relation.dependent === undefined
        ? `${relation.type} join ${relation.conditions.length}`
        : undefined
    case 'filter':
      return `filter ${relation.conjuncts.length}`
    case 'aggregate':
      return `aggregate ${relation.keys.length}`
    case 'project':
    case 'distinct':
    case 'window':
    case 'limit':
    case 'values':
    case 'set':
      return relation.kind
    case 'sort':
    case 'unnest':
    case 'exchange':
    case 'with':
    case 'cte':
    case 'dependent':
      return undefined
  }
}

/** True for uses of one table of which the same is left. */
export function sameFiles(a: Scan | undefined, b: Scan | undefined): boolean {
  if (a === undefined || b === undefined) return false
  return (
    a.database === b.database &&
    a.table === b.table &&
    a.location === b.location &&
    equalIr(a.columns, b.columns) &&
    equalIr(a.partitionColumns, b.partitionColumns) &&
    a.files.length === b.files.length &&
    a.files.every((file, i) => file === b.files[i] || file.path === b.files[i]?.path) &&
    a.rowGroupsLeft === b.rowGroupsLeft
  )
}
