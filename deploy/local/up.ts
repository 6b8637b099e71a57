import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { assert, deferred, s } from '@nyala/client/base'
import { LocalCluster } from './cluster.ts'
import type { Environment } from './environment.ts'
import { installEtcd, requireEtcd } from './etcd-install.ts'
import { EXIT_INTERRUPTED, LauncherError } from './launcher-error.ts'
import { pathsOf } from './layout.ts'
import { openSupervisorLog } from './supervisor-log.ts'
import { parseUp, UP_USAGE, upOptions, type UpOptions } from './up-options.ts'

/** Signals that stop a cluster in order; a second one kills it. */
export const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What a supervisor in the background tells the command that started it: one line, then nothing more. */
const supervisorAnswer = s.union({
  ready: s.object({ kind: s.literal('ready'), url: s.string }),
  failed: s.object({
    kind: s.literal('failed'),
    message: s.string,
    hint: s.optional(s.string),
    exitCode: s.natural,
  }),
})

/** `nyala up`: resolves with the exit code, in the foreground only once the cluster has stopped. */
export async function up(args: readonly string[], environment: Environment): Promise<number> {
  const { help, detach, options } = parseUp(args, environment.directory)
  if (help) {
    environment.print(UP_USAGE)
    return 0
  }
  // Before anything goes into the background, where nobody would see what is fetched.
  await installEtcd(environment.variables, environment.report)
  if (detach) return startInBackground(options, environment)
  return supervise(options, environment, {
    onReady: (url) => {
      environment.print(url)
      environment.report('press Ctrl-C to stop the cluster')
    },
  })
}

/** The background half of `nyala up --detach`; its only argument is the options as JSON. */
export async function superviseInBackground(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const answer = (message: unknown): void => environment.print(JSON.stringify(message))
  try {
    const options = upOptions.decode(JSON.parse(args[0] ?? 'null'), 'options')
    return await supervise(options, environment, {
      onReady: (url) => answer({ kind: 'ready', url }),
    })
  } catch (error) {
    if (!(error instanceof LauncherError)) throw error
    const { message, hint, exitCode } = error
    answer({ kind: 'failed', message, ...(hint === undefined ? {} : { hint }), exitCode })
    return exitCode
  }
}

async function supervise(
  options: UpOptions,
  environment: Environment,
  { onReady }: { readonly onReady: (url: string) => void },
): Promise<number> {
  const etcdProgram = await requireEtcd(environment.variables)
  const stop = listenForStop()
  try {
    await mkdir(pathsOf(options.dir).logs, { recursive: true })
    await using log = await openSupervisorLog(options.dir, environment.clock)
    await using cluster = await LocalCluster.open({
      ...options,
      ...(environment.programs === undefined ? {} : { programs: environment.programs }),
      etcdProgram,
      restart: true,
      variables: environment.variables,
      clock: environment.clock,
      log: log.log,
      signal: stop.signal,
    })
    stop.onSecond(() => cluster.killNow())
    onReady(cluster.url)
    const signal = await stop.first
    log.log.info('supervisorStops', { signal })
    return exitCodeOf(signal)
  } catch (error) {
    // Whoever stops a cluster that is only starting gets no message about it.
    if (stop.signal.aborted) return exitCodeOf(await stop.first)
    throw error
  } finally {
    stop.dispose()
  }
}

const exitCodeOf = (signal: NodeJS.Signals): number => (signal === 'SIGINT' ? EXIT_INTERRUPTED : 0)

function listenForStop() {
  const first = deferred<NodeJS.Signals>()
  const controller = new AbortController()
  let onSecond: () => void = () => {}
  const listener = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) return onSecond()
    controller.abort(new LauncherError(`stopped by ${signal}`))
    first.resolve(signal)
  }
  for (const name of STOP_SIGNALS) process.on(name, listener)
  return {
    first: first.promise,
    signal: controller.signal,
    onSecond: (action: () => void) => {
      onSecond = action
    },
    dispose: () => {
      for (const name of STOP_SIGNALS) process.off(name, listener)
    },
  }
}

async function startInBackground(options: UpOptions, environment: Environment): Promise<number> {
  const logs = pathsOf(options.dir).logs
  await mkdir(logs, { recursive: true })
  const errors = openSync(join(logs, 'supervisor.err'), 'a')
  const child = spawn(
    process.execPath,
    [environment.program, 'supervise', JSON.stringify(options)],
    {
      // A session of its own, so that it outlives the terminal.
      detached: true,
      stdio: ['ignore', 'pipe', errors],
      cwd: environment.directory,
      env: { ...environment.variables },
    },
  )
  closeSync(errors)
  const { stdout } = child
  assert(stdout !== null, 'its standard output is a pipe')
  const exited = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) =>
      reject(
        new LauncherError(`the supervisor ended before the cluster served (${signal ?? code})`, {
          hint: `see "${join(logs, 'supervisor.err')}"`,
        }),
      ),
    )
  })
  const answer = await Promise.race([firstLine(stdout), exited])
  const message = supervisorAnswer.decode(JSON.parse(answer), 'answer')
  if (message.kind === 'failed') throw new LauncherError(message.message, message)
  environment.print(message.url)
  stdout.destroy()
  child.unref()
  return 0
}

/** Never resolves where the stream ends without one: the exit of its process tells then. */
function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    createInterface({ input: stream }).once('line', resolve)
  })
}
