import type { Cursor } from '../cursor.ts'
import type { ExecuteProcedure, ObjectName, ProcedureArgument } from '../statement.ts'

/** After ALTER TABLE t EXECUTE: `name [( [argument =>] expression, … )]`. */
export function parseExecute(cursor: Cursor, table: ObjectName): ExecuteProcedure {
  const { at } = cursor
  const procedure = cursor.name('a procedure').toLowerCase()
  const args: ProcedureArgument[] = []
  if (cursor.takeSymbol('(')) {
    while (!cursor.takeSymbol(')')) {
      if (args.length > 0) cursor.expectSymbol(',')
      args.push(parseArgument(cursor))
    }
  }
  return { kind: 'executeProcedure', table, procedure, args, at }
}

/** After OPTIMIZE, as Impala has it: `[TABLE] t [(FILE_SIZE_THRESHOLD_MB = n)]`. */
export function parseOptimize(cursor: Cursor, start: number): ExecuteProcedure {
  cursor.takeWords('TABLE')
  const table = cursor.objectName()
  const args: ProcedureArgument[] = []
  if (cursor.takeSymbol('(')) {
    const { at } = cursor
    cursor.expectWords('FILE_SIZE_THRESHOLD_MB')
    cursor.expectSymbol('=')
    const text = `'${cursor.integer('a number of megabytes')}MB'`
    args.push({ name: 'file_size_threshold', text, at })
    cursor.expectSymbol(')')
  }
  return { kind: 'executeProcedure', table, procedure: 'optimize', args, at: start }
}

function parseArgument(cursor: Cursor): ProcedureArgument {
  const { at } = cursor
  const isNamed = cursor.isSymbol('=>', 1) || cursor.isSymbol(':=', 1)
  const name = isNamed ? cursor.name('the name of an argument').toLowerCase() : undefined
  if (isNamed) cursor.next()
  const from = cursor.at
  let end = from
  for (let depth = 0; ;) {
    const token = cursor.peek()
    const symbol = token?.kind === 'symbol' ? token.value : ''
    if (token === undefined || (depth === 0 && (symbol === ',' || symbol === ')'))) break
    if ('([{'.includes(symbol) && symbol !== '') depth++
    else if (')]}'.includes(symbol) && symbol !== '') depth--
    end = cursor.next().end
  }
  if (end === from) throw cursor.error('expected a value')
  return { name, text: cursor.script.slice(from, end), at }
}
