import { runLauncher } from './launcher.ts'

/** `nyala down`: stops a local cluster. Resolves with the exit code. */
export const runDown = (args: readonly string[]): Promise<number> => runLauncher('down', args)
