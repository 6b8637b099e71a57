/**
 * The programs that start and stop a local cluster come with the engine, which a client is installed without: they are
 * looked for when asked for, so that nothing here depends on them.
 */
interface Launcher {
  run(args: readonly string[]): Promise<number>
}

const LAUNCHER = '@nyala/deploy/main'
const EXIT_CONFIGURATION = 3

/** Runs a command of the launcher and resolves with its exit code. */
export async function runLauncher(command: string, args: readonly string[]): Promise<number> {
  const launcher = await loadLauncher()
  if (launcher !== undefined) return launcher.run([command, ...args])
  process.stderr.write(
    `nyala ${command}: the package "@nyala/deploy" is not installed\n` +
      'local clusters come with a checkout of the project: run this there, or connect to a cluster with --url\n',
  )
  return EXIT_CONFIGURATION
}

async function loadLauncher(): Promise<Launcher | undefined> {
  try {
    return (await import(LAUNCHER)) as Launcher
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // What the launcher itself fails to import is an error of the installation and is shown as such.
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes("'@nyala/deploy'")) return undefined
    throw error
  }
}
