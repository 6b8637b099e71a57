import { unreachable } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import { renderTaskSql, type SqlPart } from '@nyala/executor/protocol'
import { type Scan, scanSql, type Split, wholeFiles } from './scan.ts'

/** A fragment's statement in parts: text, and the places of its scans and exchanges. */
export type FragmentPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'scan'; readonly scan: number }
  | { readonly kind: 'exchange'; readonly exchange: number }

/** Rows of one fragment on their way to another, kept as segments until the query ends. */
export interface Exchange {
  readonly id: number
  readonly columns: readonly Column[]
}

/** A part of the plan bounded by exchanges; it runs as one task, or as one for each group of `splits`. */
export interface Fragment {
  readonly id: number
  readonly parts: readonly FragmentPart[]
  /** The same for people: clauses on lines of their own. */
  readonly readable: () => readonly FragmentPart[]
  readonly output:
    { readonly kind: 'result' } | { readonly kind: 'exchange'; readonly exchange: number }
  /** The scan whose files are divided among the tasks, all other scans being read whole by each. */
  readonly divided?:
    { readonly scan: number; readonly groups: readonly (readonly Split[])[] } | undefined
  readonly exchanges: readonly number[]
  readonly scans: readonly number[]
  /** The most rows that a task of it can have, where that is known. */
  readonly rowsMax?: number | undefined
}

/** Fragments in the order in which they can run; the last one makes the result. */
export interface PhysicalPlan {
  readonly fragments: readonly Fragment[]
  readonly scans: ReadonlyMap<number, Scan>
  readonly exchanges: ReadonlyMap<number, Exchange>
  /** Why the plan has this shape, a sentence for EXPLAIN. */
  readonly reason: string
}

/**
 * The table name under which a scan or exchange stands in a tree until its text is made. NUL cannot stand in a
 * statement, so no name of a user can look like it.
 */
export const scanMark = (scan: number): string => `\u0000scan ${scan}\u0000`
export const exchangeMark = (exchange: number): string => `\u0000exchange ${exchange}\u0000`

/** Rendered text with its marks as parts. */
export function fragmentParts(text: string): readonly FragmentPart[] {
  // Splitting by a pattern with two groups gives text, kind, number, text, kind, number, …, text.
  const pieces = text.split(/"\u0000(scan|exchange) (\d+)\u0000"/)
  const parts: FragmentPart[] = []
  for (let i = 0; i < pieces.length; i += 3) {
    const piece = pieces[i] ?? ''
    if (piece !== '') parts.push({ kind: 'text', text: piece })
    if (i + 2 >= pieces.length) break
    const id = Number(pieces[i + 2])
    parts.push(
      pieces[i + 1] === 'scan' ? { kind: 'scan', scan: id } : { kind: 'exchange', exchange: id },
    )
  }
  return parts
}

/** Number of tasks that a fragment runs as. */
export const taskCount = (fragment: Fragment): number => fragment.divided?.groups.length ?? 1

/** The statement of one task: scans spelt out as explicit lists of files, exchanges left for the executor. */
export function taskSql(plan: PhysicalPlan, fragment: Fragment, task: number): readonly SqlPart[] {
  return fragment.parts.map((part): SqlPart => {
    switch (part.kind) {
      case 'text':
        return part
      case 'scan':
        return {
          kind: 'text',
          text: scanSql(scanOf(plan, part.scan), splitsOf(plan, fragment, task, part.scan)),
        }
      case 'exchange': {
        const columns = plan.exchanges.get(part.exchange)?.columns ?? []
        return { kind: 'exchange', exchange: part.exchange, columns }
      }
      default:
        return unreachable(part)
    }
  })
}

/** Files that one task reads of one scan. */
export function splitsOf(
  plan: PhysicalPlan,
  fragment: Fragment,
  task: number,
  scan: number,
): readonly Split[] {
  if (fragment.divided?.scan === scan) return fragment.divided.groups[task] ?? []
  return wholeFiles(scanOf(plan, scan).files)
}

/** Bytes of files that one task reads. */
export const taskBytes = (plan: PhysicalPlan, fragment: Fragment, task: number): number =>
  fragment.scans.reduce(
    (sum, scan) =>
      sum + splitsOf(plan, fragment, task, scan).reduce((n, split) => n + split.bytes, 0),
    0,
  )

/** What a task's placement should stick to: the first file of the scan that it has for itself. */
export function taskAffinity(
  plan: PhysicalPlan,
  fragment: Fragment,
  task: number,
): string | undefined {
  const scan = fragment.divided?.scan ?? largestScan(plan, fragment)
  if (scan === undefined) return undefined
  const first = splitsOf(plan, fragment, task, scan)[0]
  return first === undefined ? undefined : `${scanOf(plan, scan).location}/${first.file.path}`
}

function largestScan(plan: PhysicalPlan, fragment: Fragment): number | undefined {
  const bytes = (scan: number): number => scanOf(plan, scan).files.reduce((n, f) => n + f.bytes, 0)
  return fragment.scans.toSorted((a, b) => bytes(b) - bytes(a))[0]
}

export function scanOf(plan: PhysicalPlan, id: number): Scan {
  const scan = plan.scans.get(id)
  if (scan === undefined) throw new Error(`plan has no scan ${id}`)
  return scan
}

/** The SQL of a task as text, for people: exchanges stand as `exchange_N`. */
export function taskText(plan: PhysicalPlan, fragment: Fragment, task: number): string {
  const parts = taskSql(plan, fragment, task).map((part) =>
    part.kind === 'text' ? part : { kind: 'text' as const, text: `"exchange_${part.exchange}"` },
  )
  return renderTaskSql(parts, () => [])
}
