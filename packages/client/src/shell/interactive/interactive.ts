import type { Database } from '../../sdk/database.ts'
import { EXIT, type ShellIo } from '../shell-io.ts'
import type { SqlOptions } from '../sql-options.ts'

export async function runInteractive(
  database: Database,
  options: SqlOptions,
  io: ShellIo,
): Promise<number> {
  void database
  void options
  void io
  return EXIT.ok
}
