import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { configurationError, LauncherError } from './launcher-error.ts'

const run = promisify(execFile)

/** A download over a slow line; past that the network is not there. */
const DOWNLOAD_TIMEOUT_MS = 300_000

type Variables = Readonly<Record<string, string | undefined>>

/** Where a Debian package is unpacked to: inside `node_modules`, so that it goes when that goes. */
function cacheDirectory(name: string): string {
  // From deploy/dist/local, or wherever the package is installed, the nearest node_modules that holds us.
  const home = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
  return join(home, 'node_modules', '.cache', 'nyala', name)
}

const cachedProgram = (name: string): string => join(cacheDirectory(name), 'usr', 'bin', name)

/** A program: where `variable` says, else in PATH, else unpacked here; undefined where there is none. */
export async function findProgram(
  { name, variable }: { readonly name: string; readonly variable: string },
  variables: Variables,
): Promise<string | undefined> {
  const named = variables[variable]
  if (named !== undefined && named !== '') {
    if (await isProgram(named)) return resolve(named)
    throw configurationError(`${variable} is "${named}", which is no program that can be run`)
  }
  const directories = (variables['PATH'] ?? '').split(delimiter).filter((path) => path !== '')
  const candidates = [...directories.map((path) => join(path, name)), cachedProgram(name)]
  for (const candidate of candidates) if (await isProgram(candidate)) return candidate
  return undefined
}

/** The etcd to use: NYALA_ETCD, else one in PATH, else the one unpacked here; undefined where there is none. */
export async function findEtcd(variables: Variables): Promise<string | undefined> {
  return await findProgram({ name: 'etcd', variable: 'NYALA_ETCD' }, variables)
}

/** As {@link findEtcd}; fails with a hint where there is none. */
export async function requireEtcd(variables: Variables): Promise<string> {
  const found = await findEtcd(variables)
  if (found !== undefined) return found
  throw configurationError(
    'etcd was not found',
    'run "node deploy/setup.mjs" in the checkout, or install etcd 3.4 or newer and put it into PATH or name it in NYALA_ETCD',
  )
}

/**
 * The etcd to use, fetched when there is none. On Debian and its kin the distribution's package is unpacked into the
 * cache: no package is installed, no service or user made, nothing left running.
 */
export async function installEtcd(
  variables: Variables,
  report: (line: string) => void,
): Promise<string> {
  const found = await findEtcd(variables)
  if (found !== undefined) return found
  const program = await unpackDebianPackage(
    { name: 'etcd', package: 'etcd-server' },
    variables,
    report,
  )
  if (program !== undefined) return program
  throw configurationError(
    'etcd was not found, and this system has no apt-get to fetch it with',
    'install etcd 3.4 or newer (https://etcd.io/docs/latest/install/) and put it into PATH or name it in NYALA_ETCD',
  )
}

/**
 * Unpacks a package of the distribution into the cache and says where its program is; undefined on systems that are
 * no kin of Debian. Nothing is installed.
 */
export async function unpackDebianPackage(
  { name, package: packageName }: { readonly name: string; readonly package: string },
  variables: Variables,
  report: (line: string) => void,
): Promise<string | undefined> {
  if (!(await isOnPath('apt-get', variables)) || !(await isOnPath('dpkg', variables))) {
    return undefined
  }
  report(`fetching ${name} (the Debian package ${packageName}, unpacked into node_modules/.cache)`)
  const cache = cacheDirectory(name)
  await mkdir(dirname(cache), { recursive: true })
  const work = await mkdtemp(join(tmpdir(), `nyala-${name}-`))
  try {
    const unpacked = await downloadAndUnpack(work, packageName)
    await moveInto(unpacked, cache)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const program = cachedProgram(name)
  if (await isProgram(program)) return program
  throw new LauncherError(`the package ${packageName} of this system has no "usr/bin/${name}"`)
}

async function downloadAndUnpack(work: string, packageName: string): Promise<string> {
  const options = { cwd: work, timeout: DOWNLOAD_TIMEOUT_MS }
  // As root apt downloads as another user, who cannot write here; it then says so and goes on, which is no failure.
  const download = (): Promise<unknown> =>
    run('apt-get', ['download', '-o', 'APT::Sandbox::User=root', packageName], options)
  try {
    await download()
  } catch (first) {
    // A fresh system has no package lists yet, or old ones that name files which are gone.
    await apt('update', () => run('apt-get', ['update'], options), first)
    await apt(`download ${packageName}`, download, undefined)
  }
  const name = (await readdir(work)).find((file) => file.endsWith('.deb'))
  if (name === undefined) throw new LauncherError(`apt-get downloaded no package ${packageName}`)
  const unpacked = join(work, 'unpacked')
  await run('dpkg', ['-x', join(work, name), unpacked], options)
  return unpacked
}

async function apt(what: string, action: () => Promise<unknown>, before: unknown): Promise<void> {
  try {
    await action()
  } catch (error) {
    const text = (one: unknown): string => (one as { stderr?: string } | undefined)?.stderr ?? ''
    throw new LauncherError(`"apt-get ${what}" failed: ${text(error).trim()}`, {
      hint:
        'as root, with the package registry in reach, this works by itself; else install it and put it into PATH or ' +
        `name it in NYALA_ETCD or NYALA_SPIN${before === undefined ? '' : ` (before that: ${text(before).trim()})`}`,
      cause: error,
    })
  }
}

/** Two that install at once must not find half a program: the finished tree appears whole. */
async function moveInto(unpacked: string, cache: string): Promise<void> {
  const beside = `${cache}.${process.pid}`
  await rm(beside, { recursive: true, force: true })
  // Not a rename: the temporary directory may be on another file system.
  await run('cp', ['-a', unpacked, beside])
  await rm(cache, { recursive: true, force: true })
  await rename(beside, cache)
}

async function isOnPath(name: string, variables: Variables): Promise<boolean> {
  for (const path of (variables['PATH'] ?? '').split(delimiter)) {
    if (path !== '' && (await isProgram(join(path, name)))) return true
  }
  return false
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    // Absent or not ours to run: either way not a program.
    return false
  }
}
