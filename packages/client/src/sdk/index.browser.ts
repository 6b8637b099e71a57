import { connectOn, type Database } from './database.ts'
import type { ConnectOptions } from './options.ts'
import { parquetFunctions } from './parquet.ts'
import { browserPlatform } from './platform-browser.ts'

export * from './exports.ts'

/** Connects to a cluster from a page; the same as in Node, over the browser's own WebSocket. */
export const connect: (target?: string | ConnectOptions) => Promise<Database> =
  connectOn(browserPlatform)

export const { parquetToTable, tableToParquet } = parquetFunctions(() =>
  browserPlatform.loadParquet(),
)
