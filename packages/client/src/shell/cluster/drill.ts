import { runLauncher } from './launcher.ts'

/** `nyala drill`: breaks a local cluster and says whether it held. Resolves with the exit code. */
export const runDrill = (args: readonly string[]): Promise<number> => runLauncher('drill', args)
