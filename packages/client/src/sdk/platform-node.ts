import { systemClock } from '../base/clock.ts'
import { crc32 } from '../wire/crc32-node.ts'
import { dial } from '../wire/dial.ts'
import { codecOf, type ParquetCodec } from './parquet.ts'
import type { Platform } from './platform.ts'
import { CLIENT_VERSION } from './version.ts'

let codec: Promise<ParquetCodec> | undefined

export const nodePlatform: Platform = {
  client: `nyala-js/${CLIENT_VERSION} node/${process.versions.node}`,
  clock: systemClock,
  crc32,
  dial,
  environment: (name) => process.env[name],
  loadParquet: () => (codec ??= import('parquet-wasm/node').then(codecOf)),
}
