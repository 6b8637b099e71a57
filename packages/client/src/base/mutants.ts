/**
 * Guards and mechanisms that a drill can have switched off in the processes that it starts, to show that it fails
 * without them: a drill that passes on its mutant proves nothing. Never for anything else: without `NYALA_DRILL=1` a
 * process that is asked for one refuses to start.
 */
export const MUTANTS = [
  /** A task whose executor was lost is not run again. */
  'no-retry-elsewhere',
  /** A task whose executor was lost is not run again once rows of it were delivered. */
  'no-rerun-after-rows',
  /** Coordinators do not ask executors whether they still answer. */
  'no-pings',
  /** Executors drop what they hold of a query once the socket of its coordinator closes. */
  'no-orphan-grace',
  /** Executors obey the owner that a query had before its present one. */
  'no-owner-epoch-check',
  /** A coordinator that has seen a leader does not stand for election any more. */
  'no-campaign',
  /** A leader does not notice that its term is over. */
  'no-step-down',
  /** A guarded write that was not answered is not repeated. */
  'no-commit-retry',
  /** What etcd does not answer is asked of it again and again, without an end. */
  'patient-metastore',
  /** A statement that was sent before is done again: neither its outcome is looked at, nor does a commit compare it. */
  'no-outcome-check',
  /** What runs is ended by a planned stop, not waited for. */
  'no-drain',
  /** A member whose lease is gone does not register again. */
  'no-reregistration',
  /** A coordinator does not take over what another one that lives still owns, though a client asks for it. */
  'no-claim-from-the-living',
  /** Coordinators take each other for dead that are not registered, though their sockets are open. */
  'deaf-to-sockets',
  /** Coordinators give up who answers a ping later than in 100 ms. */
  'impatient-pings',
  /** Executors drop the frames of a result that they have sent. */
  'no-kept-frames',
  /** Rows leave a coordinator before it is settled what becomes of the result without it. */
  'no-hold',
  /** A coordinator that misses an executor ends its queries, also those that others could go on with. */
  'no-second-opinion',
  /** A task that does not get on where it runs is waited for. */
  'no-speculation',
  /** A query under which kernels die is tried again and again. */
  'no-quarantine',
  /** A coordinator keeps to itself which statements kill kernels. */
  'lonely-quarantine',
  /** Results wait for clients that do not read them. */
  'no-reader-watch',
  /** Tasks take memory and disk beyond the limits of their query. */
  'no-memory-limit',
  /** What is wrong with the disk that kernels spill to is told as if files of the query were wrong. */
  'no-spill-errors',
  /** Executors wait for kernels that say nothing any more. */
  'no-kernel-watch',
  /** A coordinator that alone reaches no executor keeps its statements. */
  'no-handing-on',
  /** Executors wait for as long as it takes for what they pull from each other. */
  'patient-pulls',
  /** What lies on both sides of a cut link stays there, though nobody can read all of it. */
  'no-one-side',
  /** Frames that come out of their order end what they are of. */
  'no-refetch',
  /** A task that finds no room on one disk is not run where there may be some. */
  'no-room-elsewhere',
  /** Segments are taken as they come from other executors. */
  'no-segment-checksum',
  /** A leader that does not reach the executors goes on leading. */
  'no-resignation',
  /** Files of writes that came to nothing stay. */
  'no-staged-removal',
  /** A commit does not compare that its write has not been aborted. */
  'no-record-check',
  /** Statements read what their coordinator has seen, however old that is. */
  'old-snapshots',
  /** The leader does not look after the writes of others. */
  'no-sweeps',
  /** Nobody looks for files of writes that have ended. */
  'no-litter-sweep',
  /** A query is cancelled only where it runs, not by whoever is asked, nor when its owner is gone. */
  'no-cancel-elsewhere',
  /** A result is kept for its client however long that stays away. */
  'no-idle-end',
  /** Clients that lost their coordinator dial others at once, in the order in which they know them. */
  'no-spread',
  /** Clients wait for a coordinator that does not answer them before they dial the next one. */
  'no-dial-race',
  /** Data files are read as they are, whatever their names say. */
  'no-data-checksum',
  /** A view that falls behind what etcd has forgotten is not read anew. */
  'no-relisting',
  /** An etcd without room is taken for one that does not answer. */
  'no-alarm-told',
  /** Nobody looks whose the directories are that a cluster writes to. */
  'no-directory-claim',
  /** A member of etcd without its data is started as if it had never been. */
  'no-member-replaced',
] as const

export type Mutant = (typeof MUTANTS)[number]

/** Browsers have no environment, and no mutants. */
const variables =
  (
    globalThis as {
      readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> }
    }
  ).process?.env ?? {}
const asked = variables['NYALA_MUTANT']
const active = variables['NYALA_DRILL'] === '1' ? asked : undefined

/** True in a process of a drill that runs without what `mutant` names. */
export const isMutant = (mutant: Mutant): boolean => active === mutant

/**
 * How many times shorter than elsewhere the leader waits before it cleans up after writes: a drill that looks for what is
 * left cannot wait for minutes. `NYALA_HASTE`, with `NYALA_DRILL=1` only.
 */
export function drillHaste(): number {
  const told = Number(variables['NYALA_HASTE'])
  return variables['NYALA_DRILL'] === '1' && told >= 1 ? told : 1
}

/** Why this process must not start, where it was asked for a mutant that there is not or outside of a drill. */
export function mutantRefusal(): string | undefined {
  if (asked === undefined || asked === '') return undefined
  if (active === undefined) return `NYALA_MUTANT=${asked} switches a guard off: for drills only`
  if (MUTANTS.some((mutant) => mutant === asked)) return undefined
  return `NYALA_MUTANT=${asked} is not one of ${MUTANTS.join(', ')}`
}
