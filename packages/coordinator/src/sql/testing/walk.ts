import type { ColumnRef, Expression, Query, TableRef } from '../ir.ts'
import { mapExpressionParts, mapQueryParts, mapTableParts, type PartMapper } from './map-parts.ts'

/**
 * Called before the parts of a node are visited; `false` leaves them out. Order is that of the text:
 * WITH, select list, FROM, WHERE and so on.
 */
export interface Visitor {
  readonly expression?: (expression: Expression) => boolean | void
  readonly query?: (query: Query) => boolean | void
  readonly table?: (table: TableRef) => boolean | void
}

/** Visits everything below a query, subqueries of expressions too. */
export const walkQuery = (query: Query, visitor: Visitor): void => {
  walker(visitor).query(query)
}

export const walkTableRef = (table: TableRef, visitor: Visitor): void => {
  walker(visitor).table(table)
}

/** Visits an expression and all below it. To stay out of subqueries give `query: () => false`. */
export const walkExpression = (expression: Expression, visitor: Visitor): void => {
  walker(visitor).expression(expression)
}

function walker(visitor: Visitor): PartMapper {
  const m: PartMapper = {
    expression(e) {
      if (visitor.expression?.(e) !== false) mapExpressionParts(e, m)
      return e
    },
    query(q) {
      if (visitor.query?.(q) !== false) mapQueryParts(q, m)
      return q
    },
    table(t) {
      if (visitor.table?.(t) !== false) mapTableParts(t, m)
      return t
    },
  }
  return m
}

/** Replacements, called with a node whose parts are already replaced. Unchanged trees are shared. */
export interface Rewriter {
  readonly expression?: (expression: Expression) => Expression
  readonly query?: (query: Query) => Query
  readonly table?: (table: TableRef) => TableRef
}

/** Rewrites a query bottom up, subqueries of expressions too. */
export const mapQuery = (query: Query, rewriter: Rewriter): Query => mapper(rewriter).query(query)

/** Rewrites a table reference and all below it, bottom up. */
export const mapTableRef = (table: TableRef, rewriter: Rewriter): TableRef =>
  mapper(rewriter).table(table)

/** Rewrites an expression bottom up; queries inside it are left as they are. */
export function mapExpression(
  expression: Expression,
  rewrite: (expression: Expression) => Expression,
): Expression {
  const m: PartMapper = {
    expression: (e) => rewrite(mapExpressionParts(e, m)),
    query: (q) => q,
    table: (t) => t,
  }
  return m.expression(expression)
}

function mapper(rewriter: Rewriter): PartMapper {
  const identity = <T>(node: T): T => node
  const { expression = identity, query = identity, table = identity } = rewriter
  const m: PartMapper = {
    expression: (e) => expression(mapExpressionParts(e, m)),
    query: (q) => query(mapQueryParts(q, m)),
    table: (t) => table(mapTableParts(t, m)),
  }
  return m
}

/** True when `test` holds for the expression or one below it; queries inside are not looked into. */
export function someExpression(
  expression: Expression,
  test: (expression: Expression) => boolean,
): boolean {
  let found = false
  walkExpression(expression, {
    expression(e) {
      found ||= test(e)
      return !found
    },
    query: () => false,
  })
  return found
}

/** All column references, in order, with repetitions; those inside subqueries are left out. */
export function columnsIn(expression: Expression): readonly ColumnRef[] {
  const columns: ColumnRef[] = []
  walkExpression(expression, {
    expression(e) {
      if (e.kind === 'column') columns.push(e)
    },
    query: () => false,
  })
  return columns
}
