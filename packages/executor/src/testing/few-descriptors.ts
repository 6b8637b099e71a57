import { closeSync, openSync } from 'node:fs'
import { deferred, silentLog } from '@nyala/client/base'
import { KernelWorld } from './kernel-world.ts'

/**
 * Kernels of a process that runs out of descriptors, and has some again later. A program of its own, to be started under a
 * low limit; it prints how tasks ended meanwhile, and the rows of one that came later.
 */
async function main(): Promise<void> {
  const taken: number[] = []
  let isScarce = true
  const takeAll = (): void => {
    try {
      while (isScarce) taken.push(openSync('/dev/null', 'r'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error
    }
  }
  const [spared, failed, back] = [deferred<void>(), deferred<void>(), deferred<void>()]
  let [started, ended] = [0, 0]
  const log = {
    ...silentLog,
    debug: (event: string) => {
      if (event === 'kernelReady' && ++started === 2) spared.resolve()
      if (event === 'kernelReady' && !isScarce) back.resolve()
    },
    warn: (event: string) => {
      if (event !== 'kernelEnded') return
      // What a dead kernel leaves would do for another.
      takeAll()
      // The first one, its spare, and one that could not be started in their place.
      if (++ended === 3) failed.resolve()
    },
  }
  const world = await KernelWorld.start({ log })
  await spared.promise
  takeAll()
  for (const pid of world.kernels.pids) process.kill(pid, 'SIGKILL')
  await failed.promise
  const meanwhile = [
    (await world.run('SELECT 1 AS a')).error?.error,
    (await world.run('SELECT 1 AS a', { alone: true })).error?.error,
  ]
  isScarce = false
  for (const descriptor of taken) closeSync(descriptor)
  await back.promise
  const later = await world.run('SELECT 1 AS a')
  process.stdout.write(JSON.stringify({ meanwhile, rows: later.result?.rows }))
  await world[Symbol.asyncDispose]()
}

await main()
