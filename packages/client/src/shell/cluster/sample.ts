import { runLauncher } from './launcher.ts'

/** `nyala sample`: writes sample data. Resolves with the exit code. */
export const runSample = (args: readonly string[]): Promise<number> => runLauncher('sample', args)
