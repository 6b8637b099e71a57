import { isMutant } from '@nyala/client/base'
import type { TaskEnd, TaskPlace } from '@nyala/client/protocol'
import type { TaskSpec } from '@nyala/executor/protocol'

/** An attempt of a task whose result an executor holds from `firstFrame` on. */
export interface HeldAt {
  readonly executor: string
  readonly attempt: number
  readonly firstFrame: number
}

/** What becomes of a task of a result that is gone on with. */
export type TaskResumption =
  | {
      readonly kind: 'resume'
      readonly spec: TaskSpec
      readonly executor: string
      readonly attempt: number
      readonly fromFrame: number
    }
  /** Nothing of it is to be had: another attempt begins, or goes on after the rows that the client has. */
  | { readonly kind: 'runAgain'; readonly spec: TaskSpec }
  /** Without what makes tasks run again whose rows have left. */
  | { readonly kind: 'lost'; readonly spec: TaskSpec }

/** Attempts under one owner epoch; far more than a task is tried. */
const ATTEMPTS_PER_EPOCH = 1_000
/** Attempts are 32 bits wide where frames name them. Epochs are revisions of the store: those of a query are near. */
const EPOCHS_MAX = Math.floor(2 ** 32 / ATTEMPTS_PER_EPOCH)

/** A number that no other owner gives to an attempt of this query's tasks: those of its first owner begin at 0. */
export const attemptUnder = (epoch: number, tried: number): number =>
  (epoch % EPOCHS_MAX) * ATTEMPTS_PER_EPOCH + tried + ATTEMPTS_PER_EPOCH / 2

/** Pure: for each task that has not ended for the client, where its rows are to come from. */
export function planResumption({
  tasks,
  place,
  ended,
  held,
}: {
  readonly tasks: readonly TaskSpec[]
  readonly place: readonly TaskPlace[]
  readonly ended: readonly TaskEnd[]
  readonly held: ReadonlyMap<number, readonly HeldAt[]>
}): readonly TaskResumption[] {
  const over = new Set(ended.map(({ task }) => task))
  const places = new Map(place.map((one) => [one.task, one]))
  // The schema comes once, from whichever task is first.
  const hasSchema = place.length > 0 || ended.length > 0
  return tasks
    .filter(({ task }) => !over.has(task))
    .map((spec): TaskResumption => {
      const results = held.get(spec.task) ?? []
      const at = places.get(spec.task)
      if (at !== undefined && at.frames > 1) {
        const found = results.find(
          (one) => one.attempt === at.attempt && one.firstFrame <= at.frames,
        )
        if (found === undefined)
          return { kind: isMutant('no-rerun-after-rows') ? 'lost' : 'runAgain', spec }
        const { executor, attempt } = found
        return { kind: 'resume', spec, executor, attempt, fromFrame: at.frames }
      }
      const firstWanted = hasSchema ? 1 : 0
      const whole = results
        .filter((one) => one.firstFrame <= firstWanted)
        .toSorted((a, b) => b.attempt - a.attempt)[0]
      if (whole !== undefined) {
        const { executor, attempt } = whole
        return { kind: 'resume', spec, executor, attempt, fromFrame: whole.firstFrame }
      }
      // Rows that somebody else was given come from a new attempt: this client has none of any.
      const isGiven = results.length > 0
      return { kind: isGiven && isMutant('no-rerun-after-rows') ? 'lost' : 'runAgain', spec }
    })
}
