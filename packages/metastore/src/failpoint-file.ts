import { readFileSync, renameSync } from 'node:fs'
import { FAILPOINTS, onFailpoint } from '@nyala/client/base'

const SIGNALS = { kill: 'SIGKILL', stop: 'SIGSTOP' } as const

/**
 * Lets a drill kill or stop this process at a failpoint. `NYALA_FAILPOINTS` names a file, which may come and go while
 * the process runs; a line of it is `NAME kill` or `NAME stop`, followed by the id of a member where only that one is
 * meant. The first process that gets to the failpoint renames the file to `<file>.<its id>`, so that no other is struck,
 * and is struck; with it all of `processes`, where a member has several. Without `NYALA_DRILL=1` a process that has the
 * variable must not start: why is returned.
 */
export function listenToFailpoints(
  member: string,
  variables: Readonly<Record<string, string | undefined>>,
  processes: readonly number[] = [process.pid],
): string | undefined {
  const file = variables['NYALA_FAILPOINTS']
  if (file === undefined || file === '') return undefined
  if (variables['NYALA_DRILL'] !== '1') {
    return `NYALA_FAILPOINTS=${file} lets this process be killed: for drills only`
  }
  onFailpoint((name) => {
    const signal = signalIn(file, name, member)
    if (signal === undefined || !isFirst(file, member)) return
    for (const pid of processes) process.kill(pid, signal)
  })
  return undefined
}

/** What a process that belongs to a member needs to be struck in its name; nothing outside of drills. */
export function failpointVariables(
  member: string,
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const { NYALA_FAILPOINTS: file, NYALA_DRILL: drill } = variables
  if (file === undefined || file === '' || drill !== '1') return {}
  return { NYALA_DRILL: drill, NYALA_FAILPOINTS: file, NYALA_MEMBER: member }
}

function signalIn(file: string, name: string, member: string): NodeJS.Signals | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // Nothing is armed now.
    return undefined
  }
  for (const line of text.split('\n')) {
    const [armed, what, only] = line.split(' ')
    if (armed !== name || (only !== undefined && only !== member)) continue
    if (what === 'kill' || what === 'stop') return SIGNALS[what]
  }
  return undefined
}

function isFirst(file: string, member: string): boolean {
  try {
    renameSync(file, `${file}.${member}`)
    return true
  } catch {
    return false
  }
}

/** Fails with a plain error where there is no such failpoint. */
export function failpointLine(name: string, what: keyof typeof SIGNALS, only?: string): string {
  if (!FAILPOINTS.some((known) => known === name)) throw new Error(`there is no failpoint ${name}`)
  return [name, what, ...(only === undefined ? [] : [only])].join(' ')
}
