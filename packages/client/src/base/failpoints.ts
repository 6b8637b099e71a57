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
  /** A write is about to make its record. */
  'write.beginning',
  /** The record of a write is there, and none of its files. */
  'write.begun',
  /** The files of a write are on disk, and the commit that decides it is about to be sent. */
  'write.deciding',
  /** A write was decided, and its client has not been told. */
  'write.decided',
  /** A coordinator is about to say of a write of its own that it will never be committed. */
  'write.aborting',
  /** That is said, and the files of the write are still there. */
  'write.aborted',
  /** INSERTs of literal rows were taken for one commit. */
  'group.taken',
  /** The rows of a group are about to be written. */
  'group.staging',
  /** The rows of a group are committed, and none of its clients has been told. */
  'group.decided',
  /** A statement of a transaction has staged what it changes, and its client has not been told. */
  'transaction.staged',
  /** COMMIT is about to put what a transaction has staged on top of the newest snapshot. */
  'transaction.committing',
  /** The leader has found that something is due of a write of others, and has done nothing yet. */
  'janitor.sweeping',
  /** The leader is about to remove files that nobody needs any more. */
  'janitor.removing',
  /** They are gone, and the record that says so is still there. */
  'janitor.forgetting',
  /** An executor is about to say that a task has ended. */
  'task.ending',
  /** An executor was asked for files of a table, and has none yet. */
  'prepare.received',
  /** A kernel is about to write rows to files that have no name in the table yet. */
  'stage.writing',
  /** Such a file is whole, and not known to be on disk. */
  'stage.syncing',
  /** It is on disk, and about to get its name in the table. */
  'stage.renaming',
  /** All have their names, which are not known to be on disk. */
  'stage.named',
  /** An executor is about to say that the files which it was asked for are there. */
  'prepare.voting',
  /** It has said so. */
  'prepare.voted',
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
