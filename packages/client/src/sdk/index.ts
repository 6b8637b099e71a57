import { connectOn, type Database } from './database.ts'
import type { ConnectOptions } from './options.ts'
import { parquetFunctions } from './parquet.ts'
import { nodePlatform } from './platform-node.ts'

export * from './exports.ts'

/**
 * Connects to a cluster: `nyala://host:port,host:port/database`, or options; `NYALA_URL` when nothing is given.
 * Rejects with a `ConnectionError` when no coordinator answers.
 */
export const connect: (target?: string | ConnectOptions) => Promise<Database> =
  connectOn(nodePlatform)

export const { parquetToTable, tableToParquet } = parquetFunctions(() => nodePlatform.loadParquet())
