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
