/**
 * Named moments in the life of a query at which a drill can have a process killed or stopped: right there, not about
 * then. A place in the code calls {@link failpoint}; in production nobody listens.
 */
export const FAILPOINTS = [
  /** A coordinator has taken a query and is about to plan it. */
  'query.planning',
  /** A coordinator has put a query into its queue. */
  'query.queued',
  /** A coordinator has given a first task to an executor. */
  'query.running',
  /** A coordinator is about to write the plan file and the record of a result that streams. */
  'query.recording',
  /** The plan file is there, the record is not. */
  'query.planWritten',
  /** The record is there, and the client has not been told. */
  'query.recorded',
  /** All rows have left, and the client has not been told that these are all. */
  'query.ending',
  /** A coordinator was asked to cancel a query, and has written so into its record if there is one. */
  'query.cancelling',
  /** A coordinator is about to claim a query. */
  'query.claiming',
  /** A coordinator has claimed a query, and no executor knows. */
  'query.claimed',
  /** The record of a write is there, and none of its files. */
  'write.begun',
  /** The files of a write are on disk, and the commit that decides it is about to be sent. */
  'write.deciding',
  /** A write was decided, and its client has not been told. */
  'write.decided',
  /** An executor is about to say that a task has ended. */
  'task.ending',
] as const

export type Failpoint = (typeof FAILPOINTS)[number]

let listening: ((name: Failpoint) => void) | undefined

/** This moment has come. */
export function failpoint(name: Failpoint): void {
  listening?.(name)
}

/** For processes of drills, see `listenToFailpoints` of the metastore package: it reads files, which browsers have none of. */
export function onFailpoint(listener: (name: Failpoint) => void): void {
  listening = listener
}
