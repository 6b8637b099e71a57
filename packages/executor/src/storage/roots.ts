import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, sep } from 'node:path'
import { SqlError } from '@nyala/client/protocol'

/** The directories that tables may lie in. Every path that comes from outside passes through here. */
export class Roots {
  readonly #roots: readonly string[]

  private constructor(roots: readonly string[]) {
    this.#roots = roots
  }

  /** Fails with `undefined_file` where a root does not exist. */
  static async open(roots: readonly string[]): Promise<Roots> {
    const real: string[] = []
    for (const root of roots) {
      try {
        real.push(await realpath(root))
      } catch (cause) {
        throw new SqlError(
          'undefined_file',
          `root "${root}" cannot be opened: ${(cause as Error).message}`,
          {
            cause,
          },
        )
      }
    }
    return new Roots([...new Set(real)])
  }

  /** The real paths of the roots. */
  get paths(): readonly string[] {
    return this.#roots
  }

  /**
   * The real path, links and dots resolved. Fails with `insufficient_privilege` where that lies outside the roots, with
   * `undefined_file` where it does not exist, and with `invalid_parameter_value` for a relative path.
   */
  async resolve(path: string): Promise<string> {
    if (!isAbsolute(path) || path.includes('\0')) {
      throw new SqlError('invalid_parameter_value', `path "${path}" is not absolute`, {
        hint: 'write the path from the root of the file system on',
      })
    }
    let real: string
    try {
      real = await realpath(path)
    } catch (cause) {
      await this.#refuseOutsideAncestor(path)
      throw fileError(path, cause)
    }
    this.check(path, real)
    return real
  }

  /** Throws unless `real`, which must be a real path, lies in a root. */
  check(path: string, real: string): void {
    const inside = this.#roots.some((root) => isWithin(real, root))
    if (inside) return
    const where = path === real ? '' : `, which is "${real}",`
    throw new SqlError('insufficient_privilege', `path "${path}"${where} lies outside the roots`, {
      detail: `the roots are ${this.#roots.map((root) => `"${root}"`).join(', ') || 'empty'}`,
      hint: 'move the files below a root, or start the cluster with another --root',
    })
  }

  /** Whether a path outside the roots exists is nobody's business. */
  async #refuseOutsideAncestor(path: string): Promise<void> {
    for (let at = dirname(path); ; at = dirname(at)) {
      let real: string
      try {
        real = await realpath(at)
      } catch (error) {
        if (at === dirname(at)) throw fileError(path, error)
        continue
      }
      return this.check(path, real)
    }
  }
}

export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep)

/** A failure of the file system as a typed error that names the path. */
export function fileError(path: string, cause: unknown): SqlError {
  const { code, message } = cause as NodeJS.ErrnoException
  switch (code ?? '') {
    case 'ENOENT':
    case 'ENOTDIR':
      return new SqlError('undefined_file', `"${path}" does not exist`, { cause })
    case 'EACCES':
    case 'EPERM':
      return new SqlError('insufficient_privilege', `"${path}" may not be read`, {
        hint: 'the executor needs the right to read it',
        cause,
      })
    case 'ELOOP':
      return new SqlError('invalid_parameter_value', `"${path}" has too many symbolic links`, {
        cause,
      })
    default:
      return new SqlError('io_error', `"${path}" cannot be read: ${message}`, { cause })
  }
}
