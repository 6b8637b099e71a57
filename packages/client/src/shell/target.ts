import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SqlError } from '../protocol/errors.ts'
import { parseUrl } from '../sdk/options.ts'
import { UsageError } from './shell-io.ts'

export const DEFAULT_DIRECTORY = '.nyala'

export interface TargetOptions {
  readonly url: string | undefined
  readonly dir: string | undefined
}

/**
 * The URL to connect to: the one given, else `NYALA_URL`, else that of the cluster in `--dir`. A directory named on the
 * command line goes before the environment.
 */
export async function resolveTarget(
  options: TargetOptions,
  environment: (name: string) => string | undefined,
): Promise<string> {
  const given = options.url ?? (options.dir === undefined ? environment('NYALA_URL') : undefined)
  if (given !== undefined && given !== '') return checkedUrl(given)
  return clusterUrl(options.dir ?? DEFAULT_DIRECTORY)
}

function checkedUrl(url: string): string {
  try {
    parseUrl(url)
    return url
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    throw new UsageError(`${error.message}\n${error.hint ?? ''}`.trim())
  }
}

async function clusterUrl(dir: string): Promise<string> {
  const file = join(dir, 'cluster.json')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new UsageError(
      `no cluster is named, and there is none in "${dir}"\n` +
        'start one with nyala up, or pass --url nyala://host:port/database or set NYALA_URL',
    )
  }
  return checkedUrl(urlOf(text, file))
}

function urlOf(text: string, file: string): string {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'url' in value) {
      if (typeof value.url === 'string') return value.url
    }
  } catch {
    throw new UsageError(`"${file}" is not JSON`)
  }
  throw new UsageError(`"${file}" names no url`)
}
