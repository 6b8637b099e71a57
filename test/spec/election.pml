/*
 * Election, takeover and fencing over a store with compare-and-write: leases expire, views and reads are old, replies
 * are lost, requests come late, and processes are paused between any two of their steps.
 *
 * As in the code (metastore/src/election.ts and session.ts, coordinator/src/failover):
 *   - one leader key, created if absent under a lease; its create revision is the epoch
 *   - a write of a leader compares the epoch, and is sent only if the leader has looked at the clock and was not away
 *   - a peer that believes the leader dead, rightly or not, deletes the key if it has the epoch that the peer saw
 *   - the lease of a process that is paused, or does not reach the store, may run out, and the key goes with it
 *   - a leader that is asked to stop, or does not reach the executors while another coordinator does, drops its epoch
 *     and then gives its key back, if that still has its epoch; one that resigned lets the other go first
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
 *   BLIND_GIVE_BACK    a leader that resigns or stops deletes the key whatever its epoch is
 *   NO_RESIGNATION     a leader that does not reach the executors leads on
 *   NO_YIELD           a leader that resigned campaigns again at once, and may win for ever
 */

#define CANDIDATES 2
#define NOBODY 255
#define OTHER(me) (1 - me)
/* How often something goes wrong; the liveness property is checked with less, for the sake of time. */
#ifndef PAUSES
#define PAUSES 2
#endif
#ifndef DEPOSALS
#define DEPOSALS 1
#endif
/* Times that a coordinator is cut off from the store, and times that one is asked to stop. */
#ifndef CUTS
#define CUTS 1
#endif
#ifndef STOPS
#define STOPS 1
#endif
/* More elections than can be lost to all of these and to resignations; with BOUNDED it is checked that it hides nothing. */
#define ELECTIONS (3 * (PAUSES + DEPOSALS + CUTS + STOPS) + 3)

/* The store. */
byte holder = NOBODY;
byte epoch = 0;
byte revision = 0;

/* What leaders wrote, for the properties: the epoch of the last write. */
byte written = 0;

/* The processes. */
bool awake[CANDIDATES];
bool away[CANDIDATES];      /* was paused since its lease was granted */
byte asked[CANDIDATES];     /* created the key, but does not know of it yet */
byte mine[CANDIDATES];      /* the epoch that it believes to lead under */

/* The links. */
bool offline[CANDIDATES];   /* does not reach the store: what it sends comes once it does again */
byte blind = NOBODY;        /* who does not reach the executors, and may never again; the other one does */

/* Whether a leader is to give its place up, and what for; who resigned lets the other one go first. */
#define NOT_TOLD 0
#define TO_RESIGN 1
#define TO_STOP 2
byte told[CANDIDATES];
bool yields[CANDIDATES];

bool calm = false;          /* nothing goes wrong any more, but that one may stay blind */
bool served = false;        /* a write of a leader that reaches the executors was applied after that */

inline store_applies(me, under) {
  assert(holder != NOBODY && epoch == under);   /* no write of a past epoch is applied */
  assert(under >= written);                     /* epochs of writes do not go back */
  assert(holder == me);         /* one leader an epoch: who created the key */
  written = under;
  served = served || (calm && blind != me)
}

/* Nobody is waited for who cannot campaign. */
#define may_campaign(me) (!yields[me] || !awake[OTHER(me)] || offline[OTHER(me)])

inline steps_down(me) {
  mine[me] = 0;
  told[me] = NOT_TOLD
}

proctype Candidate(byte me) {
  byte under;
  bool ours;
  do
  /* A campaign, by a view that may be old: there may be a leader after all. */
  :: awake[me] && mine[me] == 0 && revision < ELECTIONS && may_campaign(me) ->
     yields[me] = false;
     away[me] = false;
#ifdef LOCAL_EPOCH
     under = epoch;
#endif
     atomic {
       !offline[me] ->
       if
       :: holder == NOBODY ->
          revision++;
#ifdef BOUNDED
          assert(revision < ELECTIONS);
#endif
          holder = me;
          yields[OTHER(me)] = false;
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
       asked[me] = 0;
       under = 0
     }

  /* A write. */
  :: awake[me] && mine[me] != 0 && told[me] == NOT_TOLD ->
     atomic {
       under = mine[me];
#ifndef NO_ABSENCE_CHECK
       if
       :: away[me] -> steps_down(me); under = 0
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
        :: else -> steps_down(me)
        fi
#else
     :: under != 0 ->
        atomic {
          !offline[me] ->
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
          :: else -> steps_down(me)
          fi;
          under = 0;
          ours = false
        }
#endif
     fi

  /* It drops its epoch, and then gives the key back; where it does not reach the store, the lease runs out. */
  :: awake[me] && mine[me] != 0 && told[me] != NOT_TOLD ->
     atomic {
       under = mine[me];
#ifndef NO_YIELD
       yields[me] = (told[me] == TO_RESIGN);
#endif
       steps_down(me)
     };
     atomic {
       if
       :: offline[me] -> skip
#ifdef BLIND_GIVE_BACK
       :: !offline[me] && holder != NOBODY ->
#else
       :: !offline[me] && holder != NOBODY && epoch == under ->
#endif
          assert(epoch == under);   /* what is ended is its own term */
          holder = NOBODY
       :: else -> skip
       fi;
       under = 0
     }

  /* A watch tells, some time, that the key is gone. */
  :: awake[me] && mine[me] != 0 && !offline[me] && (holder != me || epoch != mine[me]) ->
     atomic { steps_down(me) }
  od
}

#ifndef NO_RESIGNATION
/* A leader that does not reach the executors, while another coordinator that it reaches does, resigns. */
proctype Duties() {
  do
  :: atomic {
       (blind != NOBODY && mine[blind] != 0 && told[blind] == NOT_TOLD && awake[blind] &&
        awake[OTHER(blind)] && !offline[OTHER(blind)]) ->
       told[blind] = TO_RESIGN
     }
  od
}
#endif

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
       fi;
       seen = 0
     }
  :: calm || left == 0 -> break
  od
}

/* The lease of who is paused may run out at any time; that of who has given up, or never knew, does in the end. */
proctype Expiry() {
  do
  :: atomic { holder != NOBODY && (!awake[holder] || offline[holder]) -> holder = NOBODY }
  :: atomic {
       holder != NOBODY && mine[holder] != epoch && asked[holder] != epoch -> holder = NOBODY
     }
  od
}
#endif

proctype Trouble() {
  byte pauses = PAUSES;
  byte cuts = CUTS;
  byte stops = STOPS;
  byte who;
  do
  :: pauses > 0 ->
     atomic {
       pauses--;
       select(who : 0 .. CANDIDATES - 1);
       awake[who] = false;
       away[who] = true
     };
     atomic { awake[who] = true; who = 0 }
  :: cuts > 0 ->
     atomic {
       cuts--;
       select(who : 0 .. CANDIDATES - 1);
       offline[who] = true
     };
     atomic { offline[who] = false; who = 0 }
  :: stops > 0 ->
     atomic {
       stops--;
       if
       :: mine[0] != 0 -> told[0] = TO_STOP
       :: mine[1] != 0 -> told[1] = TO_STOP
       :: else -> skip
       fi
     }
  /* The candidates are alike: the first stands for either. */
  :: blind == NOBODY -> blind = 0
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
#ifndef NO_RESIGNATION
    run Duties();
#endif
    run Trouble()
  }
}

/* Once nothing goes wrong any more, somebody leads who reaches the executors, and writes. */
ltl serves_again { [] (calm -> <> served) }
