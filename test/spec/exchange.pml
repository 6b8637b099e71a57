/*
 * One task of a result: its attempts, their numbered frames and the end with its count, executors that die with what they
 * hold, sockets that break, frames that come late, twice and out of order, and a reader whose place another one takes.
 *
 * As in the code (executor/src/task/result-buffer.ts, coordinator/src/schedule):
 *   - an attempt makes frames in order and holds them until the client has them; it sends from where it is asked to
 *   - the reader takes the frame of the present attempt that is due, drops what came before, and asks again from there
 *     where one is missing, where the end comes before the last frame, and where the socket has broken
 *   - a task that is lost is run again under a new number; where the client has rows, the new attempt makes these again,
 *     compares them, and goes on after them only if they are the same: else the client is told
 *   - a new owner goes on with the attempt that is held; from then on commands of the former one are refused
 *
 * An attempt makes one of two results, as of a task whose rows come in no certain order. What is on its way is a set: so a
 * frame may come twice, or long after its attempt was lost.
 *
 * Each mutant leaves out one guard and must be found by the checker:
 *   NO_ATTEMPT_CHECK   frames of former attempts are taken
 *   NO_ORDER_CHECK     frames are taken as they come
 *   NO_COUNT           the end is believed without a look at how many frames came
 *   NO_COMPARE         an attempt goes on after the rows of another without making them again
 *   SAME_NUMBER        a task that is run again keeps its number
 *   EARLY_DROP         an executor drops frames that it has sent, though the client may not have them
 *   NO_EPOCH_CHECK     executors obey the former owner: it releases what the new one reads
 *   NO_ASK_AGAIN       nobody asks again for what is missing
 *   NO_RERUN           a task that is lost is not run again
 */

#define FRAMES 2
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef BREAKS
#define BREAKS 1
#endif
/* Times that frames come out of their order. */
#ifndef GAPS
#define GAPS 1
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
/* More than are lost. */
#define ATTEMPTS 3
#define AT(attempt, frame) ((attempt) * FRAMES + (frame))

/* The attempts, by their numbers. */
bool there[ATTEMPTS];              /* its executor lives and holds it */
bit makes[ATTEMPTS];               /* which of the two results */
byte cursor[ATTEMPTS];             /* the next frame to send */

/* On their way: frames, each with the result that it is of, and ends. */
bool flying[ATTEMPTS * FRAMES];
bit is_of[ATTEMPTS * FRAMES];
bool ending[ATTEMPTS];

/* The reader. */
byte current = 0;                  /* the attempt that it reads */
bool broken = false;               /* its socket */
byte gaps = GAPS;

/* The client. */
byte next = 0;                     /* the frame that is due */
bit seen = 0;                      /* the result that its frames are of */
bool done = false;
bool failed = false;

bool died = false;                 /* some executor has */
byte owners = 1;
#define over (done || failed)

inline take(attempt, frame) {
  assert(frame == next);                            /* each once, in order */
  assert(next == 0 || is_of[AT(attempt, frame)] == seen);   /* of one result */
  seen = is_of[AT(attempt, frame)];
  next++
}

inline ask_again() {
#ifndef NO_ASK_AGAIN
  if
  :: there[current] -> cursor[current] = next
  :: else -> skip
  fi;
#endif
  skip
}

/* A frame has come; what came twice is there once more. */
inline on_frame(attempt, frame) {
  if
#ifdef NO_ATTEMPT_CHECK
  :: frame == next -> take(attempt, frame)
#else
  :: attempt == current && frame == next -> take(attempt, frame)
#endif
#ifdef NO_ORDER_CHECK
  :: attempt == current && frame > next -> take(attempt, frame)
#else
  :: attempt == current && frame > next -> gaps--; ask_again()
#endif
  :: else -> skip
  fi;
  if
  :: flying[AT(attempt, frame)] = false
  :: frame < next && gaps > 0 -> gaps--
  fi
}

#define COMES(attempt, frame) \
  (!over && flying[AT(attempt, frame)] && (attempt != current || frame <= next || gaps > 0))

#define IS_DUE_COMING (next < FRAMES && flying[AT(current, next)])
/* An end before a frame that is still to come is a gap like others. */
#define ENDS(attempt) \
  (!over && ending[attempt] && (attempt != current || !IS_DUE_COMING || gaps > 0))

inline on_end(attempt) {
  ending[attempt] = false;
  if
  :: attempt == current && IS_DUE_COMING -> gaps--
  :: else -> skip
  fi;
  if
#ifdef NO_COUNT
  :: attempt == current -> done = true; assert(next == FRAMES)
#else
  :: attempt == current && next == FRAMES -> done = true; assert(next == FRAMES)
  :: attempt == current && next < FRAMES -> ask_again()
#endif
  :: else -> skip
  fi
}

inline begin(attempt) {
  there[attempt] = true;
  cursor[attempt] = next;
  ending[attempt] = false;
  if
  :: makes[attempt] = 0
  :: makes[attempt] = 1
  fi
}

inline run_again() {
#ifndef SAME_NUMBER
  current++;
#endif
  assert(current < ATTEMPTS);
  broken = false;
  begin(current);
#ifndef NO_COMPARE
  if
  :: next > 0 && makes[current] != seen ->
     failed = true;
     assert(died)                  /* what is held is gone on with */
  :: else -> skip
  fi
#endif
}

/* Whoever owns the query. */
proctype Reader() {
  do
  :: atomic { COMES(0, 0) -> on_frame(0, 0) }
  :: atomic { COMES(0, 1) -> on_frame(0, 1) }
  :: atomic { COMES(1, 0) -> on_frame(1, 0) }
  :: atomic { COMES(1, 1) -> on_frame(1, 1) }
  :: atomic { COMES(2, 0) -> on_frame(2, 0) }
  :: atomic { COMES(2, 1) -> on_frame(2, 1) }
  :: atomic { ENDS(0) -> on_end(0) }
  :: atomic { ENDS(1) -> on_end(1) }
  :: atomic { ENDS(2) -> on_end(2) }
  :: atomic { !over && broken && there[current] -> broken = false; ask_again() }
#ifndef NO_RERUN
  :: atomic { !over && !there[current] -> run_again() }
#endif
  :: over -> break
  od
}

/* An executor with an attempt. */
proctype Attempt(byte own) {
  do
  :: atomic {
       !over && there[own] && !broken && cursor[own] < FRAMES ->
       flying[AT(own, cursor[own])] = true;
       is_of[AT(own, cursor[own])] = makes[own];
       cursor[own]++
     }
  /* It says so once for each time that it is asked. */
  :: atomic {
       !over && there[own] && !broken && cursor[own] == FRAMES ->
       cursor[own]++;
       ending[own] = true
     }
  :: over -> break
  od
}

proctype Trouble() {
  byte deaths = DEATHS;
  byte breaks = BREAKS;
  byte takeovers = TAKEOVERS;
  do
  /* What the executor had sent may still come. */
  :: atomic {
       deaths > 0 && !over && there[current] ->
       deaths--;
       died = true;
       there[current] = false
     }
  :: atomic {
       breaks > 0 && !over && there[current] ->
       breaks--;
       broken = true;
       flying[AT(current, 0)] = false;
       flying[AT(current, 1)] = false;
       ending[current] = false
     }
  /* Another owner: what was sent to the former one does not come to it, and it asks for what is held. */
  :: atomic {
       takeovers > 0 && !over && there[current] ->
       takeovers--;
       owners++;
       broken = true;
#ifdef EARLY_DROP
       if
       :: cursor[current] > next -> there[current] = false
       :: else -> skip
       fi;
#endif
       flying[AT(current, 0)] = false;
       flying[AT(current, 1)] = false;
       ending[current] = false
     }
  :: true -> break
  od
}

/* The former owner wakes, and gives up what it believes to be its own. */
proctype Former() {
  do
  :: atomic {
       owners > 1 && !over ->
#ifdef NO_EPOCH_CHECK
       there[current] = false;
#endif
       break
     }
  :: over -> break
  od
}

init {
  atomic {
    begin(0);
    run Reader();
    run Attempt(0);
    run Attempt(1);
    run Attempt(2);
    run Trouble();
    run Former()
  }
}

/* The client has all of one result, or is told that it cannot have it. */
ltl ends { <> over }
