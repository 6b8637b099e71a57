import { unreachable } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import { renderTaskSql, type SqlPart, type TaskFiles } from '@nyala/executor/protocol'
import type { OperatorText } from './fragment/operator-text.ts'
import type { TaskPart } from './fragment/tasks.ts'
import { type Scan, scanSql, type Split, wholeFiles } from './scan.ts'

/** A fragment's statement in parts: text, and the places of its scans and exchanges. */
export type FragmentPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'scan'; readonly scan: number }
  | { readonly kind: 'exchange'; readonly exchange: number }
  /** The number of the range that is the task's own. */
  | { readonly kind: 'range' }

/** Rows of one fragment on their way to another, kept as segments until the query ends. */
export interface Exchange {
  readonly id: number
  readonly columns: readonly Column[]
  /** The exchange whose segments these are, where a fragment reads one in two ways. */
  readonly sameAs?: number | undefined
}

/** How the tasks of a fragment read an exchange. */
export interface ExchangeInput {
  readonly exchange: number
  /** `whole`: each reads all of it. `divided`: each some of its segments. `buckets`: each some of its buckets. */
  readonly use: 'whole' | 'divided' | 'buckets'
}

export type FragmentOutput =
  | { readonly kind: 'result' }
  | {
      readonly kind: 'exchange'
      readonly exchange: number
      /** SQL expressions over the fragment's columns by whose hash rows are put into buckets; none for one bucket. */
      readonly keys: readonly string[]
      readonly buckets: number
    }

export interface DividedScan {
  readonly scan: number
  /** What each task reads, as many as there are tasks. */
  readonly groups: readonly (readonly Split[])[]
  /** The column no value of which is read by two tasks. */
  readonly apart?: string | undefined
}

/** A part of the plan bounded by exchanges; it runs as one task, or as several that divide what it reads. */
export interface Fragment {
  readonly id: number
  readonly parts: readonly FragmentPart[]
  /** The same for people: clauses on lines of their own. */
  readonly readable: () => readonly FragmentPart[]
  readonly output: FragmentOutput
  /** The scans whose files are divided among the tasks, in groups of the same numbers; all others are read whole by each. */
  readonly divided?: readonly DividedScan[] | undefined
  readonly inputs: readonly ExchangeInput[]
  readonly scans: readonly number[]
  /** Its tasks divide the rows by this many ranges of an order: the rows of one task come before those of the next. */
  readonly ranges?: number | undefined
  /** The exchange of which a bucket may be cut among several tasks that each read the others' bucket whole. */
  readonly cuttable?: number | undefined
  /** The most rows that a task of it can have, where that is known. */
  readonly rowsMax?: number | undefined
  /** Once its tasks have made this many rows the others need not run. */
  readonly rowsEnough?: number | undefined
  /** False where a task that runs again may choose other rows: a LIMIT takes any, or any of those that are equal. */
  readonly repeatable: boolean
  /** Its operators for people. */
  readonly operators?: (() => readonly OperatorText[]) | undefined
  /** Why its rows go where they go, and how much is expected. */
  readonly why?: string | undefined
  readonly expected?: ExchangeSize | undefined
}

/** Fragments in the order in which they can run; the last one makes the result. */
export interface PhysicalPlan {
  readonly fragments: readonly Fragment[]
  readonly scans: ReadonlyMap<number, Scan>
  readonly exchanges: ReadonlyMap<number, Exchange>
  /** Why the plan has this shape, a sentence for EXPLAIN. */
  readonly reason: string
  /** Its one fragment reads nothing: the coordinator answers it, without an executor. */
  readonly constant?: boolean | undefined
  /**
   * What is left to run once these exchanges have been written, with what they were found to hold; numbers of fragments
   * and exchanges go on from those of this plan. Absent where nothing could be done better for knowing it; undefined
   * where this plan stays.
   */
  readonly adapt?:
    ((measured: ReadonlyMap<number, ExchangeSize>) => PhysicalPlan | undefined) | undefined
}

export interface ExchangeSize {
  readonly rows: number
  readonly bytes: number
}

/**
 * The exchanges that are there once the first `ran` fragments have run, for `adapt`. None while one is there in part,
 * or the result is: planning again would begin it anew.
 */
export function writtenExchanges(
  { fragments }: Pick<PhysicalPlan, 'fragments'>,
  ran: number,
): readonly number[] {
  const outputs = (of: readonly Fragment[]): readonly (number | 'result')[] =>
    of.map(({ output }) => (output.kind === 'exchange' ? output.exchange : output.kind))
  const pending = new Set(outputs(fragments.slice(ran)))
  const written = [...new Set(outputs(fragments.slice(0, ran)))]
  const numbers = written.filter((output) => output !== 'result')
  return numbers.length < written.length || written.some((o) => pending.has(o)) ? [] : numbers
}

/**
 * The table name under which a scan or exchange stands in a tree until its text is made. NUL cannot stand in a
 * statement, so no name of a user can look like it.
 */
export const scanMark = (scan: number): string => `\u0000scan ${scan}\u0000`
export const exchangeMark = (exchange: number): string => `\u0000exchange ${exchange}\u0000`

/** The scan that a table in a tree stands for. */
export function scanId(ref: { readonly table: string }): number | undefined {
  const match = /^\u0000scan (\d+)\u0000$/.exec(ref.table)
  return match === null ? undefined : Number(match[1])
}

/** The name of the parameter that stands for the number of a task's range. */
export const RANGE_MARK = '\u0000range 0\u0000'

/** Rendered text with its marks as parts. */
export function fragmentParts(text: string): readonly FragmentPart[] {
  // Splitting by a pattern with two groups gives text, kind, number, text, kind, number, …, text.
  const pieces = text.split(/["$]\u0000(scan|exchange|range) (\d+)\u0000"?/)
  const parts: FragmentPart[] = []
  for (let i = 0; i < pieces.length; i += 3) {
    const piece = pieces[i] ?? ''
    if (piece !== '') parts.push({ kind: 'text', text: piece })
    if (i + 2 >= pieces.length) break
    const id = Number(pieces[i + 2])
    if (pieces[i + 1] === 'range') parts.push({ kind: 'range' })
    else if (pieces[i + 1] === 'scan') parts.push({ kind: 'scan', scan: id })
    else parts.push({ kind: 'exchange', exchange: id })
  }
  return parts
}

/** The statement of one task: scans spelt out as explicit lists of files, exchanges left for the executor. */
export function taskSql(
  plan: PhysicalPlan,
  fragment: Fragment,
  part: TaskPart,
): readonly SqlPart[] {
  return fragment.parts.map((piece): SqlPart => {
    switch (piece.kind) {
      case 'text':
        return piece
      case 'scan':
        return {
          kind: 'text',
          text: scanSql(scanOf(plan, piece.scan), splitsOf(plan, fragment, part, piece.scan)),
        }
      case 'exchange': {
        const columns = plan.exchanges.get(piece.exchange)?.columns ?? []
        return { kind: 'exchange', exchange: piece.exchange, columns }
      }
      case 'range':
        if (part.kind !== 'range') throw new Error('a task of ranges has one of them')
        return { kind: 'text', text: String(part.range) }
      default:
        return unreachable(piece)
    }
  })
}

/** Files that one task reads of one scan. */
export function splitsOf(
  plan: PhysicalPlan,
  fragment: Fragment,
  part: TaskPart,
  scan: number,
): readonly Split[] {
  const divided = fragment.divided?.find((one) => one.scan === scan)
  if (divided !== undefined) {
    if (part.kind !== 'splits')
      throw new Error('a task of a divided scan has a group of its splits')
    return divided.groups[part.group] ?? []
  }
  return wholeFiles(scanOf(plan, scan).files)
}

/** The files that one task reads, as the table was listed with them, for the executor to compare. */
export const taskFiles = (
  plan: PhysicalPlan,
  fragment: Fragment,
  part: TaskPart,
): readonly TaskFiles[] =>
  fragment.scans.flatMap((id) => {
    const { database, table, location } = scanOf(plan, id)
    const files = [...new Set(splitsOf(plan, fragment, part, id).map((split) => split.file))]
    if (files.length === 0) return []
    return {
      table: `${database}.${table}`,
      location,
      paths: files.map((file) => file.path),
      bytes: files.map((file) => file.bytes),
      modifiedMs: files.map((file) => file.modifiedMs),
    }
  })

/** Bytes of files that one task reads. */
export const taskBytes = (plan: PhysicalPlan, fragment: Fragment, part: TaskPart): number =>
  fragment.scans.reduce(
    (sum, scan) =>
      sum + splitsOf(plan, fragment, part, scan).reduce((n, split) => n + split.bytes, 0),
    0,
  )

/** What a task's placement should stick to: the first file of the scan that it has for itself. */
export function taskAffinity(
  plan: PhysicalPlan,
  fragment: Fragment,
  part: TaskPart,
): string | undefined {
  const scan = fragment.divided?.[0]?.scan ?? largestScan(plan, fragment)
  if (scan === undefined) return undefined
  const first = splitsOf(plan, fragment, part, scan)[0]
  return first === undefined ? undefined : `${scanOf(plan, scan).location}/${first.file.path}`
}

function largestScan(plan: PhysicalPlan, fragment: Fragment): number | undefined {
  const bytes = (scan: number): number => scanOf(plan, scan).files.reduce((n, f) => n + f.bytes, 0)
  return fragment.scans.toSorted((a, b) => bytes(b) - bytes(a))[0]
}

/** The exchange that holds the segments of one that is read. */
export const writtenAs = (plan: Pick<PhysicalPlan, 'exchanges'>, exchange: number): number =>
  plan.exchanges.get(exchange)?.sameAs ?? exchange

export function scanOf(plan: PhysicalPlan, id: number): Scan {
  const scan = plan.scans.get(id)
  if (scan === undefined) throw new Error(`plan has no scan ${id}`)
  return scan
}

/** The SQL of a task as text, for people: exchanges stand as `exchange_N`. */
export function taskText(plan: PhysicalPlan, fragment: Fragment, part: TaskPart): string {
  const parts = taskSql(plan, fragment, part).map((piece) =>
    piece.kind === 'text' ? piece : { kind: 'text' as const, text: `"exchange_${piece.exchange}"` },
  )
  return renderTaskSql(parts, () => [])
}
