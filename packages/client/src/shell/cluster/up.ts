import { runLauncher } from './launcher.ts'

/** `nyala up`: starts a local cluster. Resolves with the exit code. */
export const runUp = (args: readonly string[]): Promise<number> => runLauncher('up', args)
