/** Seeds that have once shown a fault of the product or of the simulation, and what it was; they are run every time. */
export const ELECTION_REGRESSIONS: Readonly<Record<number, string>> = {
  4: 'a resignation that was still under way was taken for a change of leaders',
  466: 'an executor that died before a leader knew of it was waited for',
  1160: 'a leader resigned, the request that revokes its lease was lost, and nobody led until the lease ran out',
  1489: 'the same, with the request late',
  2884: 'a replacement that died while it started was taken for one that runs',
}

export const OWNERSHIP_REGRESSIONS: Readonly<Record<number, string>> = {
  51: 'a query that the leader took over and that nobody came for was never ended',
  103: 'a create that came late brought a finished query back',
  207790590: 'a query was taken over before its client had heard of it',
  151: 'the same, and its next owner had the owner epoch of the last one',
}

export const SCHEDULE_REGRESSIONS: Readonly<Record<number, string>> = {
  50: 'a small result whose end came before its last frame never ended',
  112: 'a full disk ended a query that had lost an executor before',
  190: 'a copy of a segment that had vanished was taken to be there by every attempt that read it',
  2568: 'a result was sent without a record where what it reads was made again just then',
  2935: 'the same',
  5563: 'failures at segments that were made again used up the attempts of who read them',
  6661: 'what one executor did not reach was made again now at one of two that it did not reach, now at the other',
  7827: 'a cancel between the last row and its receipt left the record and segments behind',
  70181: 'a pull that had only looked for its segment began a copy after its query was forgotten',
  20974:
    'a simulated coordinator that woke when its client had gone elsewhere ended what the client was about to ask for',
}

export const EXCHANGE_REGRESSIONS: Readonly<Record<number, string>> = {
  207800271:
    'a pull of which frames had been cut short waited for ever, as no more was asked for than had come',
}
