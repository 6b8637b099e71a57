import { configurationError } from './launcher-error.ts'
import { findProgram, unpackDebianPackage } from './etcd-install.ts'

type Variables = Readonly<Record<string, string | undefined>>

/** The model checker that the tests use: NYALA_SPIN, else one in PATH, else the one unpacked by the set-up. */
export async function findSpin(variables: Variables): Promise<string | undefined> {
  return await findProgram({ name: 'spin', variable: 'NYALA_SPIN' }, variables)
}

/** As {@link findSpin}, fetched like etcd when there is none. */
export async function installSpin(
  variables: Variables,
  report: (line: string) => void,
): Promise<string> {
  const found = await findSpin(variables)
  if (found !== undefined) return found
  const program = await unpackDebianPackage({ name: 'spin', package: 'spin' }, variables, report)
  if (program !== undefined) return program
  throw configurationError(
    'spin was not found, and this system has no apt-get to fetch it with',
    'install Spin 6.5 (https://spinroot.com) and put it into PATH or name it in NYALA_SPIN',
  )
}
