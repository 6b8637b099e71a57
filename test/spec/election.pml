/*
 * Election, takeover and fencing over a store with compare-and-write: leases expire, views and reads are old, replies
 * are lost, requests come late, and processes are paused between any two of their steps.
 *
 * As in the code (metastore/src/election.ts and session.ts, coordinator/src/failover):
 *   - one leader key, created if absent under a lease; its create revision is the epoch
 *   - a write of a leader compares the epoch, and is sent only if the leader has looked at the clock and was not away
 *   - a peer that believes the leader dead, rightly or not, deletes the key if it has the epoch that the peer saw
 *   - the lease of a process that is paused may run out, and the key goes with it
 *
 * Only the store's own steps are atomic. Between the step in which a process sends and the one in which the store
 * applies, anything may happen: so a request may come late, from a process that is paused or was deposed meanwhile.
 *
 * Each mutant leaves out one guard and must be found by the checker:
 *   UNFENCED_WRITE     a leader's write does not compare the epoch
 *   BLIND_CAMPAIGN     a candidate puts the key without comparing that there is none
 *   BLIND_DEPOSAL      a peer deletes the key whatever its epoch is
 *   LOCAL_EPOCH        a candidate numbers its epoch itself, from the last one that it saw
 *   TRUSTED_READ       a leader that read the key as its own writes without a compare
 *   NO_ABSENCE_CHECK   a leader that was away goes on without looking at the clock
 *   NO_EXPIRY          leases do not run out and nobody deposes: the key of a leader that was away stays
 */

#define CANDIDATES 2
#define NOBODY 255
/* How often something goes wrong; the liveness property is checked with one pause, for the sake of time. */
#ifndef PAUSES
#define PAUSES 2
#endif
#ifndef DEPOSALS
#define DEPOSALS 1
#endif
/* More elections than can be lost to pauses and deposals, so that the bound hides nothing. */
#define ELECTIONS (PAUSES + DEPOSALS + 2)

/* The store. */
byte holder = NOBODY;
byte epoch = 0;
byte revision = 0;

/* What leaders wrote, for the properties: the epoch of the last write, and by epoch 1 + who wrote under it. */
byte written = 0;
byte writer[ELECTIONS + 2];

/* The processes. */
bool awake[CANDIDATES];
bool away[CANDIDATES];      /* was paused since its lease was granted */
byte asked[CANDIDATES];     /* created the key, but does not know of it yet */
byte mine[CANDIDATES];      /* the epoch that it believes to lead under */

bool calm = false;          /* nothing goes wrong any more */
bool served = false;        /* a write was applied after that */

inline store_applies(me, under) {
  assert(holder != NOBODY && epoch == under);   /* no write of a past epoch is applied */
  assert(under >= written);                     /* epochs of writes do not go back */
  assert(writer[under] == 0 || writer[under] == me + 1);   /* one leader an epoch */
  writer[under] = me + 1;
  written = under;
  served = served || calm
}

proctype Candidate(byte me) {
  byte under;
  bool ours;
  do
  /* A campaign, by a view that may be old: there may be a leader after all. */
  :: awake[me] && mine[me] == 0 && revision < ELECTIONS ->
     away[me] = false;
#ifdef LOCAL_EPOCH
     under = epoch;
#endif
     atomic {
       if
       :: holder == NOBODY ->
          revision++;
          holder = me;
#ifdef LOCAL_EPOCH
          epoch = under + 1;
#else
          epoch = revision;
#endif
          asked[me] = epoch
#ifdef BLIND_CAMPAIGN
       :: holder != NOBODY && revision < ELECTIONS ->   /* a put over a key keeps its create revision */
          holder = me;
          asked[me] = epoch
#endif
       :: else -> skip
       fi
     };
     /* The reply, or that of a repetition. Who was away meanwhile has no valid lease. */
     atomic {
       awake[me] ->
       mine[me] = (away[me] -> 0 : asked[me]);
       asked[me] = 0
     }

  /* A write. */
  :: awake[me] && mine[me] != 0 ->
     atomic {
       under = mine[me];
#ifndef NO_ABSENCE_CHECK
       if
       :: away[me] -> mine[me] = 0; under = 0
       :: else -> skip
       fi;
#endif
       assert(under == 0 || !away[me])   /* nothing is sent after an absence */
     };
     if
     :: under == 0 -> skip
#ifdef TRUSTED_READ
     :: under != 0 ->
        ours = (holder == me && epoch == under);
        if
        :: ours -> atomic { store_applies(me, under) }
        :: else -> mine[me] = 0
        fi
#else
     :: under != 0 ->
        atomic {
          ours = (holder != NOBODY && epoch == under);
          if
#ifdef UNFENCED_WRITE
          :: true -> store_applies(me, under)
#else
          :: ours -> store_applies(me, under)
          :: else -> skip
#endif
          fi
        };
        /* The answer: a leader that is fenced knows that it is over. */
        atomic {
          awake[me] ->
          if
          :: ours -> skip
          :: else -> mine[me] = 0
          fi
        }
#endif
     fi

  /* A watch tells, some time, that the key is gone. */
  :: awake[me] && mine[me] != 0 && (holder != me || epoch != mine[me]) -> mine[me] = 0
  od
}

#ifndef NO_EXPIRY
/* A peer that believes the leader dead. */
proctype Peer() {
  byte seen;
  byte left = DEPOSALS;
  do
  :: left > 0 && holder != NOBODY && !calm ->
     left--;
     seen = epoch;
     atomic {
       if
#ifdef BLIND_DEPOSAL
       :: holder != NOBODY ->
#else
       :: holder != NOBODY && epoch == seen ->
#endif
          assert(epoch == seen);   /* what is ended is the term that the peer saw */
          holder = NOBODY
       :: else -> skip
       fi
     }
  :: calm || left == 0 -> break
  od
}

/* The lease of who is paused may run out at any time; that of who has given up, or never knew, does in the end. */
proctype Expiry() {
  do
  :: atomic { holder != NOBODY && !awake[holder] -> holder = NOBODY }
  :: atomic {
       holder != NOBODY && mine[holder] != epoch && asked[holder] != epoch -> holder = NOBODY
     }
  od
}
#endif

proctype Trouble() {
  byte left = PAUSES;
  byte who;
  do
  :: left > 0 ->
     left--;
     select(who : 0 .. CANDIDATES - 1);
     atomic { awake[who] = false; away[who] = true };
     awake[who] = true
  :: true -> break
  od;
  calm = true
}

init {
  atomic {
    awake[0] = true;
    awake[1] = true;
    run Candidate(0);
    run Candidate(1);
#ifndef NO_EXPIRY
    run Peer();
    run Expiry();
#endif
    run Trouble()
  }
}

/* Once nothing goes wrong any more, somebody leads and writes. */
ltl serves_again { [] (calm -> <> served) }
