/*
 * The commit of one transaction: two coordinators, two executors that stage a file each, the records in etcd, a client
 * that asks for the end again, and a rival that moves a head. Requests come late or twice, replies are lost, coordinators
 * are paused or die between any two steps, executors die before and after their vote.
 *
 * As in the code (metastore/src/write-log.ts, coordinator/src/txn, executor/src/participant):
 *   - begin puts the record if there is none and the transaction has no outcome
 *   - an executor votes when its file is on disk; it takes no request once it knows that the query has ended
 *   - decide is one step: record pending, no outcome, heads at their base -> outcome, heads moved, record gone
 *   - abort is a step of its own: record pending -> aborted; whoever does not know how it ended does that first, and
 *     then reads the outcome
 *   - files are removed of an aborted record alone, once more when no executor can be at it any more; then it is forgotten
 *
 * Only the store's own steps are atomic. A request that is sent may be applied at any time later, or never.
 *
 * Each mutant leaves out one guard and must be found by the checker:
 *   UNGUARDED_DECIDE   decide does not compare the record
 *   ANY_RECORD         decide compares that a record is pending, not that it is still the one that was begun
 *   BLIND_HEADS        decide does not compare the heads
 *   LATE_BEGIN         begin does not compare the outcome
 *   EARLY_VOTE         an executor votes before its file is on disk
 *   INFERRED_ABORT     a coordinator that hears nothing tells the client that it failed
 *   READ_ONLY_ANSWER   who is asked again reads the outcome without aborting first
 *   CLEAN_FIRST        files are removed before the record says aborted
 *   NO_RECOVERY        nobody aborts what a dead coordinator has left
 *   HASTY_FORGET       the record is forgotten while an executor may still be at it
 */

#define NONE 0
#define PENDING 1
#define ABORTED 2

/* Files, as the storage has them: written, but lost when the executor dies; or on disk. */
#define ABSENT 0
#define WRITTEN 1
#define DURABLE 2

/* Times that begin may be delivered; the liveness property is checked with one, for the sake of time. */
#ifndef SENT
#define SENT 2
#endif
#ifndef TRIES
#define TRIES 2
#endif

#define NOTHING 0
#define OK 1
#define FAILED 2

/* etcd. */
byte record = NONE;
byte number = 0;            /* the revision of the record: a record that is put again has another one */
byte mine = 0;              /* the one that the owner knows */
bool outcome = false;
byte head = 0;              /* that of the table which the rival changes, too */

/* The storage. */
byte file[2];

/* Executors. */
bool asked[2];
bool voted[2];
bool ended[2];              /* has heard, or found out, that the query has ended */

/* Requests that may still be delivered. */
byte begins = 0;
byte decides = 0;
byte base = 0;              /* of the decide that is under way */

/* The client, and whether the first coordinator is there. */
byte told = NOTHING;
bool alive = true;
bool asking = true;         /* the client is there to ask */

bool listening = true;      /* the owner still waits for replies, and these have come: */
bool begun = false;
bool refused = false;
bool done = false;

inline tell(what) {
  if
  :: told == NOTHING -> told = what
  :: else -> assert(told == what)       /* all who answer say the same */
  fi
}

inline remove_files() {
  assert(!outcome);                     /* what is committed is never removed */
  file[0] = ABSENT; file[1] = ABSENT
}

/* What is in flight, and the rival. */
proctype Network() {
  bool rival = true;
  do
  :: atomic {
       begins > 0 ->
       begins--;
       if
#ifdef LATE_BEGIN
       :: record == NONE -> record = PENDING; number++
#else
       :: record == NONE && !outcome -> record = PENDING; number++
#endif
       :: else -> skip
       fi;
       /* The reply, or none. */
       if
       :: listening && record == PENDING && !begun -> begun = true; mine = number
       :: true -> skip
       fi
     }
  :: atomic {
       decides > 0 ->
       decides--;
       if
#ifdef UNGUARDED_DECIDE
       :: !outcome && head == base ->
#else
#ifdef ANY_RECORD
       :: record == PENDING && !outcome && head == base ->
#else
#ifdef BLIND_HEADS
       :: record == PENDING && number == mine && !outcome ->
#else
       :: record == PENDING && number == mine && !outcome && head == base ->
#endif
#endif
#endif
          assert(head == base);                                   /* no update is lost */
          assert(file[0] == DURABLE && file[1] == DURABLE);       /* all of it is there */
          assert(told != FAILED);                                 /* who was told no was told the truth */
          outcome = true;
          head = head + 1;
          record = NONE
       :: else -> if :: listening && !outcome -> refused = true :: else -> skip fi
       fi;
       if
       :: listening -> done = outcome
       :: true -> skip
       fi
     }
  :: atomic { begins > 0 -> begins-- }      /* lost */
  :: atomic { decides > 0 -> decides-- }
#ifndef NO_RIVAL
  :: atomic { rival && head == 0 -> head = 1; rival = false }
#endif
  od
}

proctype Executor(byte me) {
  do
  :: atomic { asked[me] && !ended[me] && !voted[me] && file[me] == ABSENT -> file[me] = WRITTEN };
#ifdef EARLY_VOTE
     atomic { !ended[me] -> voted[me] = true };
#endif
     if
     :: atomic { file[me] == WRITTEN -> file[me] = DURABLE; voted[me] = true }
     :: atomic { file[me] == WRITTEN -> file[me] = DURABLE; ended[me] = true }   /* dies with its vote unheard */
     :: atomic { file[me] == WRITTEN -> file[me] = ABSENT; ended[me] = true }    /* dies: it was not on disk */
     :: file[me] == ABSENT -> skip                                               /* removed under it */
     fi
  /* Its query was released, or its owner has been gone for too long. */
  :: atomic { !ended[me] && (!alive || told != NOTHING) -> ended[me] = true }
  od
}

/* The coordinator that keeps the transaction. */
proctype Owner() {
  byte tries = TRIES;
  /* Sent twice: the first answer may be lost. */
  begins = SENT;
  if
  :: begun -> skip
  :: begins == 0 && !begun -> goto undo
  :: !alive -> goto over
  fi;
  atomic { asked[0] = true; asked[1] = true };
  if
  :: voted[0] && voted[1] -> skip
  :: (ended[0] && !voted[0]) || (ended[1] && !voted[1]) -> goto undo
  :: goto undo
  :: !alive -> goto over
  fi;
decide:
  if
  :: !alive -> goto over
  :: atomic { alive && tries > 0 -> tries--; refused = false; base = head; decides = SENT }
  :: tries == 0 -> goto undo
  fi;
  if
  :: done -> goto committed
  :: refused && record == PENDING && decides == 0 -> goto decide     /* on top of what came */
  :: decides == 0 -> goto undo
  :: true -> goto undo                              /* no answer in time */
  :: !alive -> goto over
  fi;
committed:
  if
  :: atomic { alive -> tell(OK) }
  :: !alive -> skip
  fi;
  goto over;
undo:
#ifdef INFERRED_ABORT
  atomic { if :: alive -> tell(FAILED) :: else -> skip fi };
#endif
  if
  :: !alive -> goto over
  :: atomic { alive && record == PENDING -> record = ABORTED }
  :: atomic { alive && record != PENDING -> skip }
  fi;
  if
  :: !alive -> goto over
  :: atomic { alive && outcome -> tell(OK) }
  :: atomic { alive && !outcome && (record == ABORTED || begins == 0) -> tell(FAILED) }
  :: atomic { alive && !outcome && record == NONE && begins > 0 -> begins = 0; tell(FAILED) }
  fi;
over:
  atomic { listening = false; begun = false; refused = false; done = false }
}

proctype Trouble() {
  if
  :: alive = false
  :: skip
  fi;
  if
  :: asking = false
  :: skip
  fi
}

/* The leader: it may take the owner for dead while it lives. And whom the client asks when it hears nothing. */
proctype Leader() {
  do
#ifndef NO_RECOVERY
#ifdef CLEAN_FIRST
  :: record == PENDING -> remove_files(); atomic { if :: record == PENDING -> record = ABORTED :: else -> skip fi }
#else
  :: atomic { record == PENDING -> record = ABORTED }
#endif
#endif
  :: record == ABORTED ->
     atomic { if :: record == ABORTED -> remove_files() :: else -> skip fi };
#ifndef HASTY_FORGET
     (ended[0] && ended[1]);
     /* Once more: what was written since. */
     atomic { if :: record == ABORTED -> remove_files() :: else -> skip fi };
#endif
     atomic { if :: record == ABORTED -> record = NONE :: else -> skip fi }
  /* The client asks again how its COMMIT has ended. */
  :: told == NOTHING && !alive && asking ->
#ifndef READ_ONLY_ANSWER
     atomic { if :: record == PENDING -> record = ABORTED :: else -> skip fi };
#endif
     atomic {
       if
       :: told != NOTHING -> skip
       :: told == NOTHING && outcome -> tell(OK)
       :: told == NOTHING && !outcome -> tell(FAILED)
       fi
     }
  od
}

#ifdef LIVENESS
bit tick;

/* Time goes on when nothing else does: else a run that is stuck would be too short to be looked at. */
proctype Time() {
  do
  :: tick = 1 - tick
  od
}
#endif

/* What is left is what it should be. */
#define TIDY (outcome || (file[0] == ABSENT && file[1] == ABSENT))

init {
  atomic {
    run Network();
    run Executor(0);
    run Executor(1);
    run Owner();
    run Trouble();
#ifdef LIVENESS
    run Time();
#endif
    run Leader()
  }
}

ltl decided { <>[](record == NONE && (told != NOTHING || !asking) && TIDY) }
